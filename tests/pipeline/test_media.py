"""Images, videos and players of a page: every way to name one, what is kept of it, and why others are left out."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from pipeline.extract import extract
from pipeline.extraction.blocks import blocks_of
from pipeline.extraction.containers import containers_of
from pipeline.extraction.markup import parse
from pipeline.extraction.media import LEAST_DATA, MOST_ADDRESSES, MOST_DATA, pixels
from pipeline.extraction.segments import cut
from pipeline.page import Block, ImageReference, VideoReference

BASE = "http://x.org/dir/"
TEXT = "The bread rests for an hour under a cloth, and then it is baked in a hot oven until the crust sounds hollow."


def blocks(
    body: str, *, keep: Sequence[bool] | None = None, licences: Mapping[str, str] | None = None, backgrounds=False
) -> tuple[tuple[Block, ...], Counter[str]]:
    """The blocks of a page of which everything is kept, or what `keep` says."""
    html = f"<html><body>{body}</body></html>"
    segments, _ = cut(html, parse(html), backgrounds=backgrounds)
    kept = [True] * len(segments) if keep is None else keep
    return blocks_of(segments, containers_of(segments), kept, BASE, licences or {})


def image(body: str, **options) -> ImageReference:
    (found,) = (block for block in blocks(body, **options)[0] if isinstance(block, ImageReference))
    return found


def video(body: str) -> VideoReference:
    (found,) = (block for block in blocks(body)[0] if isinstance(block, VideoReference))
    return found


def named(body: str) -> list[str]:
    """All addresses of the images, those of the page's folder without it."""
    found = (block for block in blocks(body)[0] if isinstance(block, ImageReference))
    return [url.removeprefix(BASE) for block in found for url in (block.url, *block.alternatives)]


def data_image(size: int) -> str:
    return "data:image/png;base64," + base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    ("tag", "addresses"),
    [
        ("<img src=i.png>", ["i.png"]),
        ("<img src=/root.png>", ["http://x.org/root.png"]),
        ("<img src=//cdn.org/a.png>", ["http://cdn.org/a.png"]),
        ("<img src='../a b.png#part'>", ["http://x.org/a%20b.png"]),
        ("<img srcset='s.png 100w, l.png 900w' sizes=50vw src=f.png>", ["l.png", "s.png", "f.png"]),
        ("<img srcset='a.png, b.png 2x'>", ["b.png", "a.png"]),
        ("<img src=i.png srcset='i.png 1x'>", ["i.png"]),
        ("<img src='data:image/gif;base64,R0lGOD' data-src=real.png>", ["real.png"]),
        ("<img src=spacer.gif data-lazy-src=real.png>", ["real.png"]),
        ("<img src=t.png data-of-some-script-full=/big/real.jpg>", ["http://x.org/big/real.jpg", "t.png"]),
        ("<picture><source srcset='p.webp 2x'><img src=p.png></picture>", ["p.webp", "p.png"]),
        ("<picture><source type=image/jxl srcset=p.jxl><img src=p.png></picture>", ["p.png", "p.jxl"]),
        ("<picture><source srcset=a.png><source srcset=b.png><img></picture>", ["a.png", "b.png"]),
        ("<noscript><img src=n.png></noscript>", ["n.png"]),
        ("<amp-img src=a.png></amp-img>", ["a.png"]),
        ("<a href=big.jpg><img src=small.jpg></a>", ["small.jpg", "big.jpg"]),
        ("<a href='big.JPEG?w=2000'><img src=small.jpg></a>", ["small.jpg", "big.JPEG?w=2000"]),
        ("<a href=page.html><img src=small.jpg></a>", ["small.jpg"]),
        ("<a href=big.jpg>text</a><img src=small.jpg>", ["small.jpg"]),
        ("<figure itemid=/late.jpg?w=600><figcaption>A boat</figcaption></figure>", ["http://x.org/late.jpg?w=600"]),
        ("<figure itemid=/late.jpg><div><img src=i.png></div></figure>", ["i.png"]),
        ("<figure data-src=/late.jpg></figure>", ["http://x.org/late.jpg"]),
        ("<figure itemid=/late.jpg><figcaption>A boat", ["http://x.org/late.jpg"]),
        ("<figure title='see /late.jpg'><figcaption>A boat</figcaption></figure>", []),
        ("<img src='javascript:x'>", []),
        ("<img src=' '>", []),
        ("<img src=1x1.gif>", []),
        ("<img alt=none>", []),
    ],
)
def test_every_way_to_name_an_image(tag, addresses):
    assert named(tag) == addresses


