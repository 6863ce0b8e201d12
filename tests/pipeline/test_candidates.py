import base64
import json
import random
import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.candidates import (
    LONGEST,
    MOST,
    Candidate,
    background_images,
    data_image,
    image_candidates,
    is_placeholder,
)

SPACER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
GIF = base64.b64decode(SPACER.partition(",")[2])


def addresses(image, *sources):
    return [candidate.address for candidate in image_candidates(image, sources)]


def test_plain_src_is_the_one_candidate():
    image = {"src": " a.jpg\n", "alt": "b.jpg", "class": "c/d.jpg", "width": "10", "title": "/e.jpg"}
    assert image_candidates(image) == [Candidate(address="a.jpg", attribute="src")]


def test_element_without_an_address_has_no_candidate():
    assert image_candidates({}) == []
    assert image_candidates({"src": " ", "srcset": " , ", "data-src": "", "alt": "x"}, [{}, {"srcset": ""}]) == []


def test_candidates_say_where_they_stand():
    found = image_candidates(
        {"src": "d.jpg", "srcset": "a.jpg 900w", "data-src": "b.jpg"}, [{"data-srcset": "c.jpg 1000w"}]
    )
    assert [(candidate.address, candidate.attribute) for candidate in found] == [
        ("c.jpg", "source data-srcset"),
        ("a.jpg", "srcset"),
        ("b.jpg", "data-src"),
        ("d.jpg", "src"),
    ]


def test_address_named_twice_stands_once_at_its_better_place():
    image = {"src": "a.jpg", "srcset": "a.jpg 1024w, b.jpg 300w", "data-src": "b.jpg"}
    assert [(c.address, c.attribute) for c in image_candidates(image)] == [("a.jpg", "srcset"), ("b.jpg", "srcset")]


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        # The examples of the HTML standard, 4.8.4.2.
        ("pear-tablet.jpeg 2x, pear-desktop.jpeg", ["pear-tablet.jpeg", "pear-desktop.jpeg"]),
        ("wolf_400px.jpg 400w, wolf_800px.jpg 800w, wolf_1600px.jpg 1600w",
         ["wolf_1600px.jpg", "wolf_800px.jpg", "wolf_400px.jpg"]),
        ("/uploads/100-marie-lloyd.jpg 1.5x, /uploads/200-marie-lloyd.jpg 2x, /uploads/50-marie-lloyd.jpg 1x",
         ["/uploads/200-marie-lloyd.jpg", "/uploads/100-marie-lloyd.jpg", "/uploads/50-marie-lloyd.jpg"]),
        # Commas within addresses, around them and after descriptors without a space.
        ("/w_400,c_fit/a.jpg 400w, /w_900,c_fit/a.jpg 900w", ["/w_900,c_fit/a.jpg", "/w_400,c_fit/a.jpg"]),
        (",,a.jpg 200w,b.jpg 300w,,", ["b.jpg", "a.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg,b.jpg"]),
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg,,, b.jpg", ["a.jpg", "b.jpg"]),
        ("data:,a ( , data:,b 1x, ), data:,c", ["data:,c"]),
        ("data:,a ( , data:,b 1x, ", []),
        ("a.jpg\t\n2x\f,\rb.jpg  3x ", ["b.jpg", "a.jpg"]),
        # Heights to come, and descriptors that are no valid numbers.
        ("a.jpg 200w 100h, b.jpg 100h 300w", ["b.jpg", "a.jpg"]),
        ("a.jpg 100h, b.jpg 1h 1h 1w, c.jpg 0w, d.jpg -1w, e.jpg 1.0w, f.jpg 1W", []),
        ("a.jpg 1x 1x, b.jpg 1w 1x, c.jpg +1x, d.jpg 1.x, e.jpg x, f.jpg -1x, g.jpg 1x)", []),
        ("a.jpg .5x, b.jpg 1e0x, c.jpg 2.5E-1x, d.jpg 15e-1x", ["d.jpg", "b.jpg", "a.jpg", "c.jpg"]),
        ("a.jpg what, b.jpg 2x", ["b.jpg"]),
        ("a.jpg ２x", []),
    ],
)  # fmt: skip
def test_srcset_is_parsed_as_the_standard_says(srcset, expected):
    assert addresses({"srcset": srcset}) == expected


