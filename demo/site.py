"""The demo's site: about 200 pages of handwritten digits in a folder, to be served and scraped.

index.html leads to albums, albums to pages, and pages to each other. Every training digit is on a page; a held-out
digit is on none. Some links lead where robots.txt forbids to go, some pictures are missing, and some are
decoration: what a scraper must leave out is there to be left out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_sample_images

from demo.digits import Digit, draw, encode, split_digits
from demo.markup import PICTURES, Exhibit
from demo.pages import LOGO, PRIVATE, RULE, Page, album_page, digit_page, forbidden_page, index_page
from demo.sentences import PAIR_CAPTIONS, SUBJECTS, TITLES, say

ROBOTS = f"User-agent: *\nDisallow: /{PRIVATE}\n"
FORBIDDEN_PAGES = 3
SIDES = (96, 112, 128, 160)  # px; a digit's large copy is twice as wide
SUFFIXES = ("png", "jpg", "webp")
DIGITS_PER_PAGE = (6, 9)
PAGES_PER_ALBUM = 20
CROPS_PER_PHOTOGRAPH = 4
CROP = (320, 240)  # px


def build_site(folder: Path, seed: int = 0) -> tuple[Page, ...]:
    """Writes the whole site to `folder`, the same bytes for the same seed, and returns its pages of digits."""
    random = Random(seed)
    training, _ = split_digits()
    pages = tuple(plan_pages(random.sample(training, len(training)), random))
    photographs = write_photographs(folder, random)
    write_decoration(folder)
    for page in pages:
        write_pictures(folder, page.exhibits)
        write(folder, page.path, digit_page(page, pages, photographs, random))
    albums = write_albums(folder, pages, random)
    write(folder, "index.html", index_page(albums, pages, photographs, random))
    write(folder, "robots.txt", ROBOTS)
    write_forbidden(folder, random.sample(training, FORBIDDEN_PAGES), random)
    return pages


def plan_pages(digits: Sequence[Digit], random: Random) -> Iterator[Page]:
    """Deals the digits to pages, some to each, in order."""
    dealt = number = 0
    while dealt < len(digits):
        count = random.randint(*DIGITS_PER_PAGE)
        exhibits = tuple(plan_exhibit(digit, random) for digit in digits[dealt : dealt + count])
        title = f"{random.choice(TITLES)} {random.choice(SUBJECTS)}"
        yield Page(number=number, path=f"pages/{number:03}.html", title=title, exhibits=exhibits)
        dealt += count
        number += 1


def plan_exhibit(digit: Digit, random: Random, place: str = PICTURES) -> Exhibit:
    """Chooses a digit's size and format, and names its files in the folder `place`."""
    name = f"{place}digit-{digit.row:04}"
    return Exhibit(
        digit=digit,
        path=f"{name}.{random.choice(SUFFIXES)}",
        large=f"{name}-large.jpg",
        side=random.choice(SIDES),
    )


def write_pictures(folder: Path, exhibits: Sequence[Exhibit]) -> None:
    """Writes each exhibit's picture and its larger copy."""
    for exhibit in exhibits:
        for path, side in ((exhibit.path, exhibit.side), (exhibit.large, 2 * exhibit.side)):
            write(folder, path, encode(draw(exhibit.digit, side), path.rpartition(".")[2]))


def write_photographs(folder: Path, random: Random) -> list[str]:
    """Writes scikit-learn's photographs, whole and in crops, and returns their paths."""
    sample = load_sample_images()
    paths = []
    for file, pixels in zip(sample.filenames, sample.images, strict=True):
        whole = Image.fromarray(pixels)
        for number, picture in enumerate([whole, *crops(whole, random)]):
            paths.append(f"photographs/{Path(file).stem}-{number}.jpg")
            write(folder, paths[-1], encode(picture, "jpg"))
    return paths


def crops(picture: Image.Image, random: Random) -> Iterator[Image.Image]:
    """Pieces of the picture, `CROP` px each, from anywhere in it."""
    width, height = CROP
    for _ in range(CROPS_PER_PHOTOGRAPH):
        left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
        yield picture.crop((left, top, left + width, top + height))


def write_decoration(folder: Path) -> None:
    """Writes what is no content: a logo that is too small and a rule that is too long."""
    write(folder, LOGO, encode(Image.linear_gradient("L").resize((24, 24)), "png"))
    write(folder, RULE, encode(Image.linear_gradient("L").resize((600, 80)), "png"))


def write_albums(folder: Path, pages: Sequence[Page], random: Random) -> list[str]:
    """Writes pages of links, so that index.html reaches every page in two steps; returns their paths."""
    albums = [pages[start : start + PAGES_PER_ALBUM] for start in range(0, len(pages), PAGES_PER_ALBUM)]
    for number, album in enumerate(albums, start=1):
        write(folder, f"albums/{number}.html", album_page(number, album, random))
    return [f"albums/{number}.html" for number in range(1, len(albums) + 1)]


def write_forbidden(folder: Path, digits: Sequence[Digit], random: Random) -> None:
    """Writes pages and pictures under `/private/`, which robots.txt asks to leave alone."""
    drafts = [f"{PRIVATE}draft-{number}.html" for number in range(len(digits))]
    for path, digit in zip(drafts, digits, strict=True):
        exhibits = (plan_exhibit(digit, random, PRIVATE),)
        write_pictures(folder, exhibits)
        write(folder, path, forbidden_page("Draft", [], exhibits, random))
    write(folder, f"{PRIVATE}index.html", forbidden_page("Drafts", drafts, [], random))


def write_pairs(pages: Sequence[Page], base_url: str, file: Path, seed: int = 0) -> None:
    """Writes a Parquet list with the columns `url` and `caption`: every training digit's picture on the site.

    `base_url` is where the site is served, such as `http://127.0.0.1:8000/`.
    """
    random = Random(seed)
    exhibits = [exhibit for page in pages for exhibit in page.exhibits]
    urls = [base_url + exhibit.path for exhibit in exhibits]
    captions = [say(random.choice(PAIR_CAPTIONS), exhibit.digit) for exhibit in exhibits]
    pq.write_table(pa.table({"url": urls, "caption": captions}), file)


def write(folder: Path, path: str, content: str | bytes) -> None:
    """Writes a file of the site, and the folders that it lies in."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
