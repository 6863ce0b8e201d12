"""The passes on Ray, over shards whose copies were put there by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from jobs.command import InputError
from pipeline.curation.copy_rules import CopyRules
from pipeline.curation.corpus import Corpus
from pipeline.curation.passes import find_copies, find_repeated_lines
from pipeline.curation.verdicts import read_verdicts
from shards.document import Document, Frame, Media, Text
from shards.location import locate

pytestmark = pytest.mark.usefixtures("ray_cluster")
VOCABULARY = [f"{first}{second}" for first in "bdfghklmnp" for second in ("ab", "ec", "id", "of", "ug")]
RULES = CopyRules(
    same_address=True,
    same_text=True,
    same_images=True,
    near_text=0.8,
    image_documents=2,
    repeated_images=True,
)


def jpeg(seed, quality=90):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(data, "JPEG", quality=quality)
    return data.getvalue()


def words(seed, replaced=0):
    chosen = np.random.default_rng(seed).choice(VOCABULARY, 200).tolist()
    for place in range(replaced):
        chosen[place * 20] = "other"
    return " ".join(chosen)


def page(key, text, *images, **facts):
    media = [Media(kind="image", frames=(Frame(data=data, format="jpg", width=160, height=120),)) for data in images]
    return Document(key=key, source=f"https://a.example/{key}", blocks=(Text(text=text), *media), facts=facts)


def corpus(folder, *shards, documents=10):
    names = tuple(f"{number:06d}-shard" for number in range(len(shards)))
    place = locate(str(folder))
    return Corpus(
        shards=names,
        read=lambda number: shards[number],
        evidence=place / "evidence",
        verdicts=place / "verdicts",
        documents=documents,
    )


def verdicts(corpus):
    """Who leaves: pass, shard, key, medium, reason, and of what it is a copy."""
    return sorted(
        (stage, number, key, verdict.medium, verdict.reason, verdict.other)
        for stage in ("duplicates", "pictures", "contamination")
        for number, shard in enumerate(corpus.shards)
        for key, found in read_verdicts(corpus.verdicts / stage, shard).items()
        for verdict in found
    )


def shards():
    """Two shards of documents, with one copy of each kind."""
    first = [
        page("a", words(1), jpeg(1), published="2020-01-01"),
        page("b", words(2), jpeg(2)),
        None,
        page("c", words(3), jpeg(3), jpeg(30)),
        page("d", words(4), jpeg(4)),
        page("e", words(5), jpeg(5), jpeg(5, quality=60)),
    ]
    second = [
        page("a2", words(11), jpeg(11), canonical="https://a.example/a"),
        page("b2", words(2).upper().replace(" ", "\n"), jpeg(2), jpeg(12)),
        page("c2", words(13), jpeg(30), jpeg(3)),
        page("d2", words(4, replaced=2), jpeg(14), jpeg(20)),
        page("x", words(15), jpeg(20, quality=70), jpeg(15)),
        page("y", words(16), jpeg(16), jpeg(20, quality=50)),
    ]
    return first, second


EXPECTED = [
    ("duplicates", 0, "b", -1, "same_text", "b2"),  # fewer pictures
    ("duplicates", 0, "d", -1, "near_text", "d2"),
    ("duplicates", 1, "a2", -1, "same_address", "a"),  # says no date
    ("duplicates", 1, "c2", -1, "same_images", "c"),
    ("pictures", 0, "e", 1, "repeated", ""),
    ("pictures", 1, "d2", 1, "documents_over", ""),
    ("pictures", 1, "x", 0, "documents_over", ""),
    ("pictures", 1, "y", 1, "documents_over", ""),
]


def test_each_copy_leaves_for_its_reason_and_nothing_else_does(tmp_path):
    found = corpus(tmp_path, *shards())
    find_copies(found, RULES)
    assert verdicts(found) == EXPECTED


def test_verdicts_do_not_depend_on_how_many_tasks_there_are_and_a_rerun_changes_nothing(tmp_path):
    many = corpus(tmp_path, *shards(), documents=130_000)
    assert many.buckets == 7
    find_copies(many, RULES)
    assert verdicts(many) == EXPECTED
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    find_copies(many, RULES)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == written


def test_a_run_that_was_killed_goes_on_to_the_same_files(tmp_path):
    found = corpus(tmp_path, *shards())
    find_copies(found, RULES)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    in_time = sorted(whole, key=lambda path: path.stat().st_mtime_ns)
    for path in in_time[len(in_time) // 3 :]:
        path.unlink()
    find_copies(found, RULES)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == whole


def test_shards_of_which_nothing_is_left_are_no_error(tmp_path):
    found = corpus(tmp_path, [], [None, None])
    find_repeated_lines(found)
    find_copies(found, RULES)
    assert verdicts(found) == []


def test_lines_of_a_host_leave(tmp_path):
    pages = [page(key, f"{words(number)}\n\nSubscribe now") for number, key in enumerate("abc")]
    found = corpus(tmp_path, pages[:1], [None, *pages[1:]])
    find_repeated_lines(found)
    leaving = [
        (key, verdict.paragraph, verdict.reason, verdict.measure, verdict.threshold)
        for shard in found.shards
        for key, verdicts in read_verdicts(found.verdicts / "lines", shard).items()
        for verdict in verdicts
    ]
    assert leaving == [(key, 1, "host_documents_over", 3, 2) for key in "abc"]


def test_benchmarks_and_broken_pictures_are_found_by_the_task_that_reads_them(tmp_path):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "cat.jpg").write_bytes(jpeg(7, quality=50))
    (tmp_path / "benchmark" / "questions.txt").write_text(" ".join(words(8).split()[40:60]))
    folder = str(tmp_path / "benchmark")
    pages = [page("a", words(1), jpeg(1), jpeg(7)), page("b", words(8), jpeg(2), b"no picture"), page("c", words(3))]
    found = corpus(tmp_path / "work", pages)
    find_copies(found, CopyRules(benchmark_images=folder, benchmark_texts=folder))
    assert verdicts(found) == [
        ("contamination", 0, "a", 1, "benchmark_image", "cat.jpg"),
        ("contamination", 0, "b", -1, "benchmark_text", "questions.txt"),
        ("pictures", 0, "b", 1, "broken_image", ""),
    ]


def test_a_benchmark_image_that_is_none_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^benchmark image .*cat\.jpg: a jpg of 10 bytes cannot be decoded: "):
        find_copies(corpus(tmp_path / "work", []), CopyRules(benchmark_images=str(tmp_path)))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"near_text": 0.4}, "near_text is 0.4; it must be from 0.5 to 1, or null"),
        ({"near_text": float("nan")}, "near_text is nan; it must be from 0.5 to 1, or null"),
        ({"image_documents": 0}, "image_documents is 0; it must be 1 or greater, or null"),
        ({"paragraph_documents": -1}, "paragraph_documents is -1; it must be 1 or greater, or null"),
        ({"image_distance": 9}, "image_distance is 9; it must be from 0 to 8"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused_in_a_sentence(values, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        CopyRules(**values)
