"""A job whose input and output lie in an object store: a real S3 server on loopback."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from pipeline import pairs, video
from shards.dataset import open_dataset

ROOT = Path(__file__).parents[2]
ARCHIVE = "warc2zim__kiwix-with-redirects.warc.gz"


@pytest.fixture
def bucket(monkeypatch) -> Generator[fs.FileSystem]:
    """An S3 server with an empty bucket `crawls`, which addresses of s3:// lead to while the test runs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    store, name = fs.FileSystem.from_uri("s3://crawls?allow_bucket_creation=true")
    store.create_dir(name)
    store.delete_dir_contents(name)  # what an earlier test left: moto keeps it as long as the process lives
    yield store
    server.stop()


def run_web(archives: str, output: str) -> str:
    return run("pipeline.web", "--warc", archives, "--output", output)


def run(*command: str) -> str:
    """What `python -m` and these words print."""
    job = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=240
    )
    assert job.returncode == 0, job.stdout + job.stderr
    return job.stdout


@pytest.mark.slow
def test_archives_and_shards_in_a_bucket_are_those_of_a_disk(bucket, material, tmp_path):
    fs.copy_files(str(material / "warc" / ARCHIVE), f"crawls/in/{ARCHIVE}", destination_filesystem=bucket)
    run_web(str(material / "warc" / ARCHIVE), str(tmp_path / "disk"))
    run_web("s3://crawls/in/*.warc.gz", "s3://crawls/out")
    on_disk, in_bucket = open_dataset(str(tmp_path / "disk")), open_dataset("s3://crawls/out")
    assert list(in_bucket.documents()) == list(on_disk.documents())
    assert len(list(in_bucket.documents())) == 2
    assert in_bucket.manifest.counts == on_disk.manifest.counts
    assert "nothing was changed" in run_web("s3://crawls/in/*.warc.gz", "s3://crawls/out")


@pytest.mark.slow
def test_a_set_in_a_bucket_is_curated_as_one_on_a_disk(bucket, material, tmp_path):
    run_web(str(material / "warc" / ARCHIVE), str(tmp_path / "disk"))
    fs.copy_files(str(tmp_path / "disk"), "crawls/in", destination_filesystem=bucket)
    rules = ["--config", "recipes/curate/copies.yaml", "--document.words.least", "400"]
    run("pipeline.curate", *rules, "--input", str(tmp_path / "disk"), "--output", str(tmp_path / "curated"))
    run("pipeline.curate", *rules, "--input", "s3://crawls/in", "--output", "s3://crawls/curated")
    on_disk, in_bucket = open_dataset(str(tmp_path / "curated")), open_dataset("s3://crawls/curated")
    assert in_bucket.manifest == on_disk.manifest
    assert in_bucket.manifest.counts["documents_read"] == 2
    assert list(in_bucket.documents()) == list(on_disk.documents())
    assert "words_under" in run("pipeline.ledger", "s3://crawls/curated")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_pairs_of_lists_and_of_sets_in_a_bucket_are_those_of_a_disk(bucket, material, serve_folder, tmp_path):
    photographs = sorted((material / "images-captions" / "coco-by" / "images").iterdir())[:6]
    address = serve_folder(photographs[0].parent)
    rows = [{"url": f"{address}/{file.name}", "caption": f"photograph {file.stem}"} for file in photographs]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "00000.tar", "w") as tar:
        for file in photographs:
            (tmp_path / f"{file.stem}.txt").write_text(f"photograph {file.stem}")
            tar.add(file, file.name)
            tar.add(tmp_path / f"{file.stem}.txt", f"{file.stem}.txt")
    for name in ("list.parquet", "set/00000.tar"):
        fs.copy_files(str(tmp_path / name), f"crawls/{name}", destination_filesystem=bucket)
    loopback = ["--allow_network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    for name in ("list.parquet", "set"):
        on_disk, in_bucket = str(tmp_path / f"{name}-out"), f"s3://crawls/{name}-out"
        assert pairs.main(["--input", str(tmp_path / name), "--output", on_disk, *loopback]) == 0
        run("pipeline.pairs", "--input", f"s3://crawls/{name}", "--output", in_bucket, *loopback)
        said = [
            [(document.texts, document.media[0].frames) for document in open_dataset(place).documents()]
            for place in (on_disk, in_bucket)
        ]
        assert said[0] == said[1]
        assert len(said[0]) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_videos_in_a_bucket_are_those_of_a_disk(bucket, material, tmp_path):
    (tmp_path / "films").mkdir()
    for name, target in (
        ("rabbit320_task.webm", "a.webm"),
        ("rabbit320_task.en.vtt", "a.en.vtt"),
        ("frog.webm", "b.webm"),
    ):
        shutil.copy(material / "videos" / name, tmp_path / "films" / target)
    (tmp_path / "films" / "b.txt").write_text("A frog.")
    fs.copy_files(str(tmp_path / "films"), "crawls/films", destination_filesystem=bucket)
    assert video.main(["--input", str(tmp_path / "films"), "--output", str(tmp_path / "out")]) == 0
    run("pipeline.video", "--input", "s3://crawls/films", "--output", "s3://crawls/out")
    said = [
        [
            (document.texts, [[frame.data for frame in medium.frames] for medium in document.media])
            for document in open_dataset(place).documents()
        ]
        for place in (str(tmp_path / "out"), "s3://crawls/out")
    ]
    assert said[0] == said[1]
    assert len(said[0]) == 2
