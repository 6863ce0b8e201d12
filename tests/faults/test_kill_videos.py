"""A video job whose driver or worker is killed ends as an undisturbed one, in tar files and in folders."""

import io
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import pytest
from jobs_to_kill import commits, files, finish, kill_worker, start, wait_until

VIDEOS = 10


@pytest.fixture(scope="module")
def folder(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, each with subtitles beside it."""
    made = tmp_path_factory.mktemp("films")
    for number in range(VIDEOS):
        shutil.copy(material / "videos" / "rabbit320_task.webm", made / f"{number}.webm")
        shutil.copy(material / "videos" / "rabbit320_task.en.vtt", made / f"{number}.en.vtt")
    return made


@pytest.fixture(scope="module")
def tar(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as video2dataset would write it."""
    path = tmp_path_factory.mktemp("set") / "00000.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            info = tarfile.TarInfo(file.name)
            info.size = file.stat().st_size
            archive.addfile(info, io.BytesIO(file.read_bytes()))
    return path


def command(place: Path, output: Path) -> list[str]:
    paths = ["--input", str(place), "--output", str(output)]
    return [sys.executable, "-m", "pipeline.video", *paths, "--per", "cue", "--chunk_videos", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "tar"])
def test_a_killed_driver_and_a_killed_worker_change_nothing(place, request, tmp_path):
    given = request.getfixturevalue(place)
    finish(start(command(given, tmp_path / "undisturbed")))

    killed = tmp_path / "killed"
    job = start(command(given, killed))
    wait_until(lambda: commits(killed))
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert not (killed / "manifest.json").exists()
    job = start(command(given, killed))
    kill_worker(job, "ray::Map(gather)")
    finish(job)
    assert files(killed) == files(tmp_path / "undisturbed")
