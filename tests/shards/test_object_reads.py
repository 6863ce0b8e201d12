"""Shards in an object store that fails, breaks off, sends too little, is slow: read again, never taken for shorter."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import Any, cast

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pyarrow import fs
from shard_pages import page
from werkzeug.serving import WSGIRequestHandler, make_server

from shards import reading, remove, verify
from shards.chunk import write_chunk
from shards.dataset import open_dataset
from shards.errors import DatasetError, ShardError
from shards.location import Location, locate
from shards.manifest import merge, read_commits, write_manifest

DOCUMENTS = [page("a", "1", "2"), page("b", "3" * 3000), page("c", "4")]


class Store:
    """An S3 server whose answers go wrong as `plan` says, one word an answer."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.plan: Iterator[str] = itertools.repeat("whole")
        self.faults: list[str] = []

    def __call__(self, environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        fault = next(self.plan)
        self.faults += [fault] if fault != "whole" else []
        if fault in ("slow", "stall"):
            time.sleep(0.1 if fault == "slow" else 4)  # the S3 client waits for three seconds
        if fault == "error":
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        sent: list[Any] = []
        body = b"".join(self._app(environment, lambda *answer: sent.append(answer)))
        status, headers = sent[0][:2]
        if fault in ("short", "broken") and environment["REQUEST_METHOD"] == "GET":
            body = body[: len(body) // 2]
            if fault == "short":
                headers = [
                    *(field for field in headers if field[0] != "Content-Length"),
                    ("Content-Length", str(len(body))),
                ]
        start_response(status, headers)
        return [body]


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *arguments: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def store(monkeypatch) -> Iterator[Store]:
    """The server with an empty bucket `data`, where addresses of s3:// lead to while the test runs."""
    made = Store()
    server = make_server("127.0.0.1", 0, made, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings = {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(reading, "FIRST_PAUSE_SECONDS", 0.01)
    bucket, name = fs.FileSystem.from_uri("s3://data?allow_bucket_creation=true")
    bucket.create_dir(name)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def write_set(address: str = "s3://data/set") -> None:
    location = locate(address)
    write_chunk(location, "000000", lambda _: DOCUMENTS, shard_documents=2)
    write_manifest(location, merge("test", {}, read_commits(location)))


@pytest.mark.parametrize(
    ("fault", "plan"),
    [
        ("error", itertools.cycle([*["whole"] * 9, *["error"] * 2])),
        ("short", itertools.cycle([*["whole"] * 3, *["short"] * 3])),
        ("broken", itertools.cycle([*["whole"] * 3, *["broken"] * 2])),
        ("slow", itertools.cycle(["whole", "slow"])),
        ("stall", itertools.chain(["whole"] * 12, ["stall"], itertools.repeat("whole"))),
    ],
)
def test_what_goes_wrong_for_a_while_changes_nothing(store, fault, plan, capsys):
    store.plan = plan
    write_set()
    dataset = open_dataset("s3://data/set")
    assert list(dataset.documents()) == DOCUMENTS
    rows = dataset.index().to_pylist()
    assert [dataset.read(row["shard"], row["offset"], row["size"]) for row in rows] == DOCUMENTS
    assert verify.main(["s3://data/set"]) == 0
    assert set(store.faults) == {fault}


def test_documents_are_taken_out_of_a_set_in_a_bucket(store, tmp_path):
    write_set("s3://data/smaller")
    (tmp_path / "urls.txt").write_text("http://x/a\nhttp://x/4")
    assert remove.main(["s3://data/smaller", "--urls", str(tmp_path / "urls.txt")]) == 0
    assert list(open_dataset("s3://data/smaller").documents()) == [DOCUMENTS[1]]
    names = [name for name in locate("s3://data/smaller").files() if name.endswith((".tar", ".parquet"))]
    assert names == ["000000-0000-r1.parquet", "000000-0000-r1.tar"]
    assert verify.main(["s3://data/smaller"]) == 0


def test_what_stays_short_is_named(store, monkeypatch):
    write_set()
    dataset = open_dataset("s3://data/set")
    monkeypatch.setattr(reading, "ATTEMPTS", 2)
    store.plan = itertools.repeat("short")
    with pytest.raises(ShardError, match=r"000000-0000\.parquet cannot be read: fewer than \d+ bytes came from"):
        dataset.shard_rows("000000-0000")
    with pytest.raises(ShardError, match=r"000000-0000\.tar cannot be read: fewer than 512 bytes came from byte 0 on"):
        dataset.read("000000-0000", 0, 512)


class Gone:
    """A filesystem that answers nothing."""

    type_name = "gone"

    def get_file_info(self, paths_or_selector: object) -> Any:
        raise OSError("no route")

    def open_input_file(self, path: str) -> Any:
        raise OSError("no route")


def test_a_store_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(reading, "FIRST_PAUSE_SECONDS", 0)
    place = Location(filesystem=cast(fs.FileSystem, Gone()), path="bucket/s.tar")
    for ask in (place.size, place.exists, place.files):
        with pytest.raises(DatasetError, match=r"gone://bucket/s\.tar cannot be reached: no route"):
            ask()
    for read in (place.read, place.open, lambda: place.read_range(0, 1)):
        with pytest.raises(DatasetError, match=r"gone://bucket/s\.tar cannot be read: no route"):
            read()


def test_an_address_of_google_cloud_storage_is_one_of_pyarrows():
    """No server of it runs here, so nothing is asked of it."""
    place = locate("gs://anonymous@bucket/set") / "s.tar"
    assert isinstance(place.filesystem, fs.GcsFileSystem)
    assert (str(place), place.path, place.is_local) == ("gcs://bucket/set/s.tar", "bucket/set/s.tar", False)


@pytest.mark.parametrize("last", [0, *reading.MARKS])
def test_a_piece_that_ends_as_its_mark_is_read_all_the_same(tmp_path, last):
    (tmp_path / "piece").write_bytes(bytes([1, 2, last]))
    place = locate(str(tmp_path / "piece"))
    assert place.read() == bytes([1, 2, last])
    with place.open() as stream:
        assert (stream.read(2), stream.read(), stream.read()) == (bytes([1, 2]), bytes([last]), b"")


def test_what_is_missing_is_asked_for_once(store):
    write_set()
    store.plan = iter(["whole"] * 3)
    with pytest.raises(DatasetError, match=r"s3://data/set/none\.tar cannot be read"):
        locate("s3://data/set/none.tar").read()


def test_an_attempt_is_repeated_after_pauses_that_double_and_then_it_is_the_callers(monkeypatch):
    pauses = list[float]()
    monkeypatch.setattr(reading.time, "sleep", pauses.append)
    monkeypatch.setattr(reading.random, "uniform", lambda least, most: 1.0)
    calls = iter(range(100))

    def attempt() -> None:
        raise OSError(f"call {next(calls)}")

    with pytest.raises(OSError, match="call 5"):
        reading.retried(attempt)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0]
