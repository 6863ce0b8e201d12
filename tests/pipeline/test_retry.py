"""A chunk done again: what may pass is asked for once more, what had come stays, and nothing gets worse."""

from collections.abc import Iterator

import pytest

from pipeline.chunks import Chunk, do_chunk
from pipeline.ledger import Entry, Outcome, Record, count, ledger_of, read_ledger, write_ledger
from pipeline.retry import documents_of, merge_outcomes, places_to_retry
from shards.chunk import Tally
from shards.document import Document, Frame, Media
from shards.errors import DatasetError
from shards.location import locate
from shards.manifest import Commit, merge, read_commits, write_manifest
from shards.remove import parse_addresses, remove

FRAME = Frame(data=b"jpeg", format="jpg", width=80, height=70)


def document(name: str, images: int = 1) -> Document:
    return Document(key=name, source=name, blocks=tuple(Media(kind="image", frames=(FRAME,)) for _ in range(images)))


def record(page: str, *reasons: str, key: str = "") -> Record:
    """A page of whose pictures each was kept, or dropped for a reason."""
    made = Record(page, key)
    for number, reason in enumerate(reasons):
        made.drop("image", reason, f"http://x.org/{number}.jpg")
    made.keep("page")
    return made


def test_records_are_read_as_they_were_written(tmp_path):
    records = [record("http://x.org/a", "", "timeout", key="a"), record("http://x.org/a", "small_side")]
    tally = Tally()
    for each in records:
        count(each, tally)
    write_ledger(ledger_of(locate(str(tmp_path)), "00", 2), records)
    commit = Commit(chunk="00", shards=(), counts={}, drops={}, generation=2)
    assert list(read_ledger(locate(str(tmp_path)), commit)) == records
    assert dict(tally.counts) == {"images": 1, "pages": 2}
    assert dict(tally.drops) == {"image_timeout": 1, "image_small_side": 1}


def test_what_may_pass_is_asked_for_again_and_what_was_refused_is_not():
    reasons = ("", "deferred", "http_404", "http_503", "robots", "robots_unavailable", "small_side", "header_noai")
    assert places_to_retry([record("http://x.org/", reason) for reason in reasons]) == {1, 3, 5}


def test_the_order_stays_and_only_what_is_better_takes_a_place():
    before = [
        record("whole", "", key="whole"),
        record("better", "", "timeout", key="better"),
        record("worse", "", "", "deferred", key="worse"),
        record("gone", "http_404"),
        record("late", "timeout"),
        record("last", "", key="last"),
    ]
    held = [document("whole"), document("better"), document("worse", 2), document("last")]
    fresh = [
        Outcome(record=record("better", "", "", key="better"), document=document("better", 2)),
        Outcome(record=record("worse", "timeout", "timeout", "", key="worse"), document=document("worse", 1)),
        Outcome(record=record("late", "", key="late"), document=document("late")),
    ]
    merged = list(merge_outcomes(before, iter(held), iter(fresh)))
    found = [outcome.document for outcome in merged if outcome.document]
    assert [(each.key, len(each.media)) for each in found] == [
        ("whole", 1),
        ("better", 2),
        ("worse", 2),
        ("late", 1),
        ("last", 1),
    ]
    assert [outcome.record for outcome in merged][2] == before[2]


def test_several_documents_of_one_thing_stay_together():
    several = record("film", "", key="one")
    several.entries += [Entry(kind="document", address=f"film#{number}") for number in range(3)]
    before = [several, record("late", "timeout"), record("last", "", key="last")]
    held = [document(name) for name in ("one", "two", "three", "last")]
    fresh = Outcome(record=record("late", "", key="a"), document=document("a"), more=(document("b"),))
    merged = list(merge_outcomes(before, iter(held), iter([fresh])))
    found = [each.key for outcome in merged for each in (outcome.document, *outcome.more) if each]
    assert found == ["one", "two", "three", "a", "b", "last"]


def test_a_ledger_that_is_not_that_of_the_documents_is_refused():
    with pytest.raises(DatasetError, match="does not name its document stray"):
        list(merge_outcomes([record("a", "", key="a")], iter([document("a"), document("stray")]), iter(())))


def test_a_document_that_comes_again_has_a_row_that_says_so(tmp_path):
    def work(chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
        for page in ("http://x.org/a", "http://x.org/b"):
            yield Outcome(record=record(page, "", key="k"), document=document("k"))

    location = locate(str(tmp_path))
    do_chunk(location, Chunk(id="00", items=()), work, again=False)
    (commit,) = read_commits(location)
    assert [shard.documents for shard in commit.shards] == [1]
    assert commit.drops == {"document_repeated": 1}
    last = list(read_ledger(location, commit))[1].entries[-1]
    assert (last.kind, last.reason, last.other) == ("document", "repeated", "k")


def test_what_was_taken_out_does_not_come_back(tmp_path):
    folder = locate(str(tmp_path))

    def page(name: str, *images: str) -> Document:
        media = tuple(Media(kind="image", frames=(FRAME,), url=f"http://x.org/{image}.jpg") for image in images)
        return Document(key=name, source=f"http://x.org/{name}", blocks=media)

    def work(chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
        outcomes = [
            Outcome(record=record("a", "", "timeout", key="a"), document=page("a", "face", "tree")),
            Outcome(record=record("b", "", "timeout", key="b"), document=page("b", "house")),
            Outcome(record=record("c", "", key="c"), document=page("c", "boat")),
            Outcome(record=record("d", "timeout", key="d"), document=page("d", "face")),
        ]
        yield from chunk.asked(outcomes)

    chunk = Chunk(id="00", items=("a", "b", "c", "d"))
    do_chunk(folder, chunk, work, False)
    write_manifest(folder, merge("test", {}, read_commits(folder)))
    named = parse_addresses(["http://x.org/face.jpg", "http://x.org/b"])
    assert remove(folder, named) is not None
    do_chunk(folder, chunk, work, True)
    (commit,) = read_commits(folder)
    left = [(each.key, [media.url for media in each.media]) for each in documents_of(folder, commit)]
    assert left == [("a", ["http://x.org/tree.jpg"]), ("c", ["http://x.org/boat.jpg"])]
    assert (commit.generation, commit.removals) == (1, ("000001.json",))
    assert {reason: commit.drops[reason] for reason in ("document_removed", "medium_removed")} == {
        "document_removed": 2,
        "medium_removed": 1,
    }
    assert (commit.drops["document_withheld"], commit.drops["image_withheld"]) == (2, 2)


@pytest.mark.parametrize("gone", [{"one"}, {"two"}, {"one", "three"}, {"one", "two", "three"}, {"last"}])
def test_of_several_documents_some_may_have_been_taken_out(gone):
    several = record("film", "", key="one")
    several.entries += [Entry(kind="document", address=f"film#{number}") for number in range(3)]
    before = [record("early", "", key="early"), several, record("late", "timeout"), record("last", "", key="last")]
    held = [document(name) for name in ("early", "one", "two", "three", "last") if name not in gone]
    late = Outcome(record=record("late", "", key="late"), document=document("late"))
    merged = list(merge_outcomes(before, iter(held), iter([late])))
    found = [each.key for outcome in merged for each in (outcome.document, *outcome.more) if each]
    assert found == [name for name in ("early", "one", "two", "three", "late", "last") if name not in gone]
