"""What a page says of itself: each field, in every spelling that pages use, and heads that must not break it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.head import MOST_DESCRIPTION, MOST_JSON, Head, directives, read_head
from pipeline.extraction.markup import parse

URL = "http://x.org/dir/page.html"


def head(markup: str, *, url: str = URL, attributes: str = "", body: str = "") -> Head:
    return read_head(parse(f"<html {attributes}><head>{markup}</head><body>{body}</body></html>"), url)


def json_ld(value: object) -> str:
    return f"<script type='application/ld+json'>{json.dumps(value)}</script>"


def test_a_page_that_says_nothing_has_empty_fields_and_is_its_own_base():
    found = head("")
    assert (found.title, found.language, found.canonical, found.published, found.licence) == ("", "", "", "", "")
    assert (found.base, found.licences, found.directives, found.links) == (URL, {}, frozenset(), ())


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title> Bread \n and   butter </title>", "Bread and butter"),
        ("<title>One &amp; two &lt;b&gt;</title>", "One & two <b>"),
        ("<title>first</title><title>second</title>", "first"),
        ("<title></title>", ""),
        ("<title>caf\u00e9 \u4e2d\u6587</title>", "caf\u00e9 \u4e2d\u6587"),
    ],
)
def test_title(markup, title):
    assert head(markup).title == title


def test_the_title_of_a_drawing_is_not_that_of_the_page():
    assert head("", body="<svg><title>Magnifying glass</title></svg>").title == ""


@pytest.mark.parametrize(
    ("attributes", "language"), [("lang=EN-gb", "en-gb"), ("lang=' de '", "de"), ("lang", ""), ("xml:lang=fr", "")]
)
def test_language(attributes, language):
    assert head("", attributes=attributes).language == language


@pytest.mark.parametrize(
    ("markup", "base"),
    [
        ("<base href='http://y.org/b/'>", "http://y.org/b/"),
        ("<base href=/root/>", "http://x.org/root/"),
        ("<base href='sub/'><base href='http://z.org/'>", "http://x.org/dir/sub/"),
        ("<base target=_blank><base href='http://y.org/'>", "http://y.org/"),
        ("<base target=_blank>", URL),
        ("<base href=''>", URL),
        ("<base href='javascript:alert(1)'>", URL),
        ("<base href='http://[broken'>", URL),
    ],
)
def test_base(markup, base):
    assert head(markup).base == base


@pytest.mark.parametrize(
    ("markup", "canonical"),
    [
        ("<link rel=canonical href='https://x.org/bread'>", "https://x.org/bread"),
        ("<link rel='Canonical nofollow' href=/bread>", "http://x.org/bread"),
        ("<base href='http://y.org/'><link rel=canonical href=bread>", "http://y.org/bread"),
        ("<link rel=canonical href=''><link rel=canonical href=/second>", "http://x.org/second"),
        ("<link rel=canonical>", ""),
        ("<link rel=canonical href='mailto:a@b.org'>", ""),
        ("<link rel=alternate href=/other>", ""),
    ],
)
def test_canonical(markup, canonical):
    assert head(markup).canonical == canonical


@pytest.mark.parametrize(
    ("markup", "published"),
    [
        ("<meta property='article:published_time' content='2024-05-01T10:00:00Z'>", "2024-05-01T10:00:00Z"),
        ("<meta name='article:published_time' content='2024-05-01'>", "2024-05-01"),
        ("<meta property=og:published_time content=2024>", "2024"),
        ("<meta itemprop=datePublished content=' 2024-05-01 '>", "2024-05-01"),
        ("<meta name=DC.date.issued content=2024>", "2024"),
        ("<meta name=date content=2020><meta itemprop=datePublished content=2021>", "2021"),
        ("<meta name=date content=2020><meta name=date content=2021>", "2020"),
        ("<meta name=date content=''><meta name=date content=2021>", "2021"),
        ("<meta name=date>", ""),
        ("<meta name=modified content=2020>", ""),
    ],
)
def test_published(markup, published):
    assert head(markup).published == published


@pytest.mark.parametrize(
    ("markup", "body", "licence"),
    [
        ("<link rel=license href='https://cc.org/by'>", "", "https://cc.org/by"),
        ("", "<a rel='license nofollow' href='https://cc.org/by/4.0/'>CC BY</a>", "https://cc.org/by/4.0/"),
        ("", "<a rel=LICENSE href=/terms>terms</a>", "http://x.org/terms"),
        ("<link rel=license href=/a>", "<a rel=license href=/b>b</a>", "http://x.org/a"),
        ("", "<a rel=license>CC BY</a>", ""),
        ("", "<a href=/license>licence</a>", ""),
    ],
)
def test_licence(markup, body, licence):
    assert head(markup, body=body).licence == licence


@pytest.mark.parametrize(
    ("value", "licences"),
    [
        ({"@type": "ImageObject", "contentUrl": "http://x.org/a.jpg", "license": "by"}, {"http://x.org/a.jpg": "by"}),
        ({"@id": "http://x.org/b", "license": "by"}, {"http://x.org/b": "by"}),
        ({"url": "http://x.org/c", "contentUrl": "http://x.org/d", "license": "by"}, dict.fromkeys("cd", "by")),
        ([{"@graph": [{"image": {"url": "http://x.org/e", "license": "by-sa"}}]}], {"http://x.org/e": "by-sa"}),
        ({"url": "http://x.org/f", "license": {"@type": "CreativeWork"}}, {}),
        ({"url": ["http://x.org/g"], "license": "by"}, {}),
        ({"license": "by"}, {}),
        ("license", {}),
        (None, {}),
    ],
)
def test_licences_of_pictures_in_json_ld(value, licences):
    expected = {address if "://" in address else f"http://x.org/{address}": by for address, by in licences.items()}
    assert head(json_ld(value)).licences == expected


@pytest.mark.parametrize(
    "script",
    [
        "",
        '{"license": ',
        '{"license": "by", "url": "http://x.org/a"} trailing',
        "[" * 300_000 + '"license"',
        '{"license":' * 60_000,
        '{"license": "by", "url": "http://x.org/a", "size": ' + "9" * 10_000 + "}",
        '{"license": "by", "url": "http://x.org/a", "text": "' + "x" * MOST_JSON + '"}',
        "<!-- " + '{"license": "by", "url": "http://x.org/a"}' + " -->",
    ],
    ids=["empty", "broken", "trailing", "deep", "deep objects", "number", "huge", "comment"],
)
def test_json_ld_that_cannot_be_read_gives_nothing_and_spoils_nothing(script):
    good = json_ld({"url": "http://x.org/good", "license": "by"})
    found = head(f"<title>T</title><script type='application/ld+json'>{script}</script>{good}")
    assert (found.licences, found.title) == ({"http://x.org/good": "by"}, "T")


def test_a_licence_can_be_printed_whatever_json_escapes():
    found = head('<script type=application/ld+json>{"url": "http://x.org/a", "license": "\\ud800 by"}</script>')
    assert all(licence.encode() for licence in found.licences.values())


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<meta name=robots content='noindex, follow'>", {"noindex"}),
        ("<meta name=ROBOTS content=' NOAI ,NoImageAI'>", {"noai", "noimageai"}),
        ("<meta name=robots content=none>", {"noindex"}),
        ("<meta name=robots content=noindex><meta name=robots content=noimageindex>", {"noindex", "noimageindex"}),
        ("<meta name=robots content=nofollow>", set()),
        ("<meta name=robots>", set()),
        ("<meta name=description content=noindex>", set()),
    ],
)
def test_directives(markup, expected):
    assert head(markup).directives == expected


def test_directives_of_several_contents_add_up():
    assert directives(["noai", "none,max-snippet:-1", ""]) == {"noai", "noindex"}


def test_links_are_as_written_in_order_and_each_once():
    body = "<a href='one#x'>1</a><nav><a href=/two>2</a></nav><a name=here>3</a><a href=''>4</a><a href='one#x'>5</a>"
    assert head("", body=body).links == ("one#x", "/two", "")


def test_the_description_holds_metas_and_json_ld_and_is_bounded():
    found = head("<meta property=og:type content=article>" + json_ld({"@type": "NewsArticle"}))
    assert "og:type=article" in found.description
    assert "NewsArticle" in found.description
    long = head(f"<meta name=a content={'x' * 10_000}>" + json_ld("y" * 10_000))
    assert len(long.description) <= 2 * MOST_DESCRIPTION


PIECES = [
    "<meta", "<base", "<link", "<a", "<title", "<script type=application/ld+json", "<html", "<body", "<!--", "-->", ">",
    "</title>", "</script>", " name=robots", " property=", " content=noai", " content", " rel", " rel='license", "'",
    " href", " href=//[", " href='http://\x00'", ' "', "{", "}", '"license":', "\ud800", "\0", "=<!-- x -->", " lang",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_no_head_raises_and_all_it_gives_are_strings(markup):
    found = read_head(parse(markup), URL)
    assert found.base.startswith("http")
    strings = (found.title, found.language, found.canonical, found.published, found.licence, found.description)
    assert all(isinstance(value, str) for value in (*strings, *found.links, *found.licences.values()))


def test_json_ld_gives_the_time_of_publication_where_no_meta_does():
    script = (
        '<script type="application/ld+json">{"@type": "NewsArticle", "datePublished" : "2024-05-06T07:08"}</script>'
    )
    meta = "<meta property='article:published_time' content='2023-01-02'>"
    assert read_head(parse(f"<html><head>{script}</head></html>"), "http://x.org/").published == "2024-05-06T07:08"
    assert read_head(parse(f"<html><head>{script}{meta}</head></html>"), "http://x.org/").published == "2023-01-02"
