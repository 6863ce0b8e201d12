"""One picture in several sizes: addresses as sites of the material write them."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.blocks import blocks_of
from pipeline.extraction.containers import containers_of
from pipeline.extraction.markup import parse
from pipeline.extraction.media import MOST_ADDRESSES
from pipeline.extraction.segments import cut
from pipeline.extraction.spellings import longest_side, picture_of
from pipeline.page import ImageReference

SIZES = {
    "wordpress": ("https://a.com/2024/01/spoons.jpg", "https://a.com/2024/01/spoons-300x200.jpg"),
    "wordpress's largest": ("https://a.com/spoons-scaled.jpg", "https://a.com/spoons-1024x768.jpg"),
    "shopify": ("https://a.com/files/tray_600x.jpg?v=17", "https://a.com/files/tray_x120.jpg?v=17"),
    "shopify's query": ("https://a.com/files/tray.jpg?v=17&width=1080", "https://a.com/files/tray.jpg?v=17&width=360"),
    "etsy": ("https://a.com/r/il/26/65/il_75x75.650_mnzb.jpg", "https://a.com/r/il/26/65/il_1588xN.650_mnzb.jpg"),
    "etsy whole": (
        "https://a.com/r/il/26/65/il_fullxfull.650_mnzb.jpg",
        "https://a.com/r/il/26/65/il_75x75.650_mnzb.jpg",
    ),
    "wikimedia": (
        "https://a.org/thumb/3/3e/Flag.svg/250px-Flag.svg.png",
        "https://a.org/thumb/3/3e/Flag.svg/46px-Flag.svg.png",
    ),
    "amazon": ("https://a.com/images/I/71abc._AC_SX300_.jpg", "https://a.com/images/I/71abc._AC_US40_.jpg"),
    "medium": ("https://a.com/v2/resize:fill:80:53/1*w8Z7.png", "https://a.com/v2/resize:fit:660/1*w8Z7.png"),
    "medium of old": ("https://a.com/max/60/1*w8Z7.png", "https://a.com/max/1200/1*w8Z7.png"),
    "cloudinary": (
        "https://a.com/upload/f_auto,q_1,w_50/team.png",
        "https://a.com/upload/f_auto,q_auto,w_1000/team.png",
    ),
    "imgix": ("https://a.com/team.png?auto=webp&w=150&q=20", "https://a.com/team.png?w=656&q=75&auto=webp"),
    "a query of sizes alone": ("https://a.com/team.png?w=150", "https://a.com/team.png?w=300&q=20"),
    "a part of the path": (
        "https://a.com/styles/200x200/public/gun.jpg",
        "https://a.com/styles/112x112/public/gun.jpg",
    ),
    "screens": ("https://a.com/team@2x.png", "https://a.com/team.png"),
}


@pytest.mark.parametrize(("one", "other"), SIZES.values(), ids=SIZES)
def test_the_sizes_of_a_picture_are_one_picture(one, other):
    assert picture_of(one) == picture_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.com/spoons-1.jpg", "https://a.com/spoons-2.jpg"),
        ("https://a.com/image?id=1&w=300", "https://a.com/image?id=2&w=300"),
        ("https://a.com/image?url=%2Fa.jpg&w=300", "https://a.com/image?url=%2Fb.jpg&w=300"),
        ("https://a.com/image?q=cats", "https://a.com/image?q=dogs"),
        ("https://a.com/image?h=ab12cd", "https://a.com/image?h=ab12ce"),
        ("https://a.com/banners/300x250.gif", "https://a.com/banners/728x90.gif"),
        ("https://a.com/ad_300x250.gif", "https://a.com/ad_728x90.gif"),
        ("https://a.com/max/60/one.png", "https://a.com/max/60/other.png"),
        ("https://a.com/spoons12x34.jpg", "https://a.com/spoons56x78.jpg"),
        ("https://a.com/1234x567890.jpg", "https://a.com/1234x567891.jpg"),
        ("https://a.com/2024/spoons.jpg", "https://a.com/2025/spoons.jpg"),
        ("data:image/png;base64,iVBOR+300x200", "data:image/png;base64,iVBOR+200x100"),
    ],
)
def test_other_pictures_are_others(one, other):
    assert picture_of(one) != picture_of(other)


@pytest.mark.parametrize(
    ("address", "side"),
    [
        ("https://a.com/spoons.jpg", math.inf),
        ("https://a.com/spoons-300x200.jpg", 300),
        ("https://a.com/spoons-2048px-3.jpg?width=150&quality=20", 150),
        ("https://a.com/spoons.jpg?resize=183,240&crop=3:2", 240),
        ("https://a.com/spoons-60x40.jpg?quality=80", 60),
        ("https://a.com/spoons.jpg?q=75&w=50", 50),
        ("https://a.com/upload/ar_1.77777,c_fill,w_1280/spoons.jpg", 1280),
        ("https://a.com/upload/f_auto,q_90,w_50/spoons.jpg", 50),
        ("https://a.com/v2/resize:fill:80:53/1*w8Z7.png", 80),
        ("https://a.com/I/71abc._AC_SX300_.jpg", 300),
    ],
)
def test_the_longest_side(address, side):
    assert longest_side(address) == side


def pictures(*addresses: str) -> tuple[list[ImageReference], int]:
    """The pictures of a page that names `addresses`, all of them kept, and how many were repeated."""
    html = "<body>" + "".join(f"<p>text</p><img src='{address}' alt='{address}'>" for address in addresses)
    segments, _ = cut(html, parse(html))
    found, left_out = blocks_of(segments, containers_of(segments), [True] * len(segments), "https://a.com/", {})
    return [block for block in found if isinstance(block, ImageReference)], left_out["repeated"]


def test_a_picture_in_two_sizes_is_one_block_where_the_first_stands():
    (first, other), repeated = pictures("/spoons-300x200.jpg", "/other.jpg", "/spoons-900x600.jpg", "/spoons-90x60.jpg")
    assert repeated == 2
    assert (first.url, other.url) == ("https://a.com/spoons-900x600.jpg", "https://a.com/other.jpg")
    assert first.alternatives == ("https://a.com/spoons-300x200.jpg", "https://a.com/spoons-90x60.jpg")
    assert first.alt == "/spoons-300x200.jpg"


def test_of_a_picture_in_many_sizes_the_best_and_some_others_are_known():
    (picture,), repeated = pictures(*(f"/spoons-{side}x{side}.jpg" for side in range(10, 60)))
    assert (picture.url, repeated) == ("https://a.com/spoons-59x59.jpg", 49)
    assert len(picture.alternatives) == MOST_ADDRESSES - 1


@given(st.text(alphabet="ax0129._-/?&=,:@N", max_size=60))
def test_any_address_is_read(address):
    assert len(picture_of(address)) <= len(address)
    assert longest_side(address) >= 0


def test_long_addresses_take_no_long_time():
    """A hundredth of a second each; a pattern that goes back over what it read would take minutes."""
    started = time.process_time()
    for unit in ("/a_1,", "_12x", "._a_", "-1", "&w=1", "/resize:", "x12", "/a_b,c_d"):
        picture_of("https://a.com/" + unit * 12_000)
        longest_side("https://a.com/?" + unit * 12_000)
    assert time.process_time() - started < 10
