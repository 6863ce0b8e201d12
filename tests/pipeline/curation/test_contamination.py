"""Near-copies of what models are judged by: found, named, and told from others."""

import io

import numpy as np
import pytest
from PIL import Image

from jobs.command import InputError
from pipeline.curation.contamination import (
    IMAGES,
    LOOKS,
    RUNS,
    benchmark_files,
    benchmarks_of,
    looks_of,
    runs_of,
)
from pipeline.curation.exact import words_of
from pipeline.curation.pictures import look_of
from shards.location import locate

ALPHABET = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar"


def picture(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def benchmark(tmp_path, *seeds):
    folder = tmp_path / "benchmark" / "val"
    folder.mkdir(parents=True)
    for seed in seeds:
        picture(seed).save(folder / f"{seed}.JPG", "JPEG")
    place = locate(str(tmp_path / "benchmark"))
    files = benchmark_files("benchmark_images", place, IMAGES)
    return benchmarks_of(looks_of(place, files), RUNS.empty_table())


def named(benchmarks, image):
    near = benchmarks.image_like(look_of(np.asarray(image.convert("RGB"))))
    return near and near[0]


def test_near_copies_are_named_with_their_file_and_others_are_not(tmp_path):
    found = benchmark(tmp_path, 1, 2)
    again = io.BytesIO()
    picture(2).resize((80, 60)).save(again, "WEBP", quality=50)
    assert named(found, Image.open(again)) == "val/2.JPG"
    assert named(found, picture(1).crop((2, 2, 158, 118))) == "val/1.JPG"
    assert named(found, picture(3)) is None


def test_without_benchmarks_nothing_is_a_copy():
    nothing = benchmarks_of(LOOKS.empty_table(), RUNS.empty_table())
    assert named(nothing, picture(1)) is None
    assert nothing.text_in(words_of(ALPHABET)) is None


def test_thirteen_words_in_a_row_are_a_copy_of_a_text_and_twelve_are_not(tmp_path):
    (tmp_path / "questions.txt").write_text(f"What is this?\n{ALPHABET}\nromeo sierra", encoding="utf-8")
    place = locate(str(tmp_path))
    found = benchmarks_of(LOOKS.empty_table(), runs_of("texts", place, ["questions.txt"]))
    words = words_of(ALPHABET)
    assert found.text_in(words_of("He said: " + " ".join(words[1:14]).upper() + ". What is this?")) == (
        "questions.txt",
        1,
    )
    assert found.text_in(["well", *words]) == ("questions.txt", 3)
    assert found.text_in(words[1:13]) is None
    # Runs do not go on over the end of a line.
    assert found.text_in([*words[3:], "romeo"]) is None


@pytest.mark.parametrize("name", [None, "labels.csv"])
def test_a_benchmark_without_images_is_refused_in_a_sentence(tmp_path, name):
    if name:
        (tmp_path / name).write_text("1,2")
    sentence = rf"^benchmark_images {tmp_path} holds no file that ends in .jpg, .jpeg, .png, .webp$"
    with pytest.raises(InputError, match=sentence):
        benchmark_files("benchmark_images", locate(str(tmp_path)), IMAGES)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    row = looks_of(locate(str(tmp_path)), ["bad.png"]).to_pylist()[0]
    assert row["file"] == "bad.png"
    assert row["error"].startswith(f"benchmark image {tmp_path}/bad.png: a png of 10 bytes cannot be decoded: ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"What is this?",
            r"benchmark_texts .* holds no line of 13 words or more, which is what texts are compared by",
        ),
        (b"caf\xe9 creme", r"benchmark text .*questions\.txt is not UTF-8: invalid continuation byte at byte 3"),
    ],
)
def test_texts_that_nothing_can_be_compared_with_are_refused_in_a_sentence(tmp_path, content, sentence):
    (tmp_path / "questions.txt").write_bytes(content)
    with pytest.raises(InputError, match=f"^{sentence}$"):
        runs_of("benchmark_texts", locate(str(tmp_path)), ["questions.txt"])
