"""Makes a folder of web pages whose content is known, from the test fixtures of two extraction projects.

postlight/parser keeps a page of each site that it knows, and the selectors that its people wrote for the site's
content. flairNLP/fundus keeps a page of each newspaper that it knows, and the paragraphs and pictures that its people
expect of it. `benchmarks.train_salience` reads the folder; neither project belongs to the exam sets of this one.
"""

import ast
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import PageElement, PreformattedString
from soupsieve import SelectorSyntaxError

from jobs.command import InputError, run_command
from pipeline.encodings import decode
from pipeline.head import read_head
from pipeline.markup import parse

EXCLUDED: Mapping[str, str] = {
    "label ends in links to other pages, a gallery, or an appeal": (
        "postlight-buzzap.jp postlight-clinicaltrials.gov postlight-deadline.com postlight-epaper.zeit.de "
        "postlight-fandom.wikia.com postlight-hellogiggles.com postlight-ici.radio-canada.ca postlight-ma.ttias.be "
        "postlight-obamawhitehouse.archives.gov--empty postlight-thefederalistpapers.org postlight-thoughtcatalog.com "
        "postlight-timesofindia.indiatimes.com postlight-wired.jp postlight-www.aol.com postlight-www.bustle.com "
        "postlight-www.cnbc.com--redesign postlight-www.cnn.com postlight-www.ladbible.com postlight-www.ndtv.com "
        "postlight-www.littlethings.com postlight-www.macrumors.com postlight-www.moongift.jp "
        "postlight-www.popsugar.com postlight-www.ossnews.jp postlight-www.politico.com--test-case-3 "
        "postlight-www.prospectmagazine.co.uk postlight-www.publickey1.jp postlight-www.today.com "
        "postlight-www.usmagazine.com postlight-www.vox.com postlight-www.washingtonpost.com "
        "postlight-www.westernjournalism.com postlight-www.wired.com--other"
    ),
    "page has the content twice, scrambled, or hardly at all": (
        "postlight-pastebin.com postlight-www.abendblatt.de postlight-www.asahi.com postlight-www.yomiuri.co.jp "
        "postlight-www.yahoo.com postlight-www.youtube.com postlight-twitter.com postlight-genius.com "
        "fundus-cn-People_2024_04_24 fundus-jp-AsahiShimbun_2025_01_13 fundus-jp-ChunichiShimbun_2025_01_13 "
        "fundus-de-Taz_2024_10_23"
    ),
    "label lacks lists, answers, or posts of the article": (
        "postlight-www.bloomberg.com--news fundus-ch-SRF_2024_04_15 fundus-de-Focus_2023_04_28 "
        "fundus-de-RuhrNachrichten_2024_05_03 fundus-de-WDR_2024_04_22 fundus-no-Dagbladet_2026_01_06 "
        "fundus-no-Nettavisen_2024_10_16 fundus-uk-Metro_2024_07_17 fundus-us-TheGatewayPundit_2026_07_19 "
        "fundus-za-DailyMaverick_2025_05_22"
    ),
}
"""Pages whose label a person found wrong, by what is wrong with it."""
UNSURE_PICTURES = frozenset(
    (
        *("fundus-de-BoersenZeitung_2024_10_23", "fundus-de-BoersenZeitung_2024_12_16"),
        *("fundus-uk-TheMirror_2024_04_28", "fundus-uk-TheMirror_2024_08_05"),
        *("fundus-de-NDR_2023_04_28", "fundus-de-NDR_2025_06_18"),
        *("postlight-www.elecom.co.jp", "postlight-www.rbbtoday.com"),
    )
)
"""Pages where no `<img>` has a listed address, or where the list has placeholders or icons found all over the page."""
PAGE_TYPES: Mapping[str, str] = {
    "postlight-bookwalker.jp": "product",
    "postlight-www.oreilly.co.jp": "product",
    "postlight-github.com": "documentation",
    "postlight-jvndb.jvn.jp": "documentation",
}
"""What the pages are that are not articles."""
LEAST_WORDS = 100
SHORT_NAME = 5
"""Letters that the name of a picture's file may share with another by chance."""
LEAST_FOUND = 0.95
"""Share of a label's words that its page must have, in runs of five: else the two are of different versions."""
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
"""A word, or a character of the scripts without spaces."""
COMMENT = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?\*/""", re.DOTALL)
"""Of JavaScript. The group is a string, in which no comment starts."""
LEFTOVER_NAMES = (
    "share sharing social newsletter related promo recirc comment sponsor tags breadcrumb signup subscribe outbrain "
    "taboola readmore read-more recommend advert"
).split()
LEFTOVERS = ", ".join(
    ("form", "nav", "footer", *(f"[{name}*={word} i]" for name in ("class", "id") for word in LEFTOVER_NAMES))
)
"""What postlight's general cleaner takes after the selectors of the site."""
MOST_LEFTOVER = 0.2
"""A larger share of the content is no leftover: the name says something else there."""
OTHER_LINES = re.compile(
    r"(?:advertisement|share this(?: \w+)?|read more|related|see also|view images|enlarge this image|trending stories|"
    r"comments(?: are closed)?|more like this|source link|follow us(?: on \w+)?|launch gallery|watch|\W*page top|"
    r"more \w+ news)\W*",
    re.IGNORECASE,
)
"""Lines that are no content, whole."""
UNSEEN = ("script", "style", "noscript", "template", "svg", "iframe", "head", "title", "button", "select", "textarea")
INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark q rb rp rt ruby s samp small span "
    "strike strong sub sup time tt u var wbr".split()
)


