"""The store: what was put is found again, after a crash too; equal bodies lie there once; others can read it."""

import resource
from pathlib import Path

import pytest
from pyarrow import fs
from warcio.archiveiterator import ArchiveIterator

from pipeline.door import Fetched
from pipeline.fetching.store import Store
from shards.location import Location, locate

PAGE = Fetched(
    url="http://x.org/b",
    content_type="text/html",
    data=b"<p>What a page says.</p>" * 100,
    headers=(("Content-Type", "text/html"), ("Content-Encoding", "br"), ("X-Robots-Tag", "nofollow")),
)
PICTURE = Fetched(url="http://y.org/p.jpg", content_type="image/jpeg", data=bytes(range(256)) * 50)


def opened(folder: Path, **options: int) -> Store:
    return Store(locate(str(folder)), **options)


def test_what_was_put_is_found_again_by_both_its_addresses(tmp_path):
    store = opened(tmp_path)
    store.put("http://x.org/a", PAGE)
    store.put("http://y.org/p.jpg", PICTURE)
    for found in (store, opened(tmp_path)):
        for address in ("http://x.org/a", "http://x.org/b"):
            page = found.get(address)
            assert page is not None
            assert (page.url, page.content_type, page.data) == (PAGE.url, "text/html", PAGE.data)
            assert ("X-Robots-Tag", "nofollow") in page.headers
            assert "Content-Encoding" not in dict(page.headers)
        picture = found.get("http://y.org/p.jpg")
        assert picture is not None
        assert (picture.content_type, picture.data) == ("image/jpeg", PICTURE.data)
        assert found.get("http://x.org/c") is None
        found.close()


def test_equal_bodies_lie_there_once(tmp_path):
    store = opened(tmp_path)
    addresses = [f"http://mirror-{n}.org/p.jpg" for n in range(10)]
    for address in addresses:
        store.put(address, Fetched(url=address, content_type="image/jpeg", data=PICTURE.data))
    store.close()
    again = opened(tmp_path)
    assert [found.data for address in addresses if (found := again.get(address))] == [PICTURE.data] * 10
    again.close()
    (segment,) = tmp_path.iterdir()
    assert segment.stat().st_size < 2 * len(PICTURE.data)


@pytest.mark.parametrize("kept", [0.99, 0.6, 0.5, 0.01])
def test_a_segment_that_a_kill_cut_keeps_what_is_whole(tmp_path, kept):
    store = opened(tmp_path)
    addresses = [f"http://x.org/{n}.jpg" for n in range(4)]
    for n, address in enumerate(addresses):
        store.put(address, Fetched(url=address, content_type="image/jpeg", data=PICTURE.data + bytes([n])))
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole[: int(len(whole) * kept)])
    after = opened(tmp_path)
    found = [address for address in addresses if after.get(address)]
    assert found == addresses[: int(4 * kept)]
    after.put("http://x.org/new.jpg", PICTURE)
    assert after.get("http://x.org/new.jpg") is not None
    after.close()
    store.close()


def test_segments_are_closed_when_they_are_large_and_read_by_others(tmp_path):
    store = opened(tmp_path, segment_bytes=20_000)
    addresses = [f"http://x.org/{n}.jpg" for n in range(6)]
    for n, address in enumerate(addresses):
        store.put(address, Fetched(url=address, content_type="image/jpeg", data=PICTURE.data + bytes([n])))
    assert all(store.get(address) for address in addresses)
    store.close()
    segments = list(tmp_path.iterdir())
    assert len(segments) == 3
    named = set[str]()
    for segment in segments:
        with segment.open("rb") as file:
            named |= {record.rec_headers.get_header("WARC-Target-URI") for record in ArchiveIterator(file)}
    assert named == set(addresses)


def test_a_full_disk_leaves_no_part_of_a_record(tmp_path):
    """A file may not grow beyond 30,000 bytes here, which the system tells as it tells of a full disk."""
    store = opened(tmp_path)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, most))
    try:
        store.put(
            "http://x.org/0.jpg", Fetched(url="http://x.org/0.jpg", content_type="image/jpeg", data=bytes(20_000))
        )
        with pytest.raises(OSError, match="File too large"):
            store.put("http://x.org/1.jpg", Fetched(url="http://x.org/1.jpg", content_type="x", data=b"1" * 20_000))
        store.put("http://x.org/2.jpg", Fetched(url="http://x.org/2.jpg", content_type="image/jpeg", data=b"2" * 2_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    store.close()
    again = opened(tmp_path)
    assert [n for n in range(3) if again.get(f"http://x.org/{n}.jpg")] == [0, 2]
    again.close()


def test_on_an_object_store_a_segment_is_put_when_it_is_closed(tmp_path):
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    folder = Location(filesystem=remote, path="store")
    (tmp_path / "store").mkdir()
    store = Store(folder)
    store.put("http://y.org/p.jpg", PICTURE)
    assert store.get("http://y.org/p.jpg") is not None
    assert folder.files() == []
    store.close()
    again = Store(folder)
    found = again.get("http://y.org/p.jpg")
    assert found is not None
    assert found.data == PICTURE.data
    again.close()
