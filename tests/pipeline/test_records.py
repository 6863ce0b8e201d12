"""Records and where they lie: what is written is found, what is broken is passed over, and memory stays small."""

import gzip
import io
import random
import struct
import tracemalloc

import pytest
from archive_bytes import PACKS, answer, record
from backports import zstd
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipeline.archives.members import DICTIONARY, DamagedError, compression_of, lay_out_plain
from pipeline.archives.records import MOST_HEAD_BYTES, UnalignedError, read_record, scan

RECORDS = [
    record("http://a.org/", answer()),
    record("http://a.org/b.png", answer(b"\x89PNG" + b"\r\n\r\nWARC/1.0\r\n" * 3, content_type="image/png")),
    record("http://a.org/c", b"", kind="revisit"),
]
ARC = (
    b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 InternetArchive\n"
    b"URL IP-address Archive-date Content-type Archive-length\n\n"
)


def read(data: bytes) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Address and place of each record, and the damages."""
    file, damages = io.BytesIO(data), list[str]()
    found = scan(file, compression_of(file), lambda record: record.url, damages)
    return list(found), damages


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_each_record_is_found_and_can_be_read_alone(pack):
    packed = [pack(one) for one in RECORDS]
    data = b"".join(packed)
    found, damages = read(data)
    assert [url for url, _, _ in found] == ["http://a.org/", "http://a.org/b.png", "http://a.org/c"]
    assert damages == []
    for (url, offset, length), whole in zip(found, packed, strict=True):
        assert whole.startswith(data[offset : offset + length])
        assert read(data[offset : offset + length])[0] == [(url, 0, length)]


def test_blocks_come_back_byte_for_byte():
    stream = io.BytesIO(RECORDS[0])
    assert read_record(stream).block.read() == answer()


def test_many_records_in_one_member_are_to_be_laid_out_plain():
    file, plain, damages = io.BytesIO(gzip.compress(b"".join(RECORDS))), io.BytesIO(), list[str]()
    with pytest.raises(UnalignedError):
        list(scan(file, compression_of(file), lambda record: record.url, damages))
    lay_out_plain(file, compression_of(file), plain, damages)
    assert plain.getvalue() == b"".join(RECORDS)
    assert damages == []


def test_members_that_part_records_anywhere_are_to_be_laid_out_plain():
    whole = b"".join(RECORDS)
    with pytest.raises(UnalignedError):
        read(gzip.compress(whole[:100]) + gzip.compress(whole[100:]))


def test_zstd_with_a_dictionary_in_front():
    samples = [record(f"http://a.org/{number}", answer(b"x" * number)) for number in range(200)]
    trained = zstd.train_dict(samples, 4096)
    frames = b"".join(zstd.compress(one, zstd_dict=trained) for one in RECORDS)
    for content in (trained.dict_content, zstd.compress(trained.dict_content)):
        data = DICTIONARY + struct.pack("<I", len(content)) + content + frames
        found, damages = read(data)
        assert [url for url, _, _ in found] == ["http://a.org/", "http://a.org/b.png", "http://a.org/c"]
        assert found[0][1] == 8 + len(content)
        assert damages == []
    with pytest.raises(DamagedError, match="the dictionary of 9 bytes"):
        read(DICTIONARY + struct.pack("<I", 9) + b"\x28\xb5\x2f\xfd12345" + frames)


@pytest.mark.parametrize("pack", [PACKS["gzip"], PACKS["zstd"]], ids=["gzip", "zstd"])
def test_records_behind_a_broken_one_are_read(pack):
    packed = [pack(one) for one in RECORDS]
    broken = bytearray(b"".join(packed))
    middle = len(packed[0]) + len(packed[1]) // 2
    broken[middle : middle + 8] = b"\xff" * 8
    found, damages = read(bytes(broken))
    assert [url for url, _, _ in found] == ["http://a.org/", "http://a.org/c"]
    assert damages
    assert damages[0].startswith(f"at byte {len(packed[0])}: ")


def test_a_wrong_length_loses_its_own_record_alone():
    short = RECORDS[0].replace(b"Content-Length: ", b"Content-Length: -")
    length = len(answer())
    found, damages = read(short + RECORDS[1] + RECORDS[2])
    assert [url for url, _, _ in found] == ["http://a.org/b.png", "http://a.org/c"]
    assert damages == [f"at byte 0: a response has the length '-{length}'"]


def test_a_record_that_says_more_than_there_is_has_no_end():
    found, damages = read(RECORDS[0] + RECORDS[1][:-10])
    assert [url for url, _, _ in found] == ["http://a.org/"]
    assert damages == [f"at byte {len(RECORDS[0])}: the response has 6 bytes too few"]


def test_arc_of_both_versions():
    block = answer()
    first = ARC + b"http://a.org/a b.html 127.0.0.1 20080430204825 text/html %d\n" % len(block) + block + b"\n"
    found, damages = read(first)
    assert [url for url, _, _ in found] == ["filedesc://x.arc", "http://a.org/a%20b.html"]
    assert damages == []
    packed = gzip.compress(ARC + b"dns:a.org 127.0.0.1 20080430204825 text/dns 0\n\n")
    with pytest.raises(UnalignedError):
        read(packed)
    fields = b"http://a.org/ 127.0.0.1 19961104142103 text/html 200 fac069 - 209 x.arc %d\n" % len(block)
    found, damages = read(ARC + fields + block + b"\n")
    assert [url for url, _, _ in found] == ["filedesc://x.arc", "http://a.org/"]
    assert damages == []


@pytest.mark.parametrize("pack", [PACKS["gzip"], PACKS["zstd"]], ids=["gzip", "zstd"])
@pytest.mark.parametrize(
    "bomb", [b"WARC/1.1\r\nWARC-Type: " + b"x" * 10**8, b"WARC/1.1\r\n" + b"a: b\r\n" * 10**7], ids=["line", "lines"]
)
def test_header_lines_without_end_are_bounded(pack, bomb):
    data = pack(bomb) + pack(RECORDS[0])
    tracemalloc.start()
    found, damages = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [url for url, _, _ in found] == ["http://a.org/"]
    assert damages == [f"at byte 0: header lines of more than {MOST_HEAD_BYTES} bytes"]
    assert peak < 20_000_000


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_a_long_record_is_passed_over_in_pieces(pack, tmp_path):
    (tmp_path / "x.warc").write_bytes(pack(record("http://a.org/film", answer(bytes(10**8)))) + pack(RECORDS[0]))
    damages = list[str]()
    with (tmp_path / "x.warc").open("rb") as file:
        tracemalloc.start()
        found = list(scan(file, compression_of(file), lambda record: record.url, damages))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert [url for url, _, _ in found] == ["http://a.org/film", "http://a.org/"]
    assert damages == []
    assert peak < 5_000_000


def test_what_is_no_archive_gives_nothing_and_says_so():
    assert read(b"") == ([], [])
    assert read(b"<html>\n<p>\n")[1] == ["at byte 0: no record begins with b'<html>\\n'"]
    assert read(b"\n \r\n") == ([], [])


def test_real_archives_are_read_as_warcio_reads_them(material):
    """Every record of every archive that warcio reads without complaint, at the same place."""
    compared = 0
    for path in sorted((material / "warc").glob("*arc*")):
        try:
            with path.open("rb") as file:
                expected = list(_by_warcio(file))
        except ArchiveLoadFailed:
            continue
        try:
            found, damages = read(path.read_bytes())
        except UnalignedError:
            continue
        if not damages:
            compared += 1
            assert [(offset, length) for _, offset, length in found] == expected, path
    assert compared >= 38


def _by_warcio(file):
    records = ArchiveIterator(file)
    for _ in records:
        offset, length = records.get_record_offset(), records.get_record_length()
        yield offset, length


def test_mutated_archives_never_raise(material):
    names = ("ipwb__frogTest.warc", "ipwb__froggie.warc.gz", "warcio__example-space-in-url.arc")
    originals = [(material / "warc" / name).read_bytes() for name in names]
    originals.append(b"".join(map(zstd.compress, RECORDS)))
    choice = random.Random(20261121)
    damaged = 0
    for _ in range(600):
        data = bytearray(choice.choice(originals))
        for _ in range(choice.randrange(1, 40)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        if choice.random() < 0.5:
            del data[choice.randrange(1, len(data)) :]
        try:
            damaged += bool(read(bytes(data))[1])
        except (UnalignedError, DamagedError):
            damaged += 1
    assert damaged > 200