def test_width_outweighs_density_and_widest_list_wins():
    assert addresses(
        {"src": "src.jpg", "srcset": "a.jpg 640w, b.jpg 320w", "data-srcset": "c.jpg 700w"},
        {"srcset": "d.webp 2000x, e.webp", "type": "image/webp"},
        {"srcset": "f.jpg 650w"},
    ) == ["c.jpg", "f.jpg", "a.jpg", "b.jpg", "d.webp", "e.webp", "src.jpg"]


def test_thumbnail_of_a_list_stands_behind_src():
    assert addresses({"src": "a.jpg", "srcset": "tiny.jpg 32w"}) == ["a.jpg", "tiny.jpg"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        # WordPress: responsive images; with a lazy-loading plugin; Jetpack's galleries.
        ({"src": "/a-1024x683.jpg", "srcset": "/a-1024x683.jpg 1024w, /a-300x200.jpg 300w, /a.jpg 2048w",
          "sizes": "(max-width: 1024px) 100vw, 1024px"}, ["/a.jpg", "/a-1024x683.jpg", "/a-300x200.jpg"]),
        ({"src": SPACER, "data-lazy-src": "/a.jpg", "data-lazy-srcset": "/a.jpg 600w, /a-2.jpg 1200w"},
         ["/a-2.jpg", "/a.jpg", SPACER]),
        ({"src": "/a.jpg?w=300", "data-orig-file": "/a.jpg", "data-large-file": "/a.jpg?w=700",
          "data-image-title": "a.jpg", "data-medium-file": "/a.jpg?w=300", "data-permalink": "https://x.org/a/"},
         ["/a.jpg", "/a.jpg?w=700", "/a.jpg?w=300"]),
        # Squarespace, plain and as JSON.
        ({"data-src": "https://images.squarespace-cdn.com/content/v1/1/a.jpg", "alt": "a.jpg",
          "data-image": "https://images.squarespace-cdn.com/content/v1/1/b.jpg", "data-image-dimensions": "2500x1667",
          "data-image-focal-point": "0.5,0.5", "data-load": "false"},
         ["https://images.squarespace-cdn.com/content/v1/1/a.jpg",
          "https://images.squarespace-cdn.com/content/v1/1/b.jpg"]),
        ({"src": "/s.jpg", "data-image": '{"src": "https:\\/\\/x.org\\/a", "alt": "b.jpg.", "ratio": 1.5}'},
         ["https://x.org/a", "/s.jpg"]),
        # Wikipedia.
        ({"src": "//upload.wikimedia.org/a.jpg/220px-a.jpg", "data-file-width": "4000", "data-file-height": "3000",
          "srcset": "//upload.wikimedia.org/a.jpg/330px-a.jpg 1.5x, //upload.wikimedia.org/a.jpg/440px-a.jpg 2x"},
         [f"//upload.wikimedia.org/a.jpg/{width}px-a.jpg" for width in (440, 330, 220)]),
        # Amazon: addresses to sizes, and the largest apart.
        ({"src": "https://m.media-amazon.com/a._AC_SX300_.jpg", "data-old-hires": "https://m.media-amazon.com/a.jpg",
          "data-a-dynamic-image": '{"https://m.media-amazon.com/a._AC_SX466_.jpg":[466,300],'
                                  '"https://m.media-amazon.com/a._AC_SX679_.jpg":[679,437]}'},
         ["https://m.media-amazon.com/a._AC_SX679_.jpg", "https://m.media-amazon.com/a._AC_SX466_.jpg",
          "https://m.media-amazon.com/a.jpg", "https://m.media-amazon.com/a._AC_SX300_.jpg"]),
        # Shopify and the BBC: templates, filled in where the widths are told.
        ({"src": "//cdn.shopify.com/a_300x300.jpg?v=1", "data-src": "//cdn.shopify.com/a_{width}x.jpg?v=1",
          "data-widths": "[180, 360, 1080, 540]"},
         ["//cdn.shopify.com/a_1080x.jpg?v=1", "//cdn.shopify.com/a_300x300.jpg?v=1"]),
        ({"src": "/a.jpg", "data-src": "/a_{width}x.jpg"}, ["/a.jpg", "/a_{width}x.jpg"]),
        ({"src": "/a.jpg", "data-src": "/%7Bwidth%7D/a", "data-widths": "[]"}, ["/a.jpg", "/%7Bwidth%7D/a"]),
        ({"data-src": "/news/%7Bwidth%7D/a.jpg", "data-widths": "[240,800]"}, ["/news/800/a.jpg"]),
        # Medium, before 2019, and Next.js.
        ({"src": "https://miro.medium.com/max/60/1*a.png?q=20", "data-src": "https://miro.medium.com/max/1600/1*a.png"},
         ["https://miro.medium.com/max/1600/1*a.png", "https://miro.medium.com/max/60/1*a.png?q=20"]),
        ({"src": SPACER, "srcset": "/_next/image?url=%2Fa.png&w=640&q=75 1x, /_next/image?url=%2Fa.png&w=1200&q=75 2x"},
         ["/_next/image?url=%2Fa.png&w=1200&q=75", "/_next/image?url=%2Fa.png&w=640&q=75", SPACER]),
    ],
)  # fmt: skip
def test_pages_of_the_web(image, expected):
    assert addresses(image) == expected


