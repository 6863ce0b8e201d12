"""Sets as img2dataset's own writers write them, and tars with what strangers may put there."""

import asyncio
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.command import InputError
from pipeline.door import FetchError
from pipeline.inputs.pair_lists import Columns
from pipeline.inputs.pair_sets import HeldPictures, read_tar
from pipeline.inputs.pair_sources import find_sources
from pipeline.inputs.pair_table import Pair
from shards.location import locate

COLUMNS = Columns(url="url", caption="caption")
WRITE = """
import sys
import pyarrow as pa
from img2dataset import writer
for name, kind in (("webdataset", "WebDataset"), ("parquet", "Parquet"), ("files", "Files")):
    fields = "url caption licence key status error_message width height original_width original_height".split()
    kinds = [pa.int32() if field.endswith(("width", "height")) else pa.string() for field in fields]
    schema = pa.schema(list(zip(fields, kinds)))
    out = getattr(writer, f"{kind}SampleWriter")(0, f"{sys.argv[1]}/{name}", True, 5, schema, "jpg")
    for number in range(250):
        failed = number == 1
        meta = dict.fromkeys(fields) | {"url": f"http://x.org/{number}", "caption": f"No. {number}", "licence": "CC0"}
        meta |= {"key": f"{number:09d}", "status": "failed_to_download" if failed else "success", "original_width": 640}
        out.write(None if failed else b"picture %d" % number, meta["key"], meta["caption"], meta)
    out.close()
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The same 250 samples, of which the second failed, in each of img2dataset's formats."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("webdataset", "parquet", "files"):
        (folder / name).mkdir()
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, env=environment, capture_output=True)
    return folder


def read(path):
    return [pair for source in find_sources(locate(str(path))) for pair in source.read(COLUMNS)]


def door(pairs):
    return HeldPictures((pair.address, pair.held) for pair in pairs)


def picture(pairs, pair, most_bytes=1000):
    return asyncio.run(door(pairs).fetch(pair.address, most_bytes)).data


def tar_of(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return locate(str(path))


@pytest.mark.parametrize("name", ["webdataset", "parquet", "files"])
def test_what_img2dataset_wrote_gives_its_pairs(sets, name):
    pairs = read(sets / name)
    numbers = [number for number in range(250) if name == "parquet" or number != 1]
    assert [pair.address for pair in pairs] == [f"http://x.org/{number}" for number in numbers]
    assert [pair.captions for pair in pairs] == [(f"No. {number}",) for number in numbers]
    assert {tuple(pair.facts.items()) for pair in pairs if pair.held} == {
        (("licence", "CC0"), ("original_width", "640"))
    }
    held = door(pairs)

    async def fetch_all():
        return await asyncio.gather(*(held.fetch(pair.address, 1000) for pair in pairs if pair.held))

    found = [b"picture %d" % number for number in numbers if number != 1]
    assert [answer.data for answer in asyncio.run(fetch_all())] == found


def test_a_picture_that_img2dataset_did_not_get_is_not_in_the_set(sets):
    pairs = read(sets / "parquet")
    with pytest.raises(FetchError, match="not_in_set"):
        picture(pairs, pairs[1])
    with pytest.raises(FetchError, match="too_large"):
        picture(pairs, pairs[2], most_bytes=8)


def test_openflamingos_layout_needs_no_json_and_nothing_is_unpickled(tmp_path):
    """jpg, png or jpeg and txt; a member that unpickling would run code from is passed over."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "unpickled"),)

    members = {
        "00000/a.JPG": b"first", "00000/a.txt": b"One.\n", "00000/a.pyd": pickle.dumps(Trap()),
        "00000/b.jpeg": b"second", "00000/b.cls": b"7",
        "c.txt": b"Third.", "c.d.png": b"a part that is not called png",
        "d.png": b"fourth", "d.json": b'{"url": 3, "caption": ["Four.", "4"], "n": 4}', "d.jpg": b"preferred",
        "d.txt": b"a name that comes again begins anew" , "d.png.pickle": pickle.dumps(Trap()),
    }  # fmt: skip
    file = tar_of(tmp_path / "0.tar", members)
    pairs = list(read_tar(file, COLUMNS))
    assert [(pair.address.partition("#")[2], pair.captions) for pair in pairs] == [
        ("00000/a", ("One.",)),
        ("00000/b", ()),
        ("c", ("Third.",)),
        ("d", ("a name that comes again begins anew",)),
    ]
    assert [picture(pairs, pair) for pair in pairs if pair.held] == [b"first", b"second", b"preferred"]
    assert pairs[3].facts == {"n": "4"}
    assert not (tmp_path / "unpickled").exists()


