"""The pages of flairNLP/fundus, with what its tests expect of them."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from benchmarks.labels import WORD, Label, soup_of
from pipeline.extraction.encodings import decode

LEAST_FOUND = 0.95
"""Share of a label's words that its page must have, in runs of five: else the two are of different versions."""


def fundus_pages(checkout: Path) -> Iterator[tuple[str, bytes, Label]]:
    """The pages of flairNLP/fundus with what its tests expect of them."""
    for folder in sorted((checkout / "tests/resources/parser/test_data").iterdir()):
        info = folder / "meta.info"
        for file, about in sorted(json.loads(info.read_text()).items()) if info.exists() else ():
            path = folder / file
            publisher = re.sub(r"_\d{4}_\d\d_\d\d\.html\.gz$", "", file)
            expected = folder / f"{publisher}.json"
            if not (path.exists() and expected.exists()):
                continue
            html = gzip.decompress(path.read_bytes())
            version = _fitting_version(html, json.loads(expected.read_text()))
            if version:
                yield (
                    f"fundus-{folder.name}-{path.name.removesuffix('.html.gz')}",
                    html,
                    Label(
                        url=about["url"],
                        page_type="article",
                        articleBody=_body_text(version["body"]),
                        images=_listed_addresses(version, html, about["url"]),
                        origin=f"flairNLP/fundus {path.relative_to(checkout)}",
                    ),
                )


def _fitting_version(html: bytes, versions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is expected of this page, among what is expected of all the publisher's pages: its text is on it."""
    words = WORD.findall(" ".join(soup_of(decode(html, None).text).stripped_strings))
    on_page = set(zip(*(words[shift:] for shift in range(5)), strict=False))

    def found(version: Mapping[str, Any]) -> float:
        runs = WORD.findall(_body_text(version["body"]))
        wanted = list(zip(*(runs[shift:] for shift in range(5)), strict=False))
        return sum(run in on_page for run in wanted) / max(1, len(wanted))

    best = max((version for version in versions.values() if version.get("body")), key=found, default=None)
    return best if best and found(best) >= LEAST_FOUND else None


def _body_text(body: Mapping[str, Any]) -> str:
    sections = (line for section in body["sections"] for line in (*section["headline"], *section["paragraphs"]))
    return "\n".join((*body["summary"], *sections))


def _listed_addresses(version: Mapping[str, Any], html: bytes, url: str) -> list[str] | None:
    """Unknown if nobody listed them, or if the page gives one of them in no address that is listed."""
    text = unescape(decode(html, None).text).replace("\\/", "/")
    pictures = [[size["url"] for size in image["versions"]] for image in version.get("images", ())]
    if not all(any(urlsplit(address).path in text for address in addresses) for addresses in pictures):
        return None
    return sorted({urljoin(url, address) for addresses in pictures for address in addresses}) or None