def test_lazy_attributes_come_in_order_of_preference_and_before_src():
    image = {"src": "a.jpg", "data-original": "c.jpg", "data-src": "b", "data-lazy": "true", "data-full": "/d"}
    assert addresses(image) == ["c.jpg", "/d", "a.jpg"]
    assert addresses(image | {"data-src": "/b"}) == ["/b", "c.jpg", "/d", "a.jpg"]


def test_other_attributes_count_by_their_names_and_values():
    image = {
        "src": "a.jpg",
        "data-hover-src": "/hover.jpg",
        "data-my-full": "full.png?x=1.5#y",
        "data-thing": "/thing.webp",
        "data-old-src": "/old.jpg",
        "data-file": "bare.jpg",
        "data-original-title": "/title.jpg",
        "data-page": "https://x.org/page.html",
        "onclick": "location.href=/b.jpg",
        "data-set": "/one.jpg 300w, /two.jpg 600w",
        "data-prose": "See /one.jpg, and more.",
        "data-big-set": "/three.jpg 300w, /four.jpg 600w",
    }
    assert addresses(image) == [
        *("/four.jpg", "/three.jpg", "full.png?x=1.5#y", "a.jpg"),
        *("/two.jpg", "/one.jpg", "/hover.jpg", "/thing.webp", "/old.jpg"),
    ]


def test_json_is_read_to_a_bound_and_nested():
    image = {
        "src": "a.jpg",
        "data-image": json.dumps({"a": [{"src": "/b", "width": 300}, {"url": "/c", "width": 900}]}),
    }
    assert addresses(image) == ["/c", "/b", "a.jpg"]
    assert addresses({"data-image": "[" * 60_000}) == []
    assert addresses({"data-image": '{"a": ' * 300 + '"/b.jpg"' + "}" * 300}) == []


def test_json_without_an_address_or_end_names_nothing():
    assert addresses({"src": "a.jpg", "data-image": '{"src": "b.jpg', "data-src": '["x", {"src": 1}, [], 2]'}) == [
        "a.jpg"
    ]
    assert addresses({"data-src": "{{ /b.jpg }}"}) == ["{{ /b.jpg }}"]


def test_guardian_picture():
    wide = "(min-width: 660px) and (-webkit-min-device-pixel-ratio: 1.25)"
    assert addresses(
        {"src": "https://i.guim.co.uk/a.jpg?width=465"},
        {"srcset": "https://i.guim.co.uk/a.jpg?width=620&dpr=2 1240w", "media": wide, "sizes": "620px"},
        {"srcset": "https://i.guim.co.uk/a.jpg?width=620 620w", "media": "(min-width: 660px)"},
        {"srcset": "https://i.guim.co.uk/a.jpg?width=465&dpr=2 930w", "media": "(min-width: 480px)"},
    ) == [f"https://i.guim.co.uk/a.jpg?width={query}" for query in ("620&dpr=2", "465&dpr=2", "620", "465")]


def test_sources_are_ranked_by_type():
    assert addresses(
        {"src": "a.jpg"},
        {"srcset": "b.jxl 900w", "type": "image/jxl"},
        {"srcset": "c.svg", "type": "image/svg+xml"},
        {"srcset": "d.avif 400w", "type": "image/avif"},
        {"srcset": "e.webp 500w", "type": " IMAGE/WebP; q=1"},
        {"srcset": "f.jpg 600w"},
        {"srcset": "g.mp4", "type": "video/mp4"},
    ) == ["f.jpg", "e.webp", "d.avif", "a.jpg", "b.jxl", "c.svg", "g.mp4"]


