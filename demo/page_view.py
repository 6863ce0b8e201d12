"""A page of the demo's site as its reader saw it, in one piece: its pictures are taken into it from the folder."""

from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from lxml import html

from shards.show import data_uri

SUFFIXES = {".png": "png", ".jpg": "jpg", ".webp": "webp", ".gif": "gif"}
ACTIVE = ("base", "script", "link", "iframe", "object", "embed", "meta")
"""Elements that would fetch or run something, or that change what an address means."""


def page_html(folder: Path, base_url: str, source: str) -> str:
    """The page at `source` of the site that lay in `folder` and was served at `base_url`.

    Its images become data URIs and its links lead nowhere; an image that the site lacks shows its alt text, as it
    did when the page was read.
    """
    file = site_file(folder, base_url, source)
    if file is None:
        raise ValueError(f"{source} is no page of the site in {folder} that was served at {base_url}")
    tree = html.document_fromstring(file.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))
    base = urljoin(source, next(iter(tree.xpath("//base/@href")), ""))
    for image in tree.iter("img", "source"):
        embed(image, base, folder, base_url)
    for link in tree.iter("a"):
        link.set("href", "#")
    for element in list(tree.iter(*ACTIVE)):
        element.drop_tree()
    return html.tostring(tree, doctype="<!DOCTYPE html>", encoding="utf-8").decode("utf-8")


def embed(image: html.HtmlElement, base: str, folder: Path, base_url: str) -> None:
    """Puts the picture that `src` names in its place, and removes the other addresses that the element offers."""
    address = image.get("src", "")
    for name in ("src", "srcset", "data-src"):
        image.attrib.pop(name, None)
    file = site_file(folder, base_url, urljoin(base, address))
    if address.startswith("data:"):
        image.set("src", address)
    elif file is not None and file.suffix in SUFFIXES:
        image.set("src", data_uri(file.read_bytes(), SUFFIXES[file.suffix]))


def site_file(folder: Path, base_url: str, address: str) -> Path | None:
    """The file of the site at `address`, or None: an address elsewhere, outside the folder, or of no file."""
    if not address.startswith(base_url):
        return None
    path = unquote(urlsplit(address).path).lstrip("/") or "index.html"
    file = (folder / path).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
