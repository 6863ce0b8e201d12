import re
from collections import deque
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image

from demo.digits import WORDS, Digit, draw, split_digits
from demo.pages import Page
from demo.sentences import PHOTOGRAPH_REMARKS, REMARKS, SUBJECTS, TITLES
from demo.site import build_site, write_pairs

HOST = "http://site.test/"
TRAINING, HELD_OUT = split_digits()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, tuple[Page, ...]]:
    folder = tmp_path_factory.mktemp("site")
    return folder, build_site(folder)


@pytest.fixture(scope="module")
def crawled(built) -> dict[str, BeautifulSoup]:
    """Every page that links reach from index.html without entering what robots.txt forbids."""
    folder, _ = built
    robots = RobotFileParser()
    robots.parse((folder / "robots.txt").read_text().splitlines())
    found: dict[str, BeautifulSoup] = {}
    queue = deque([urljoin(HOST, "index.html")])
    while queue:
        url = queue.popleft()
        if url in found or not url.endswith(".html") or not robots.can_fetch("*", url):
            continue
        found[url] = BeautifulSoup((folder / urlsplit(url).path[1:]).read_text("utf-8"), "lxml")
        queue.extend(resolve(url, found[url], str(link["href"])) for link in found[url].find_all("a"))
    return found


def resolve(url: str, page: BeautifulSoup, address: str) -> str:
    base = page.find("base")
    return urljoin(urljoin(url, str(base["href"])) if base else url, address)


def picture_paths(url: str, page: BeautifulSoup) -> set[str]:
    images = page.find_all("img")
    addresses = [str(image.get("data-src") or image["src"]) for image in images]
    return {urlsplit(resolve(url, page, address)).path[1:] for address in addresses}


def coarse(picture: Image.Image) -> np.ndarray:
    """float32[400]: the picture as 20 x 20 greys, whatever its size was."""
    return np.asarray(picture.convert("L").resize((20, 20), Image.Resampling.BOX), dtype=np.float32).ravel()


def recognise(pictures: list[np.ndarray]) -> list[Digit]:
    """For each coarse picture the digit of the whole set, held out or not, that it is nearest to."""
    everything = (*TRAINING, *HELD_OUT)
    drawn = torch.tensor(np.array([coarse(draw(digit)) for digit in everything]))
    return [everything[index] for index in torch.cdist(torch.tensor(np.array(pictures)), drawn).argmin(dim=1)]


def test_split_is_a_partition_with_a_fifth_held_out():
    rows = [digit.row for digit in (*TRAINING, *HELD_OUT)]
    assert sorted(rows) == list(range(1797))
    assert (len(TRAINING), len(HELD_OUT)) == (1437, 360)
    assert not {digit.ink for digit in TRAINING} & {digit.ink for digit in HELD_OUT}


def test_links_reach_about_200_pages_and_every_training_digit(built, crawled):
    folder, _ = built
    assert 190 <= len(crawled) <= 215
    shown = {path for url, page in crawled.items() for path in picture_paths(url, page)}
    names = [re.fullmatch(r"pictures/digit-(\d{4})\.\w+", path) for path in shown]
    rows = {int(name[1]) for name in names if name}
    assert rows == {digit.row for digit in TRAINING}
    missing = {path for path in shown if not (folder / path).is_file()}
    assert missing
    assert all("lost" in path for path in missing)


def test_a_drawing_is_dark_where_there_is_ink():
    digit = TRAINING[0]
    picture = draw(digit, 100)
    darkness = 255 - np.asarray(picture).astype(int)
    assert np.corrcoef(darkness[15:95:10, 15:95:10].ravel(), list(digit.ink))[0, 1] > 0.95
    assert darkness[0, 0] == 0


def test_every_file_shows_the_training_digit_that_its_name_says(built):
    folder, _ = built
    training = {digit.row: digit for digit in TRAINING}
    files = sorted(folder.rglob("digit-*"))
    assert len(files) > 2 * len(TRAINING)
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) >= 96
            pictures.append(coarse(picture))
    assert recognise(pictures) == [training[int(file.name[6:10])] for file in files]


def test_forbidden_part_is_linked_and_forbidden(built, crawled):
    folder, _ = built
    index = crawled[HOST + "index.html"]
    assert any("/private/" in str(link["href"]) for link in index.find_all("a"))
    assert not any("/private/" in url for url in crawled)
    assert (folder / "private" / "draft-0.html").is_file()


def test_pages_say_which_digits_they_show(built, crawled):
    _, pages = built
    for page in pages:
        text = crawled[HOST + page.path].find("article").get_text(" ").lower().replace(".", " ").replace(",", " ")
        said = [word for word in text.split() if word in WORDS]
        assert sorted(set(said)) == sorted({exhibit.digit.word for exhibit in page.exhibits})
        assert len(text.split()) >= 50


def test_no_other_sentence_uses_the_word_of_a_digit():
    said = " ".join([*REMARKS, *SUBJECTS, *TITLES, *(text for pair in PHOTOGRAPH_REMARKS.values() for text in pair)])
    assert not set(said.lower().replace(".", " ").split()) & set(WORDS)


def test_markup_varies(built, crawled):
    _, pages = built
    documents = [crawled[HOST + page.path] for page in pages]
    for selector in ("figcaption", "picture source", "img[srcset]", "noscript", "td img", "li img", "base", "aside a"):
        assert sum(bool(document.select(selector)) for document in documents) >= 10, selector


def test_decoration_is_too_small_or_too_long(built):
    folder, _ = built
    with Image.open(folder / "decoration" / "logo.png") as logo, Image.open(folder / "decoration" / "rule.png") as rule:
        assert max(logo.size) < 64 <= min(rule.size)
        assert rule.width > 3 * rule.height


def test_pairs_name_the_digit_at_their_address(built, tmp_path):
    folder, pages = built
    write_pairs(pages, HOST, tmp_path / "pairs.parquet")
    rows = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert len({row["url"] for row in rows}) == len(TRAINING)
    pictures = [Image.open(folder / row["url"].removeprefix(HOST)) for row in rows]
    for row, digit in zip(rows, recognise([coarse(picture) for picture in pictures]), strict=True):
        words = row["caption"].lower().replace(",", " ").replace(".", " ").split()
        assert [word for word in words if word in WORDS] == [digit.word]


def test_same_seed_plans_the_same_bytes(built, tmp_path):
    folder, _ = built
    build_site(tmp_path)
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file())
    assert all((folder / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)