def test_undecodable_extension_stands_behind_other_attributes():
    assert addresses({"src": "/logo.svg?v=2", "data-fallback": "/logo.png"}) == ["/logo.png", "/logo.svg?v=2"]


def test_sources_for_special_windows_stand_behind_src():
    assert addresses(
        {"src": "desktop.jpg"},
        {"srcset": "phone.jpg", "media": "(max-width: 600px)"},
        {"srcset": "dark.jpg", "media": "(prefers-color-scheme: dark)"},
        {"srcset": "paper.jpg", "media": "print"},
        {"srcset": "tablet.jpg", "media": "(min-width: 600px) and (max-width: 900px)"},
    ) == ["tablet.jpg", "desktop.jpg", "phone.jpg", "dark.jpg", "paper.jpg"]


@pytest.mark.parametrize(
    "address",
    """# #top about:blank ABOUT:blank javascript:void(0) data:image/png;base64,AAAA DATA:,a blob:https://x.org/1
    {{image.url}} https://x.org/${src} /%7B%7Bsrc%7D%7D /a_{width}x.jpg /a_%7Bwidth%7Dx{height}.jpg
    /spacer.gif /spacer-10.png /1x1.png /1x1.trans.gif /blank.gif?v=2 /img/pixel.png /white-pixel.png /PIXEL.GIF
    /transparent.png /img_transparent_1x1.png /loading.svg /ajax-loader.gif /image-loading-300x200.gif /lazy.png
    /plugins/lazyload/images/lazyload.jpg /image_placeholder.jpg https://via.placeholder.com/300x200
    https://placehold.co/600x400 /grey-placeholder.png /blank-300x200.png /assets/dummy.png
    https://cdn.shortpixel.ai/client/q_lqip,ret_wait,w_400/https://x.org/a.jpg
    https://static.wixstatic.com/media/a.jpg/v1/fill/w_49,h_33,al_c,q_80,blur_2/a.jpg""".split(),
)  # fmt: skip
def test_placeholders(address):
    assert is_placeholder(address)
    assert is_placeholder(f" {address}\n")
    assert addresses({"src": address, "srcset": address + " 2000w", "data-any": "/real.jpg"})[0] == "/real.jpg"


@pytest.mark.parametrize(
    "address",
    """a.jpg /pixel-9-review.jpg /lazy-sunday.jpg /loading-dock.jpg /blanket.jpg /transparent-frog.png /headshot_1x1.jpg
    /wp-content/uploads/loading/a.jpg https://lazy.org/a.jpg /a.jpg?placeholder=blur /a.jpg#loading /image.png
    /media/{0F8E1A2B-1111-2222-3333-444455556666}.jpg /100%25.jpg /a%7Db.jpg /clear-sky.jpg /image?id=1""".split(),
)  # fmt: skip
def test_pictures_are_no_placeholders(address):
    assert not is_placeholder(address)


def test_data_image_decodes_base64_and_percent_encoding():
    assert data_image(SPACER, len(GIF)) == ("image/gif", GIF)
    assert data_image(f" DATA:Image/GIF;charset=x; Base64 ,{quote(SPACER.partition(',')[2], safe='')}", 99) == (
        "image/gif",
        GIF,
    )
    assert data_image("data:image/png;base64,Q UJ\nD", 3) == ("image/png", b"ABC")
    assert data_image("data:image/svg+xml,%3Csvg/%3E é#x", 99) == ("image/svg+xml", "<svg/> é".encode())


