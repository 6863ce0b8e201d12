"""Writing where it cannot be done: a full disk, a file too large, two writers for one output."""

import copy
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shard_pages import page

from pipeline import pairs
from shards.claim import claim
from shards.dataset import open_dataset
from shards.errors import DatasetError, NoRoomError
from shards.location import locate
from shards.shard import write_shard

ROOT = Path(__file__).parents[2]
WRITE = """
import sys
from shards.chunk import write_chunk
from shards.document import Document, Frame, Media, document_key
from shards.errors import DatasetError, NoRoomError
from shards.location import locate
frame = Frame(data=bytes(300_000), format="jpg", width=4, height=3)
make = lambda name: Document(key=document_key(name), source=name, blocks=(Media(kind="image", frames=(frame,)),))
try:
    write_chunk(locate(sys.argv[1]), "000000", lambda _: map(make, "abcdefgh"), shard_documents=2)
except DatasetError as error:
    print(error)
"""
HOLD = "import sys, time; from shards.claim import claim; from shards.location import locate\n"
HOLD += "claim(locate(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def in_shell(script: str, *arguments: object) -> str:
    """What the script prints, which gets the project's Python as $0."""
    command = ["sh", "-c", script, sys.executable, *map(str, arguments)]
    shell = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shell.returncode == 0, shell.stderr
    return shell.stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, to mount a disk of a megabyte")
def test_a_full_disk_is_named_and_leaves_whole_shards_alone(tmp_path):
    """On a tmpfs with room for one shard of two documents and a half."""
    (tmp_path / "disk").mkdir()
    mount = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "x", tmp_path / "disk"], capture_output=True)
    if mount.returncode:
        pytest.skip(f"mounting is not allowed here: {mount.stderr.decode()}")
    script = 'unshare -rm sh -c \'mount -t tmpfs -o size=1M x "$2" && "$0" -c "$1" "$2" && ls -A "$2"\' "$0" "$1" "$2"'
    sentence, *left = in_shell(script, WRITE, tmp_path / "disk").splitlines()
    assert sentence == (
        f"{tmp_path / 'disk'}/000000-0001.tar cannot be written: No space left on device; nothing of it was kept, "
        "so make room and start again"
    )
    assert left == ["000000-0000.parquet", "000000-0000.tar"]


def test_a_file_that_may_not_be_so_large_is_named(tmp_path):
    script = 'ulimit -f 1000; "$0" -c "$1" "$2"'  # of 512 bytes each, and two documents need 602 kB
    sentence = in_shell(script, WRITE, tmp_path)
    assert "000000-0000.tar cannot be written: File too large; nothing of it was kept" in sentence
    assert names(tmp_path) == []


def test_no_room_is_an_error_of_the_dataset_and_of_the_system():
    """Jobs on Ray tell it by its number; it has to survive the way from a worker."""
    error = copy.copy(NoRoomError(errno.ENOSPC, "No space left on device", "/data/s.tar"))
    assert isinstance(error, DatasetError)
    assert (error.errno, error.strerror) == (errno.ENOSPC, "No space left on device")
    assert str(error).startswith("/data/s.tar cannot be written: No space left on device; nothing of it was kept")


def test_a_write_that_fails_leaves_what_stood_before(tmp_path):
    write_shard(locate(str(tmp_path)), "s", [page("a", "1")])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield page("b", "2")
        raise RuntimeError("the web is gone")

    with pytest.raises(RuntimeError, match="the web is gone"):
        write_shard(locate(str(tmp_path)), "s", broken())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@contextmanager
def written_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has claimed `folder`."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    with written_elsewhere(tmp_path):
        sentence = f"{tmp_path} is being written by another process; wait until it ends"
        with pytest.raises(DatasetError, match=sentence):
            claim(locate(str(tmp_path)))
    claim(locate(str(tmp_path)))  # that one was killed
    claim(locate(str(tmp_path)))  # its own claim is no obstacle


@pytest.mark.usefixtures("ray_cluster")
def test_no_job_writes_where_another_does(tmp_path, capsys):
    (tmp_path / "list.txt").write_text("http://127.0.0.1:9/a.png\n")
    command = ["--input", str(tmp_path / "list.txt"), "--output", str(tmp_path / "out")]
    with written_elsewhere(tmp_path / "out"):
        assert pairs.main(command) == 2
    assert f"error: {tmp_path / 'out'} is being written by another process; wait" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_nothing_is_removed_while_another_writes(make_dataset, tmp_path):
    make_dataset([page("a", "1")])
    (tmp_path / "urls.txt").write_text("http://x/1")
    with written_elsewhere(tmp_path / "set"):
        command = [sys.executable, "-m", "shards.remove", str(tmp_path / "set"), "--urls", str(tmp_path / "urls.txt")]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (refused.returncode, "is being written by another process" in refused.stderr) == (2, True)
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["removals"] == []
    assert len(list(open_dataset(str(tmp_path / "set")).documents())) == 1
