"""A call that crashes its process costs that call and nothing else."""

import asyncio
import ctypes
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pipeline.careful import Crashed, careful_calls
from pipeline.door import Fetched
from pipeline.extract import extract
from pipeline.images import ImageConfig, ImageError, NoPicture, Picture, decode_carefully, fetch_picture, make_frame

ROOT = Path(__file__).parents[2]
CONFIG = ImageConfig()
calls_here = 0


def image_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def segfault() -> None:
    ctypes.string_at(0)


def hang() -> None:
    time.sleep(600)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def eat_memory() -> int:
    return len(bytearray(16 << 30))


def leave_early() -> None:
    os._exit(0)


def die_unless_first() -> str:
    """Stands for damage that earlier calls did to the process."""
    global calls_here
    calls_here += 1
    if calls_here > 1:
        segfault()
    return "first"


def record_then_die(path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    segfault()


@pytest.mark.parametrize("poison", [segfault, os.abort, stop, hang, eat_memory, leave_early])
def test_poison_is_refused_and_the_next_call_is_served(poison: Callable[[], object]):
    with careful_calls(deadline_seconds=5) as call:
        assert call(abs, -3) == 3
        with pytest.raises(Crashed) as caught:
            call(poison)
        assert caught.value.reason == "crashed"
        assert call(abs, -4) == 4


def test_a_call_is_tried_twice_in_two_processes(tmp_path: Path):
    record = tmp_path / "pids"
    with careful_calls() as call, pytest.raises(Crashed):
        call(record_then_die, str(record))
    pids = record.read_text().split()
    assert len(pids) == len(set(pids)) == 2


def test_a_call_that_only_a_worn_process_dies_of_is_answered():
    with careful_calls() as call:
        assert call(die_unless_first) == "first"
        assert call(die_unless_first) == "first"


def test_one_process_serves_many_calls_and_is_gone_at_the_end():
    with careful_calls() as call:
        pids = {call(os.getpid) for _ in range(20)}
        assert len(pids) == 1
        assert os.getpid() not in pids
    assert not psutil.pid_exists(pids.pop())


def test_an_error_of_the_call_itself_comes_through():
    with careful_calls() as call:
        with pytest.raises(ImageError) as caught:
            call(make_frame, b"no image", CONFIG)
        assert caught.value.reason == "not_an_image"


def test_the_answers_are_those_of_plain_calls():
    html = b"<title>T</title><main><p>Words of a page that is long enough.</p><img src=a.jpg></main>"
    with careful_calls() as call:
        assert call(make_frame, image_bytes(), CONFIG) == make_frame(image_bytes(), CONFIG)
        assert call(extract, html, "https://a.example/", "text/html") == extract(
            html, "https://a.example/", "text/html"
        )


class Shelf:
    """A door to two images, of which one is poison."""

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        return Fetched(url=url, content_type="image/png", data=image_bytes() if url == "good" else b"poison")


def make_frame_or_crash(data: bytes, config: ImageConfig) -> object:
    if data == b"poison":
        segfault()
    return make_frame(data, config)


def test_a_poison_picture_has_a_reason_and_its_neighbours_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.images.make_frame", make_frame_or_crash)

    async def fetch_all() -> list[Picture | NoPicture]:
        with careful_calls() as call:
            decode = decode_carefully(call)
            urls = ["good", "bad", "good"]
            return await asyncio.gather(*(fetch_picture(Shelf(), [url], 1_000_000, CONFIG, decode) for url in urls))

    first, bad, last = asyncio.run(fetch_all())
    assert bad == NoPicture(reason="crashed")
    assert isinstance(first, Picture)
    assert first == last


def test_threads_take_turns():
    with careful_calls() as call:
        answers: list[int] = []
        threads = [threading.Thread(target=lambda n=n: answers.append(call(abs, -n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == list(range(8))


def test_the_child_ends_when_its_parent_is_killed():
    program = """
import os, time
from pipeline.careful import careful_calls
if __name__ == "__main__":
    with careful_calls() as call:
        print(call(os.getpid), flush=True)
        time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert not psutil.wait_procs([child], timeout=30)[1]