@pytest.mark.parametrize(
    ("tag", "attribute"),
    [
        ("<img src=i.png>", "src"),
        ("<img srcset='i.png 2x' src=j.png>", "srcset"),
        ("<img data-src=i.png>", "data-src"),
        ("<picture><source srcset='i.png 2x'><img src=j.png></picture>", "source srcset"),
        ("<a href=i.png><img src='data:,'></a>", "a href"),
    ],
)
def test_the_attribute_of_origin_is_that_of_the_first_address(tag, attribute):
    assert (image(tag).url, image(tag).attribute) == (f"{BASE}i.png", attribute)


def test_a_larger_version_is_kept_however_many_addresses_a_picture_has():
    srcset = ", ".join(f"i{number}.png {number}00w" for number in range(1, 3 * MOST_ADDRESSES))
    found = image(f"<a href=big.jpg><img srcset='{srcset}'></a>")
    assert found.alternatives[-1] == f"{BASE}big.jpg"
    assert len(found.alternatives) <= MOST_ADDRESSES


def test_alt_title_and_declared_size_are_kept():
    found = image("<img src=i.png alt=' A  &amp; b ' title=T width=640 height='480px'>")
    assert (found.alt, found.title, found.width, found.height) == ("A & b", "T", 640, 480)


@pytest.mark.parametrize(
    ("length", "value"),
    [("640", 640), (" 64px ", 64), ("100%", 0), ("-1", 0), ("1e3", 0), ("auto", 0), ("", 0), ("9" * 99, 0), ("²", 0)],
)
def test_pixels(length, value):
    assert pixels(length) == value


def test_a_picture_in_the_page_itself_is_kept_where_it_is_one():
    assert image(f"<img src='{data_image(LEAST_DATA)}'>").url == data_image(LEAST_DATA)
    assert named(f"<img src='{data_image(LEAST_DATA - 1)}'>") == []
    assert named(f"<img src='{data_image(MOST_DATA + 1)}'>") == []
    assert named(f"<img src='data:image/png;base64,{'!' * 4000}'>") == []
    assert named(f"<img src='data:text/html;base64,{'A' * 4000}'>") == []


def test_a_picture_with_an_address_comes_before_the_same_in_the_page_itself():
    assert named(f"<img src='{data_image(2000)}' data-src=i.png>") == ["i.png", data_image(2000)]


@pytest.mark.parametrize(
    "body",
    [
        "<img src=i.png><img src=i.png>",
        "<img src=i.png><img src='i.png#again'>",
        "<img src='data:,' data-src=i.png><noscript><img src=i.png></noscript>",
        "<img data-src=i.png data-srcset='i-900.png 900w'><noscript><img src=i.png></noscript>",
        "<img src=i.png><a href=i.png><img src=thumbnail.png></a>",
    ],
)
def test_one_picture_named_twice_is_one_block(body):
    found, left_out = blocks(body)
    assert len(found) == 1
    assert left_out == {"repeated": 1}


def test_pictures_with_the_same_stand_in_are_two():
    body = "<img src=shared.png data-src=i.png><img src=shared.png data-src=j.png><img src=shared.png data-src=i.png>"
    found, left_out = blocks(body)
    assert [block.url for block in found if isinstance(block, ImageReference)] == [f"{BASE}i.png", f"{BASE}j.png"]
    assert left_out == {"repeated": 1}


def test_backgrounds_are_an_option():
    body = "<div style='color: red; background: url(b.jpg)'>text</div>"
    assert [type(block) for block in blocks(body)[0]] != [ImageReference]
    found = image(body, backgrounds=True)
    assert (found.url, found.attribute) == (f"{BASE}b.jpg", "style")
    assert blocks("<div style='list-style: url(b.jpg)'>text</div>", backgrounds=True)[1] == {"no_address": 1}


