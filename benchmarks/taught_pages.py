"""Labels for the pictures of pages on which people marked at most the text: what Readability.js keeps of them.

`--pages` names folders of web pages, such as checkouts of the tests of extraction projects; with them come the marked
pages of the material and of `--extra`, the folder that `benchmarks.fixture_pages` makes, which gets the result:
taught.json, and the pages of `--pages`. `--node` is a folder in which `npm install @mozilla/readability jsdom` was run.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import lxml.html

from benchmarks.marked_pages import TAUGHT, picture_addresses, read_pages
from jobs.command import InputError, run_command
from pipeline.extraction.encodings import decode
from pipeline.extraction.head import read_head
from pipeline.extraction.markup import parse

SCRIPT = Path(__file__).with_name("readability.mjs")
NOWHERE = "http://page.example/"
"""The address of a page that does not name its own."""
LEAST_BYTES, MOST_BYTES = 3_000, 2_000_000
"""Smaller files are no pages; larger ones take jsdom minutes."""


@dataclass(frozen=True, kw_only=True)
class TaughtConfig:
    """Which pages are shown to Readability.js."""

    extra: Path
    """Folder that `benchmarks.fixture_pages` made; it gets taught.json."""
    node: Path
    """Folder with node_modules."""
    pages: tuple[Path, ...] = ()
    """Folders with further web pages."""
    material: Path = Path("../shared/material")
    """Folder with the marked pages."""
    labels: Path = Path("tests/pipeline/wcxb_images.json")
    """Which pictures belong to the content on 40 pages of wcxb; these need no teacher."""

    def __post_init__(self) -> None:
        """Refuses a folder without the packages."""
        if not (self.node / "node_modules" / "jsdom").is_dir():
            raise ValueError(f"{self.node} has no node_modules/jsdom; run npm install @mozilla/readability jsdom there")


def make_labels(config: TaughtConfig) -> None:
    """Writes taught.json: of each page its address, the text that was kept, and the pictures."""
    addresses: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        lines: list[str] = []
        for name, url, text in _pages(config):
            file, addresses[name] = Path(folder, f"{len(lines)}.html"), url
            file.write_text(text, encoding="utf-8", errors="replace")
            lines.append(json.dumps({"id": name, "url": url, "file": str(file)}))
        kept = _keep(lines, config.node)
    record = {row["id"]: _label(addresses[row["id"]], row["text"], row["html"]) for row in kept}
    (config.extra / TAUGHT).write_text(json.dumps(record, ensure_ascii=False, indent=1))
    print(f"{len(record)} of {len(addresses)} pages have an article, in {config.extra / TAUGHT}.")


def _keep(lines: Sequence[str], node: Path) -> list[dict[str, str]]:
    """What Readability.js says of each page. Raises InputError if it cannot be run."""
    environment = os.environ | {"NODE_FOLDER": str(node.resolve())}
    command = ["node", str(SCRIPT)]
    try:
        run = subprocess.run(
            command, input="\n".join(lines), env=environment, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"node {SCRIPT} failed: {getattr(error, 'stderr', None) or error}") from None
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def _label(url: str, text: str, html: str) -> dict[str, object]:
    content = lxml.html.document_fromstring(f"<div>{html}</div>")
    images = {
        address for image in content.iter("img", "source") for address in picture_addresses(image.attrib, (), url)
    }
    return {"url": url, "text": text, "images": sorted(images)}


def _pages(config: TaughtConfig) -> Iterator[tuple[str, str, str]]:
    """Name, address and text of each page; those of `--pages` go to the folder too, each title once."""
    for page in read_pages(config.material, config.labels, config.extra):
        if page.pictures is None and len(page.html) < MOST_BYTES:
            yield page.id, page.url if page.url.startswith("http") else NOWHERE, decode(page.html, None).text
    titles = set[str]()
    for folder in config.pages:
        for file in sorted(folder.rglob("*.html")):
            if LEAST_BYTES < file.stat().st_size < MOST_BYTES:
                text = decode(file.read_bytes(), None).text
                head = read_head(parse(text), NOWHERE)
                if head.title not in titles:
                    titles.add(head.title)
                    name = f"taught-{len(titles)}-{file.stem}"
                    (config.extra / f"{name}.html").write_text(text, encoding="utf-8", errors="replace")
                    yield name, head.canonical or NOWHERE, text


if __name__ == "__main__":
    raise SystemExit(run_command(TaughtConfig, make_labels, __doc__ or ""))
