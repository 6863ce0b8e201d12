"""A folder of HTML files: pages by their path, pictures by any address that pages give them, nothing from outside."""

import asyncio
import random

import pytest

from jobs.command import InputError
from pipeline.door import Fetched, FetchError
from pipeline.inputs.html_folder import HtmlFolder, list_folder, published_at
from shards.location import locate

PAGE = b'<html><head><link rel="canonical" href="https://a.org/recipes/soup"></head><body><p>Soup</body></html>'


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "site"
    for name, data in {
        "index.html": b"<p>Home",
        "recipes/soup.HTM": PAGE,
        "recipes/soup.png": b"\x89PNG",
        "pictures/a b.webp": b"RIFF",
        "cdn.org/x.jpg": b"\xff\xd8",
        "x.jpg": b"other",
        "view.php?page=1": b"by query",
        "notes.txt": b"no page",
    }.items():
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_bytes(data)
    (tmp_path / "secret.html").write_bytes(b"outside")
    return inside


def fetch(folder, url: str, base: str = "", most_bytes: int = 10_000) -> Fetched:
    return asyncio.run(HtmlFolder(locate(str(folder)), base).fetch(url, most_bytes))


def test_pages_are_listed_sorted_and_have_an_address(folder):
    pages = list_folder(locate(str(folder)))
    assert pages == ["index.html", "recipes/soup.HTM"]
    assert HtmlFolder(locate(str(folder)), "https://b.org/x/").address(pages[1]) == "https://b.org/x/recipes/soup.HTM"
    assert HtmlFolder(locate(str(folder)), "").address("a b.html") == "http://folder.invalid/a%20b.html"
    for empty in ("pictures", "none"):
        with pytest.raises(InputError, match="holds no file whose name ends in"):
            list_folder(locate(str(folder / empty)))


def test_a_page_comes_from_where_it_was_published_unless_a_base_is_given(folder):
    home = fetch(folder, "http://folder.invalid/index.html")
    assert (home.url, home.content_type, home.data) == ("http://folder.invalid/index.html", "text/html", b"<p>Home")
    assert fetch(folder, "http://folder.invalid/recipes/soup.HTM").url == "https://a.org/recipes/soup"
    assert fetch(folder, "https://b.org/recipes/soup.HTM", "https://b.org/").url == "https://b.org/recipes/soup.HTM"


@pytest.mark.parametrize(
    ("url", "data", "kind"),
    [
        ("https://a.org/recipes/soup.png", b"\x89PNG", "image/png"),
        ("https://a.org/recipes/soup.png?width=300", b"\x89PNG", "image/png"),
        ("https://a.org/pictures/a%20b.webp", b"RIFF", "image/webp"),
        ("https://cdn.org/x.jpg", b"\xff\xd8", "image/jpeg"),
        ("https://a.org/x.jpg", b"other", "image/jpeg"),
        ("https://a.org/view.php?page=1", b"by query", ""),
        ("http://folder.invalid/pictures/a%20b.webp", b"RIFF", "image/webp"),
    ],
)
def test_pictures_are_found_by_path_with_and_without_their_host(folder, url, data, kind):
    found = fetch(folder, url)
    assert (found.url, found.data, found.content_type) == (url, data, kind)


@pytest.mark.parametrize(
    "url",
    [
        "http://folder.invalid/none.html",
        "http://folder.invalid/recipes/",
        "http://folder.invalid/",
        "http://folder.invalid/../secret.html",
        "http://folder.invalid/recipes/%2e%2e/%2E%2E/secret.html",
        "http://folder.invalid//../secret.html",
        "https://../secret.html",
        "https://a.org/%00",
        "data:image/png;base64,",
    ],
)
def test_nothing_comes_from_outside(folder, url):
    with pytest.raises(FetchError, match=r"^not_in_folder$"):
        fetch(folder, url)


def test_a_long_file_is_too_large(folder):
    with pytest.raises(FetchError, match=r"^too_large$"):
        fetch(folder, "http://folder.invalid/index.html", most_bytes=3)


def test_where_a_page_was_published():
    assert published_at(PAGE) == "https://a.org/recipes/soup"
    assert published_at(b'<meta property="og:url" content="https://a.org/b#c">') == "https://a.org/b"
    assert published_at(b'<link rel="CANONICAL canonical" href="/relative"><meta property="og:url">') is None
    assert published_at(b"") is None
    assert published_at(b"\0\0\0") is None


def test_any_page_and_any_address_is_an_answer_or_a_reason(folder):
    choice = random.Random(20261121)
    signs = "/.%2e\0?#:&é \\abc"
    reasons = set()
    for _ in range(2000):
        page = bytearray(PAGE)
        for _ in range(choice.randrange(1, 20)):
            page[choice.randrange(len(page))] = choice.randrange(256)
        published_at(bytes(page))
        try:
            fetch(folder, f"http://folder.invalid/{''.join(choice.choices(signs, k=12))}index.html")
        except FetchError as error:
            reasons.add(error.reason)
    assert reasons == {"not_in_folder"}