def test_backgrounds_and_drawings_of_a_whole_page():
    html = f"<h1>Bread</h1><p>{TEXT}</p><div style='background-image:url(b.jpg)'><p>{TEXT}</p></div><p>{TEXT}</p>"
    html += "<svg><title>t</title><svg></svg></svg>"
    without, with_backgrounds = (extract(html.encode(), BASE, backgrounds=option) for option in (False, True))
    assert without.left_out == {"inline_svg": 2}
    assert ImageReference not in map(type, without.blocks)
    assert with_backgrounds.left_out.keys() <= {"inline_svg", "outside_content"}


def test_a_point_in_the_content_is_a_tracker_unless_it_waits_for_a_picture():
    assert named("<img src=t.gif width=1 height=1>") == []
    assert image("<img src=t.gif width=1 height=1 data-src=real.jpg>").url.endswith("/real.jpg")
    assert image("<amp-img src=real.jpg width=1 height=1 layout=responsive></amp-img>").url.endswith("/real.jpg")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("<img src=t.gif width=1 height=1>", "tracker"),
        ("<img src=t.gif height=0 width=1>", "tracker"),
        ("<img src=t.png width=16 height=16>", "icon"),
        ("<img src=t.png width=32>", "icon"),
        ("<img src=t.png width=16 height=600>", "outside_content"),
        ("<img src=t.png>", "outside_content"),
        ("<iframe src=http://www.youtube.com/embed/x></iframe>", "outside_content"),
    ],
)
def test_media_outside_the_content_are_left_out_with_a_reason(tag, reason):
    assert blocks(tag, keep=[False]) == ((), {reason: 1})


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("<img>", "no_address"),
        ("<img src='data:image/gif;base64,R0lGOD'>", "no_address"),
        ("<video></video>", "no_player"),
        ("<audio src='blob:x'></audio>", "no_player"),
        ("<iframe src=http://ads.org/frame></iframe>", "no_player"),
        ("<iframe></iframe>", "no_player"),
        ("<embed src=clip.swf>", "no_player"),
    ],
)
def test_media_that_name_nothing_to_fetch_are_left_out_with_a_reason(tag, reason):
    assert blocks(tag) == ((), {reason: 1})


@pytest.mark.parametrize(
    ("body", "licence"),
    [
        ("<img src=i.png data-license='CC BY 4.0'>", "CC BY 4.0"),
        ("<img src=i.png data-copyright='A. Person'>", "A. Person"),
        ("<figure><img src=i.png><a rel=license href=/by>CC</a></figure>", "http://x.org/by"),
        ("<figure><img src=i.png><a rel='nofollow License' href=/by>CC</a></figure>", "http://x.org/by"),
        ("<figure><a itemprop=license href=/by>CC</a><img src=i.png></figure>", "http://x.org/by"),
        ("<figure><link itemprop=license href=http://cc.org/by><img src=i.png></figure>", "http://cc.org/by"),
        ("<figure><meta itemprop=license content=http://cc.org/by><img src=i.png></figure>", "http://cc.org/by"),
        ("<figure><img src=i.png><span itemprop=license>CC BY</span></figure>", ""),
        ("<figure><img src=i.png data-license=own><a rel=license href=/by>CC</a></figure>", "own"),
        ("<figure><img src=j.png></figure><figure><img src=j.png><a rel=license href=/by>CC</a></figure>", ""),
        ("<img src=i.png><a rel=license href=/by>of the page</a>", ""),
    ],
)
def test_licence_of_an_image(body, licence):
    assert image(body).licence == licence


def test_licence_of_an_image_in_json_ld():
    assert image("<img src=j.png srcset='i.png 2x'>", licences={f"{BASE}j.png": "by"}).licence == "by"


def test_a_video_has_its_sources_and_its_poster():
    found = video(
        "<video poster=p.jpg width=640 height=360 title=' A  clip '><source src=a.webm type=video/webm>"
        "<source src=a.mp4><track src=a.vtt><p>no video</p></video>"
    )
    assert (found.kind, found.url, found.alternatives) == ("video", f"{BASE}a.webm", (f"{BASE}a.mp4",))
    assert (found.poster, found.title, found.attribute) == (f"{BASE}p.jpg", "A clip", "source src")
    assert (found.width, found.height, found.path) == (640, 360, "/html[1]/body[1]/video[1]")


