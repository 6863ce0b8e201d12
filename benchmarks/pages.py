"""The sets of real pages that extraction is measured on, as they lie in the material's folder."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.command import InputError

INTERLEAVED = "interleave_score.py"
ARTICLES = "article_score.py"
SCORERS = {"readability": INTERLEAVED, "aeb": ARTICLES, "wcxb": ARTICLES}
"""The sets, and the script that scores each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPage:
    """A page as it was served."""

    id: str
    url: str
    html: bytes
    kind: str
    """The page's type where the set has types (wcxb), otherwise empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSet:
    """Pages, and the script outside the project that scores predictions for them."""

    name: str
    folder: Path
    scorer: Path
    pages: tuple[SavedPage, ...]


def read_sets(material: Path, scorers: Path) -> list[PageSet]:
    """All sets; raises InputError where pages or scorers, which do not come with the project, are absent."""
    for scorer in dict.fromkeys(SCORERS.values()):
        if not (scorers / scorer).is_file():
            raise InputError(
                f"{scorers / scorer} is absent; the scorers do not come with the project: "
                "name their folder with --scorers"
            )
    folders = {name: material / "pages" / name for name in SCORERS}
    return [
        PageSet(name=name, folder=folder, scorer=scorers / SCORERS[name], pages=tuple(read_pages(folder)))
        for name, folder in folders.items()
    ]


def read_pages(folder: Path) -> list[SavedPage]:
    """The pages of one set: folders with `source.html`, or `<id>.html.gz` files beside `ground-truth.json`.

    Raises InputError where neither is found.
    """
    pages = list(_in_folders(folder)) or list(_in_archive(folder))
    if not pages:
        raise InputError(
            f"{folder} holds no pages; real material does not come with the project: name its folder with --material"
        )
    return pages


def _in_folders(folder: Path) -> Iterator[SavedPage]:
    for source in sorted(folder.glob("*/source.html")):
        url = json.loads((source.parent / "meta.json").read_text(encoding="utf-8"))["url"]
        yield SavedPage(id=source.parent.name, url=url, html=source.read_bytes(), kind="")


def _in_archive(folder: Path) -> Iterator[SavedPage]:
    truth = folder / "ground-truth.json"
    items = json.loads(truth.read_text(encoding="utf-8")) if truth.exists() else {}
    for page_id, item in items.items():
        file = folder / f"{page_id}.html.gz"
        if file.exists():
            html = gzip.decompress(file.read_bytes())
            yield SavedPage(id=page_id, url=item.get("url", ""), html=html, kind=item.get("page_type", ""))