@pytest.mark.parametrize(
    "address",
    ["", "a.jpg", "data:", "data:,", "data:image/png", "data:image/png,", "data:text/plain,abc", "image/png,abc",
     "data:image/png;base64,A", "data:image/png;base64,A=BC", "data:image/png;base64,AB-_", "data:image/png;base64,é",
     "data:image/png,\ud800", "data:image/png;" + "x" * 300 + ",abc", "data:image/png;base64,AAAA",
     "data:image/png," + "a" * 10_000_000, "data:image/png;base64,QU" + " " * 25 + "I="],
)  # fmt: skip
def test_data_image_of_anything_else_is_none(address):
    assert data_image(address, 2) is None


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("color: red", []),
        ("background-image: url(a.jpg)", ["a.jpg"]),
        ("BACKGROUND:#fff URL( 'a b.jpg' ) no-repeat; color: red", ["a b.jpg"]),
        ('color:red;background : url("a;b)c.jpg"), url(d.jpg), url(d.jpg)', ["a;b)c.jpg", "d.jpg"]),
        ("background-image: linear-gradient(rgba(0,0,0,.5), red), url(a.jpg)", ["a.jpg"]),
        ("background: url(data:image/png;base64,AA==); background-image: url(b.jpg)",
         ["data:image/png;base64,AA==", "b.jpg"]),
        (r"background:url(https\3a //x.org\/a\(1\).jpg)", ["https://x.org/a(1).jpg"]),
        (r"background:url('a\'b\0000e9 c\0.jpg')", ["a'béc\ufffd.jpg"]),
        (r"background:url('a\d800.jpg')", ["a\ufffd.jpg"]),
        ("background:url('a\\\nb.jpg')", ["ab.jpg"]),
        ("/* background: url(a.jpg) */ list-style: url(b.jpg); --x: 'background:url(c.jpg)'; mask: url(d.jpg)", []),
        ("background: /* ; */ url(a.jpg", ["a.jpg"]),
        ("background: url(), url(''), url(a b.jpg), url(a'b.jpg), url(c.jpg)", ["c.jpg"]),
        ("my-background: url(a.jpg); background-color: url(b.jpg); background: myurl(c.jpg)", []),
        ("x:;;background:url(a.jpg) x:y url(b.jpg);;", ["a.jpg", "b.jpg"]),
    ],
)  # fmt: skip
def test_background_images(style, expected):
    assert background_images(style) == expected


def standard_srcset(text):
    """The addresses by the algorithm of the HTML standard, 4.8.4.3.8, step by step."""
    found, position = [], 0
    while True:
        while position < len(text) and text[position] in " \t\n\f\r,":
            position += 1
        if position == len(text):
            return found
        start = position
        while position < len(text) and text[position] not in " \t\n\f\r":
            position += 1
        address, descriptors, current, state = text[start:position], [], "", "in descriptor"
        if address.endswith(","):
            found.append(address.rstrip(","))
            continue
        while position < len(text):
            character, position = text[position], position + 1
            if state == "in parens":
                current += character
                state = "in descriptor" if character == ")" else state
            elif character in " \t\n\f\r":
                descriptors, current = [*descriptors, current], ""
            elif character == ",":
                break
            else:
                current += character
                state = "in parens" if character == "(" else state
        if valid([descriptor for descriptor in [*descriptors, current] if descriptor]):
            found.append(address)


def valid(descriptors):
    units = "".join(sorted(descriptor[-1] for descriptor in descriptors))
    whole = all(re.fullmatch("[0-9]+", descriptor[:-1]) and int(descriptor[:-1]) for descriptor in descriptors)
    number = r"(?:[0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
    return not units or (units in ("w", "hw") and whole) or (units == "x" and re.fullmatch(number, descriptors[0][:-1]))


SRCSETS = st.lists(st.sampled_from([*"aab1203wxh,,  \t(). ", " 2x", " 300w", ", ", "data:,"]), max_size=40).map("".join)
TEXTS = st.text(max_size=60) | st.text("\ud800\0\u00a0{}[]\"'\\/%:;,.()# abw1x", max_size=60) | SRCSETS
NAMES = st.sampled_from(
    "src srcset data-src data-srcset data-image data-full data-x data-xl-srcset href alt type media data-widths".split()
)
ELEMENTS = st.dictionaries(NAMES | st.text(max_size=8), TEXTS, max_size=6)


@given(SRCSETS)
def test_srcset_agrees_with_the_standard(srcset):
    expected = set(standard_srcset(srcset))
    assert len(expected) <= MOST
    assert set(addresses({"srcset": srcset})) == expected


@given(ELEMENTS, st.lists(ELEMENTS, max_size=3))
def test_each_candidate_is_written_in_its_attribute_and_stands_once(image, sources):
    found = image_candidates(image, sources)
    assert len({candidate.address for candidate in found}) == len(found) <= MOST
    for candidate in found:
        assert candidate.address == candidate.address.strip(" \t\n\f\r") != ""
        holders = sources if candidate.attribute.startswith("source ") else [image]
        values = [holder.get(candidate.attribute.removeprefix("source "), "") for holder in holders]
        assert any(candidate.address in value or value.strip()[:1] in ("{", "[") for value in values)