@pytest.mark.parametrize(
    ("tag", "kind", "url", "attribute"),
    [
        ("<video src=v.mp4></video>", "video", f"{BASE}v.mp4", "src"),
        ("<video data-src=v.mp4 poster=' '></video>", "video", f"{BASE}v.mp4", "data-src"),
        ("<video src=' '><source src=v.mp4></video>", "video", f"{BASE}v.mp4", "source src"),
        ("<amp-video src=v.mp4></amp-video>", "video", f"{BASE}v.mp4", "src"),
        ("<audio><source src=a.ogg></audio>", "audio", f"{BASE}a.ogg", "source src"),
        ("<audio src=a.mp3></audio>", "audio", f"{BASE}a.mp3", "src"),
    ],
)
def test_videos_and_sounds(tag, kind, url, attribute):
    found = video(tag)
    assert (found.kind, found.url, found.attribute, found.poster) == (kind, url, attribute, "")


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com/embed/abc",
        "https://www.youtube-nocookie.com/embed/abc?rel=0",
        "https://player.vimeo.com/video/123",
        "https://www.dailymotion.com/embed/video/x",
        "https://tube.example.social/videos/embed/0b1c",
        "https://w.soundcloud.com/player/?url=x",
    ],
)
def test_frames_that_play_are_players(address):
    found = video(f"<iframe src='{address}' title=clip width=560 height=315></iframe>")
    assert (found.kind, found.url, found.title, found.width, found.height) == ("player", address, "clip", 560, 315)
    lazy = video(f"<iframe src=about:blank data-src='{address.removeprefix('https:')}'></iframe>")
    assert (lazy.url, lazy.attribute) == (address.replace("https:", "http:"), "data-src")


@pytest.mark.parametrize(
    "tag",
    ["<lite-youtube videoid=abc></lite-youtube>", "<amp-youtube data-videoid=abc></amp-youtube>"],
)
def test_players_by_identifier(tag):
    found = video(tag)
    assert (found.kind, found.url, found.attribute) == ("player", "https://www.youtube.com/embed/abc", "videoid")


@pytest.mark.parametrize(
    "address",
    ["https://ads.org/frame", "https://www.google.com/maps/embed?pb=1", "https://evil.org/?u=https://youtu.be/x", "x"],
)
def test_other_frames_are_no_block(address):
    assert blocks(f"<iframe src='{address}'></iframe>") == ((), {"no_player": 1})


@pytest.mark.parametrize(
    ("body", "addresses"),
    [
        # Medium: a small picture, one that waits for a script, and the full one of the same name.
        ("<img src=60/a.png><img class=lazy><noscript><img src=2000/a.png></noscript>", ["2000/a.png", "60/a.png"]),
        ("<img data-src=800/a.png><noscript><img src=60/a.png></noscript>", ["800/a.png", "60/a.png"]),
        # Another picture is another block, whatever stands beside it.
        ("<img src=a.png><noscript><img src=b.png></noscript>", ["a.png", "b.png"]),
        (
            "".join(f"<noscript><img src={n}.jpg></noscript><img src=spacer.gif data-src={n}.jpg>" for n in range(3)),
            ["0.jpg", "1.jpg", "2.jpg"],
        ),
        (
            "".join(f"<img src=spacer.gif data-src={n}.jpg><noscript><img src={n}.jpg></noscript>" for n in range(3)),
            ["0.jpg", "1.jpg", "2.jpg"],
        ),
    ],
)
def test_a_picture_for_readers_without_scripts_replaces_no_other(body, addresses):
    assert [address for address in named(body) if "spacer" not in address] == addresses


def test_pictures_that_readers_see_are_two_though_their_files_have_one_name():
    found = blocks("<img src=spring/cover.png><img src=autumn/cover.png>")[0]
    assert [block.url.removeprefix(BASE) for block in found if isinstance(block, ImageReference)] == [
        "spring/cover.png",
        "autumn/cover.png",
    ]