@dataclass(frozen=True, kw_only=True)
class FixtureConfig:
    """Which pages are read, and where they go."""

    checkout: Path
    """A checkout of github.com/postlight/parser."""
    output: Path
    """Folder that gets the pages and ground-truth.json."""
    fundus: Path | None = None
    """A checkout of github.com/flairNLP/fundus, for its pages too."""

    def __post_init__(self) -> None:
        """Refuses folders that are no such checkout."""
        for folder, part in ((self.checkout, "src/extractors/custom"), (self.fundus, "tests/resources/parser")):
            if folder and not (folder / part).is_dir():
                raise ValueError(f"{folder} has no {part}: give a checkout of the whole repository.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What ground-truth.json says about a page."""

    url: str
    page_type: str
    articleBody: str
    images: list[str] | None
    """Absolute addresses of the content's pictures; None where unknown."""
    origin: str


def make_folder(config: FixtureConfig) -> None:
    """Writes the pages and their labels."""
    config.output.mkdir(parents=True, exist_ok=True)
    labels: dict[str, Label] = {}
    excluded = {name for names in EXCLUDED.values() for name in names.split()}
    for name, html, label in _all_pages(config):
        if name not in excluded and len(WORD.findall(label.articleBody)) >= LEAST_WORDS:
            (config.output / f"{name}.html.gz").write_bytes(gzip.compress(html, mtime=0))
            labels[name] = replace(label, images=None) if name in UNSURE_PICTURES else label
    if not labels:
        raise InputError(f"No page of {config.checkout} has a label.")
    truth = {name: asdict(label) for name, label in labels.items()}
    (config.output / "ground-truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1))
    pictured = sum(bool(label.images) for label in labels.values())
    print(f"{len(labels)} pages, {pictured} of them with pictures, in {config.output}.")


def _all_pages(config: FixtureConfig) -> Iterator[tuple[str, bytes, Label]]:
    yield from postlight_pages(config.checkout)
    if config.fundus:
        yield from fundus_pages(config.fundus)


def postlight_pages(checkout: Path) -> Iterator[tuple[str, bytes, Label]]:
    """The fixtures of postlight/parser whose extractor selects something."""
    extractors = dict(_extractors(checkout))
    tests = [path.read_text() for path in sorted(checkout.glob("src/extractors/custom/*/index.test.js"))]
    for path in sorted((checkout / "fixtures").glob("*.html")):
        html, site = path.read_bytes(), path.stem.split("--")[0]
        extractor = extractors.get(site)
        if extractor is None:
            continue
        text = decode(html, None).text
        soup = _soup(text)
        url = _tested_url(path.name, tests) or _canonical(soup) or f"https://{site}/"
        parts = _selected(soup, *extractor)
        if parts:
            name = f"postlight-{path.stem}"
            yield (
                name,
                html,
                Label(
                    url=url,
                    page_type=PAGE_TYPES.get(name, "article"),
                    articleBody="\n".join(filter(None, map(_text, parts))),
                    images=_selected_pictures(soup, parts, read_head(parse(text), url).base),
                    origin=f"postlight/parser fixtures/{path.name}",
                ),
            )


def _soup(text: str) -> BeautifulSoup:
    """The page, without the XML declaration that BeautifulSoup would warn of."""
    return BeautifulSoup(re.sub(r"^\s*<\?xml[^>]*>", "", text), "lxml")


def _extractors(checkout: Path) -> Iterator[tuple[str, tuple[list[Any], list[str]]]]:
    """The content's selectors, and those of what is removed from it, by host."""
    for path in sorted(checkout.glob("src/extractors/custom/*/index.js")):
        source = COMMENT.sub(lambda match: match[1] or "", path.read_text())
        content = source[source.find("content: {") :]
        try:
            clean = [one for one in _list_after("clean:", content) if isinstance(one, str)]
            rules = _list_after("selectors:", content), clean
        except (ValueError, SyntaxError):
            continue
        if "content: {" in source:
            for host in (path.parent.name, *_list_after("supportedDomains:", source)):
                yield host, rules


def _list_after(key: str, source: str) -> list[Any]:
    """The array literal of JavaScript behind the first `key`, which is one of Python too; none if it is not there."""
    start = source.find(key)
    if start < 0:
        return []
    start = source.index("[", start)
    for end in (match.end() for match in re.finditer("]", source[start:])):
        try:
            return ast.literal_eval(source[start : start + end])
        except SyntaxError:
            continue
    raise ValueError(f"no array of strings behind {key}")


def _tested_url(fixture: str, tests: Sequence[str]) -> str:
    """The address that the tests give to the fixture: it stands just before or after its name."""
    for source in tests:
        place = source.find(f"/{fixture}'")
        if place >= 0:
            found = list(re.finditer(r"'(https?://[^'\s]+)'", source))
            nearest = min(found, key=lambda match: abs(match.start() - place), default=None)
            return nearest[1] if nearest else ""
    return ""


def _canonical(soup: BeautifulSoup) -> str:
    link = soup.select_one("link[rel=canonical][href^=http]")
    return str(link["href"]) if link else ""


def _selected(soup: BeautifulSoup, selectors: Sequence[Any], clean: Sequence[str]) -> list[Tag]:
    """What the first fitting selector takes, less what is to be removed: a list must match whole, a string once."""
    for selector in selectors:
        several = isinstance(selector, list)
        try:
            found = [soup.select(one) for one in (selector if several else [selector])]
        except SelectorSyntaxError:
            continue
        if all(found) if several else len(found[0]) == 1 and found[0][0].get_text().strip():
            break
    else:
        return []
    chosen = soup.select(", ".join(selector) if several else selector)
    for one in clean:
        try:
            unwanted = soup.select(one)
        except SelectorSyntaxError:
            continue
        for element in unwanted:
            if any(element is part or part in element.parents for part in chosen):
                element.extract()
                chosen = [part for part in chosen if part is not element]
    return _without_leftovers([part for part in chosen if not any(other in part.parents for other in chosen)])


def _without_leftovers(parts: list[Tag]) -> list[Tag]:
    for part in parts:
        most = MOST_LEFTOVER * len(part.get_text())
        for element in part.select(LEFTOVERS):
            if len(element.get_text()) <= most:
                element.extract()
    return parts


def _text(part: Tag) -> str:
    """The visible text of `part`, a line for each block."""
    pieces = [piece for child in part.children for piece in _pieces(child)]
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line and not OTHER_LINES.fullmatch(line))


def _pieces(node: PageElement) -> Iterator[str]:
    if isinstance(node, Tag):
        if node.name in UNSEEN:
            return
        edge = "" if node.name in INLINE else "\n"
        yield edge
        for child in node.children:
            yield from _pieces(child)
        yield edge
    elif not isinstance(node, PreformattedString):
        yield re.sub(r"\s+", " ", str(node))


def _selected_pictures(soup: BeautifulSoup, parts: Sequence[Tag], base: str) -> list[str] | None:
    """The addresses of the pictures in `parts`.

    Unknown where there are none, and where the picture that stands for the page is elsewhere on it: the extractors
    leave pictures above the text to other rules.
    """
    inside = sorted(set(_image_addresses(parts, base)))
    lead = soup.select_one("meta[property='og:image'][content]")
    name = Path(urlsplit(str(lead["content"])).path).stem if lead else ""
    if len(name) > SHORT_NAME and not any(name in address for address in inside):
        whole = [element for element in soup.select("img, source") if _is_image(element)]
        if any(name in address for address in _image_addresses(whole, base)):
            return None
    return inside or None


def _image_addresses(parts: Sequence[Tag], base: str) -> Iterator[str]:
    """Everything in the images of `parts` that may be an address, absolute."""
    for image in (image for part in parts for image in (part, *part.find_all(True)) if _is_image(image)):
        for name, value in image.attrs.items():
            if name == "src" or name == "srcset" or name.startswith("data-"):
                for word in re.split(r",\s+", str(value)) if "srcset" in name else [str(value)]:
                    address = (word.split() or [""])[0]
                    if re.match(r"https?://|/|\.|[\w%./-]+\.(?i:jpe?g|png|gif|webp|avif)\b", address):
                        try:
                            yield urljoin(base, address)
                        except ValueError:
                            continue


def _is_image(element: Tag) -> bool:
    return element.name == "img" or (element.name == "source" and element.find_parent("picture") is not None)


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
    words = WORD.findall(" ".join(_soup(decode(html, None).text).stripped_strings))
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


if __name__ == "__main__":
    raise SystemExit(run_command(FixtureConfig, make_folder, __doc__ or ""))
