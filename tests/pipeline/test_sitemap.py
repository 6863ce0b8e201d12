"""Sitemaps: what they list comes in order, what is no sitemap is refused, and hostile ones cost little."""

import asyncio
import gzip
import random
import tracemalloc

import pytest

from pipeline.door import Fetched, FetchError
from pipeline.inputs.sitemap import MOST_BYTES, Sitemap, SitemapError, list_site, read_sitemap

HERE = "https://a.org/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
IMAGES = 'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'


def urls(*addresses: str) -> bytes:
    entries = "".join(f"<url><loc>{address}</loc><priority>0.5</priority></url>" for address in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {NAMESPACE}>{entries}</urlset>'.encode()


def index(*addresses: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{address}</loc></sitemap>" for address in addresses)
    return f"<sitemapindex {NAMESPACE}>{entries}</sitemapindex>".encode()


def test_pages_come_in_order_each_once_and_canonical():
    made = read_sitemap(urls("https://a.org/b", " https://a.org/a&amp;c#d \n", "https://a.org/b", "/relative"), HERE)
    assert made == Sitemap(pages=("https://a.org/b", "https://a.org/a&c", "https://a.org/relative"), sitemaps=())


def test_an_index_leads_to_sitemaps():
    made = read_sitemap(index("https://a.org/1.xml", "ftp://a.org/2.xml"), HERE)
    assert made == Sitemap(pages=(), sitemaps=("https://a.org/1.xml",))


def test_compressed_text_and_other_spellings():
    assert read_sitemap(gzip.compress(urls("https://a.org/")), HERE).pages == ("https://a.org/",)
    assert read_sitemap(b"\xef\xbb\xbfhttps://a.org/\r\n\r\nhttps://a.org/b\nnot an address\n", HERE).pages == (
        "https://a.org/",
        "https://a.org/b",
    )
    assert read_sitemap(b"<urlset><url><loc>https://a.org/</loc></url></urlset>", HERE).pages == ("https://a.org/",)
    wide = urls("https://a.org/").replace(b"UTF-8", b"UTF-16").decode().encode("utf-16")
    assert read_sitemap(wide, HERE).pages == ("https://a.org/",)
    assert read_sitemap(b"", HERE) == Sitemap(pages=(), sitemaps=())


def test_addresses_of_images_are_no_pages():
    data = (
        f"<urlset {NAMESPACE} {IMAGES}><url><loc>https://a.org/</loc>"
        "<image:image><image:loc>https://a.org/x.png</image:loc></image:image></url></urlset>"
    )
    assert read_sitemap(data.encode(), HERE).pages == ("https://a.org/",)


def test_a_bare_ampersand_and_a_cut_are_mended():
    assert read_sitemap(urls("https://a.org/?a=1&b=2", "https://a.org/c"), HERE).pages[-1] == "https://a.org/c"
    assert read_sitemap(urls("https://a.org/", "https://a.org/b")[:-30], HERE).pages[0] == "https://a.org/"


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE urlset [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE urlset SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
def test_document_types_and_entities_are_refused(doctype):
    data = f"{doctype}<urlset><url><loc>https://a.org/&b;</loc></url></urlset>".encode()
    with pytest.raises(SitemapError, match="document type"):
        read_sitemap(data, HERE)


def test_a_bomb_stops_at_its_bound():
    bomb = gzip.compress(bytes(4 * MOST_BYTES))
    tracemalloc.start()
    with pytest.raises(SitemapError, match="cannot be decompressed"):
        read_sitemap(bomb, HERE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MOST_BYTES


def test_mutated_sitemaps_never_raise_anything_else():
    choice = random.Random(20261121)
    original = urls(*(f"https://a.org/{number}" for number in range(30))) + index("https://a.org/1.xml")
    found = refused = 0
    for _ in range(2000):
        data = bytearray(original)
        for _ in range(choice.randrange(1, 20)):
            data[choice.randrange(len(data))] = choice.choice(b"<>&;![]-\0\xff/aA" + bytes([choice.randrange(256)]))
        try:
            found += bool(read_sitemap(bytes(data), HERE).pages)
        except SitemapError:
            refused += 1
    assert found > 1000
    assert found + refused <= 2000


class Site:
    """A door to sitemaps by address; what it was asked is kept."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked.append(url)
        if url not in self.answers:
            raise FetchError("http_404")
        return Fetched(url=url, content_type="application/xml", data=self.answers[url])


def listed(site: Site, limit: int | None = None) -> tuple[list[str], list[str]]:
    notes: list[str] = []
    return asyncio.run(list_site(HERE, site, limit, notes.append)), notes


def test_a_site_is_listed_through_its_indexes():
    site = Site(
        {
            HERE: index("https://a.org/1.xml", "https://a.org/none.xml", "https://a.org/2.xml", HERE),
            "https://a.org/1.xml": urls("https://a.org/a", "https://a.org/b"),
            "https://a.org/2.xml": urls("https://a.org/b", "https://a.org/c"),
        }
    )
    pages, notes = listed(site)
    assert pages == ["https://a.org/a", "https://a.org/b", "https://a.org/c"]
    assert notes == ["the sitemap https://a.org/none.xml gave nothing: http_404"]
    assert len(site.asked) == 4


def test_indexes_that_lead_to_each_other_end():
    deep = {f"https://a.org/{n}.xml": index(f"https://a.org/{n + 1}.xml", HERE) for n in range(20)}
    site = Site({HERE: index("https://a.org/0.xml"), **deep})
    pages, notes = listed(site)
    assert pages == []
    assert len(site.asked) == 3
    assert "lie deeper than 3 levels" in notes[0]


def test_a_limit_ends_the_reading():
    many = {f"https://a.org/{n}.xml": urls(*(f"https://a.org/{n}/{m}" for m in range(10))) for n in range(50)}
    site = Site({HERE: index(*many), **many})
    pages, notes = listed(site, limit=15)
    assert len(pages) == 15
    assert pages[-1] == "https://a.org/1/4"
    assert len(site.asked) == 9
    assert notes == []