def test_a_suffix_that_comes_again_begins_another_sample(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, data in [("a.jpg", b"1"), ("a.txt", b"one"), ("a.jpg", b"2"), ("a.txt", b"two")]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert [pair.captions for pair in read_tar(locate(str(tmp_path / "0.tar")), COLUMNS)] == [("one",), ("two",)]


def test_a_tar_that_breaks_off_gives_what_came_before_and_says_so(tmp_path):
    whole = tar_of(tmp_path / "0.tar", {f"{n}.{kind}": b"x" * 700 for n in range(4) for kind in ("jpg", "txt")})
    data = (tmp_path / "0.tar").read_bytes()
    assert [pair.failure for pair in read_tar(whole, COLUMNS)] == [""] * 4
    content = data.rstrip(b"\0")
    for cut in range(1600, len(content), 97):
        (tmp_path / "cut.tar").write_bytes(data[:cut])
        *pairs, last = read_tar(locate(str(tmp_path / "cut.tar")), COLUMNS)
        assert last.failure == "cut"
        assert [pair.failure for pair in pairs] == [""] * len(pairs)
    (tmp_path / "torn.tar").write_bytes(data[:3072] + b"\xff" * 512 + data[3584:])
    assert [pair.failure for pair in read_tar(locate(str(tmp_path / "torn.tar")), COLUMNS)] == ["", "cut"]


def test_links_and_devices_in_a_tar_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert list(read_tar(locate(str(tmp_path / "0.tar")), COLUMNS)) == []


def test_long_texts_and_bad_json_are_not_read(tmp_path):
    members = {"a.jpg": b"1", "a.txt": b"x" * 1_000_001, "b.jpg": b"2", "b.json": b"[" * 100_000}
    pairs = list(read_tar(tar_of(tmp_path / "0.tar", members), COLUMNS))
    assert [pair.captions for pair in pairs] == [(), ()]


def test_what_a_folder_holds_is_seen_from_its_files(tmp_path, sets):
    assert [source.kind for source in find_sources(locate(str(sets / "webdataset")))] == ["tar"]
    assert [source.kind for source in find_sources(locate(str(sets / "parquet")))] == ["pictures"]
    assert [source.kind for source in find_sources(locate(str(sets / "files")))] == ["folder"]
    (tmp_path / "1.csv").write_text("url,caption\n")
    (tmp_path / "0.jsonl").write_text("")
    (tmp_path / "00000_stats.json").write_text("{}")
    assert [source.place.rpartition("/")[2] for source in find_sources(locate(str(tmp_path)))] == ["0.jsonl", "1.csv"]
    assert len(find_sources(locate(str(tmp_path / "*.csv")))) == 1
    with pytest.raises(InputError, match="names no file"):
        find_sources(locate(str(tmp_path / "*.tar")))
    (tmp_path / "bad.parquet").write_text("PAR1")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        find_sources(locate(str(tmp_path / "bad.parquet")))
    (tmp_path / "bad.tar").write_text("no tar")
    with pytest.raises(InputError, match="cannot be read as a tar"):
        list(read_tar(locate(str(tmp_path / "bad.tar")), COLUMNS))


def test_pictures_that_go_away_are_unreadable(tmp_path):
    file = tar_of(tmp_path / "0.tar", {"a.jpg": b"1", "a.txt": json.dumps("x").encode()})
    pairs = list(read_tar(file, COLUMNS))
    (tmp_path / "0.tar").unlink()
    with pytest.raises(FetchError, match="unreadable"):
        picture(pairs, pairs[0])
    with pytest.raises(FetchError, match="not_in_set"):
        picture(pairs, Pair(address="elsewhere"))


def test_the_first_row_of_every_row_group_is_found(tmp_path):
    rows = [{"url": f"http://{n}", "caption": str(n), "png": b"%d" % n} for n in range(10)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet", row_group_size=3)
    pairs = read(tmp_path / "set.parquet")
    assert [picture(pairs, pair) for pair in pairs] == [b"%d" % n for n in range(10)]