@given(ELEMENTS, st.lists(ELEMENTS, max_size=3))
def test_placeholders_come_last_and_are_kept(image, sources):
    held = [is_placeholder(candidate.address) for candidate in image_candidates(image, sources)]
    assert held == sorted(held)
    assert not image.get("src", "").strip() or image["src"].strip() in addresses(image, *sources)


@given(TEXTS | TEXTS.map("data:image/png;base64,".__add__) | TEXTS.map("data:image/png,".__add__))
def test_data_image_never_raises_and_keeps_to_its_bound(address):
    decoded = data_image(address, 8)
    assert decoded is None or 0 < len(decoded[1]) <= 8


@given(st.binary(min_size=1, max_size=200))
def test_data_image_reads_what_was_written(data):
    text = base64.b64encode(data).decode()
    for payload in (text, text.rstrip("="), "".join(f"%{ord(character):02X}" for character in text)):
        assert data_image(f"data:image/webp;base64,{payload}", len(data)) == ("image/webp", data)
    assert data_image(f"data:image/webp,{quote(data, safe='')}", len(data)) == ("image/webp", data)
    assert data_image(f"data:image/webp;base64,{text}", len(data) - 1) is None


@given(TEXTS.filter(lambda text: text.strip()))
def test_background_reads_what_was_escaped(text):
    escaped = "".join(f"\\{ord(character):x} " for character in text)
    # CSS knows no NUL and no half of a surrogate pair.
    expected = re.sub("[\0\ud800-\udfff]", "\ufffd", text).strip()
    for style in (f"background:url({escaped})", f"background-image: url( '{escaped}' )", f'background:url("{escaped}'):
        assert background_images(style) == [expected]


PIECES = r"""background: url( ' " ) ( ; /* */ , { } [ ] data:image/gif;base64, 2x 300w .jpg / : {{ ${ %7B src 1e999x
    {"src":"/a.jpg"} ["/b.png"] {"/c.gif":[1,2]} 99999999999999999999w NaN""".split()
PIECES += ["\\", " ", "\n", "\t", "\f", "\0", "\ud800", "\u2028"]


def test_noise_never_raises():
    noise = random.Random(7)
    names = ["src", "srcset", "data-src", "data-image", "data-widths", "style", "type", "media", "", "\0", "DATA-SRC"]
    for _ in range(3000):
        texts = ["".join(noise.choices(PIECES, k=noise.randrange(12))) for _ in range(4)]
        image, source = (dict(zip(noise.choices(names, k=4), texts, strict=True)) for _ in range(2))
        for candidate in image_candidates(image, [source]):
            is_placeholder(candidate.address)
            data_image(candidate.address, 100)
        background_images("".join(texts))


@pytest.mark.parametrize("piece", [*PIECES, "a", ",", " ,", "a ", "a,", "1", "(", "-", "a.jpg 1x,", "blank-", "url(a"])
def test_time_grows_with_length_alone(piece):
    begin = time.process_time()
    long = piece * (LONGEST // len(piece))
    for start in ("", "a ", "data:image/png;base64,", "{", "background:", "background:url("):
        for text in (start + long, (start + long)[:LONGEST]):
            image = {"src": text, "srcset": text, "data-src": text, "data-x": text, "data-widths": text}
            image_candidates(image, [{"srcset": text, "type": text, "media": text}])
            background_images(text)
            data_image(text, LONGEST)
    # At the square of the length, one of these would take minutes; they take a tenth of a second.
    assert time.process_time() - begin < 20


def test_only_so_much_is_read():
    many = ", ".join(f"/{width}.jpg {width}w" for width in range(200, 400))
    assert addresses({"srcset": many}) == [f"/{width}.jpg" for width in range(399, 399 - MOST, -1)]
    inline = "data:image/png;base64," + "A" * 3_000_000
    assert addresses({"src": inline, "data-src": inline + "B", "srcset": inline + "C 1x", "data-y": "/a.jpg"}) == [
        *("/a.jpg", inline + "B", inline)
    ]
    assert background_images("background:" + ",".join(f"url({number})" for number in range(1, 99))) == [
        str(number) for number in range(1, MOST + 1)
    ]
