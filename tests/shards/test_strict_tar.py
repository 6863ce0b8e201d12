"""What is no shard of ours is refused, and named: links, devices, other names, repeated keys, bytes behind the end."""

import tarfile

import pytest
from shard_pages import page

from shards.errors import DatasetError
from shards.location import locate
from shards.schema import encode_document
from shards.shard import read_shard, write_shard


def tar_of(*members: tuple[str, bytes], **fields: object) -> bytes:
    """A tar of these members, with `fields` in each header."""
    pieces = list[bytes]()
    for name, data in members:
        header = tarfile.TarInfo(name)
        header.size = len(data)
        for field, value in fields.items():
            setattr(header, field, value)
        pieces += [header.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % 512)]
    return b"".join(pieces) + bytes(1024)


def read(folder, data: bytes) -> list:
    (folder / "s.tar").write_bytes(data)
    return list(read_shard(locate(str(folder / "s.tar"))))


def whole(folder) -> bytes:
    write_shard(locate(str(folder)), "s", [page("a", "1"), page("b", "2")])
    return (folder / "s.tar").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        *("../a.json", "/etc/passwd", "a/b.json", "./a.json", "a.json/", "a..json", ".json", "a.b.json", "a.json.json"),
        *("a.pickle", "a.pyd", "a.0.gif", "a.00.jpg", "a.-1.jpg", "a.0.JPG", "a.jpg", "ü.json", "a b.json", "a.json\n"),
    ],
)
def test_a_member_of_another_name_is_refused(tmp_path, name):
    with pytest.raises(DatasetError, match=r"s\.tar at byte 0: member .* is not a plain file of a document"):
        read(tmp_path, tar_of((name, b"{}")))


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE),
        *(tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE),
    ],
)
def test_a_member_that_is_no_plain_file_is_refused(tmp_path, kind):
    with pytest.raises(DatasetError, match="is not a plain file of a document"):
        read(tmp_path, tar_of(("a.json", b"{}"), type=kind, linkname="b.json"))


def test_a_key_that_comes_again_is_refused(tmp_path):
    a, b = (encode_document(page(name)) for name in "ab")
    keys = [page(name).key for name in "ab"]
    with pytest.raises(DatasetError, match=f"key {keys[0]} comes twice, again at byte 2048"):
        read(tmp_path, tar_of((f"{keys[0]}.json", a), (f"{keys[1]}.json", b), (f"{keys[0]}.json", a)))
    with pytest.raises(DatasetError, match=f"key {keys[0]} comes twice"):
        read(tmp_path, tar_of((f"{keys[0]}.json", a), (f"{keys[0]}.json", a)))


def test_a_document_under_the_key_of_another_is_refused(tmp_path):
    key = page("a").key
    with pytest.raises(DatasetError, match=rf"document {key}: field 'key' is '{page('b').key}'"):
        read(tmp_path, tar_of((f"{key}.json", encode_document(page("b")))))


def test_a_frame_that_no_block_names_is_refused(tmp_path):
    key = page("a").key
    with pytest.raises(DatasetError, match=rf"document {key}: member '{key}\.0\.jpg' is named by none of its blocks"):
        read(tmp_path, tar_of((f"{key}.json", encode_document(page("a"))), (f"{key}.0.jpg", b"x")))


def test_a_cut_is_named_wherever_it_falls(tmp_path):
    data = whole(tmp_path)
    for end in range(0, len(data), 256):
        with pytest.raises(DatasetError, match=r"s\.tar .*(cut|header of a tar)"):
            read(tmp_path, data[:end])


@pytest.mark.parametrize("tail", [bytes(512), bytes(9216), b"x", b"x" * 512])
def test_bytes_behind_the_end_are_named(tmp_path, tail):
    with pytest.raises(DatasetError, match=r"s\.tar goes on behind its end"):
        read(tmp_path, whole(tmp_path) + tail)


def test_a_tar_of_plain_tar_is_read_as_it_is(tmp_path):
    documents = [page("a"), page("b")]
    members = [(f"{one.key}.json", encode_document(one)) for one in documents]
    assert read(tmp_path, tar_of(*members, mtime=7, uid=1000, mode=0o600)) == documents
