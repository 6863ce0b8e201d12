"""One Ray cluster for the whole session, the real material where it is present, and a small loopback server."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import ray

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def material() -> Path:
    """Real pages, archives, videos and images, which lie beside the checkout and are no part of it."""
    folder = ROOT.parent / "shared" / "material"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: real material does not come with the project")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray with four CPUs, whatever the machine has, in a session directory that goes when the tests end."""
    # Not pytest's own folder: Ray's sockets lie in it, and a socket's path may have 107 bytes at most.
    folder = tempfile.mkdtemp(prefix="ray-")
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    ray.init(address="local", num_cpus=4, include_dashboard=False, _temp_dir=folder, log_to_driver=False)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Site:
    """A loopback server: what it answers by path, and what it was asked."""

    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def page(self, path: str, html: str, **headers: str) -> None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (200, {"Content-Type": "text/html; charset=utf-8", **fields}, html.encode())

    def file(self, path: str, data: bytes, content_type: str = "image/png") -> None:
        self.answers[path] = (200, {"Content-Type": content_type}, data)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        status, headers, body = self.answers.get(handler.path, (404, {}, b"no such page"))
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty site on loopback; fill `answers`."""
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    with ExitStack() as stack:
        made.url = stack.enter_context(serving(Handler))
        yield made


@pytest.fixture
def serve_folder() -> Iterator[Callable[[Path], str]]:
    """A function that serves a folder on loopback until the test ends, and returns its address."""
    with ExitStack() as stack:

        def serve(folder: Path) -> str:
            class Handler(SimpleHTTPRequestHandler):
                def __init__(self, *args, **options) -> None:
                    super().__init__(*args, directory=str(folder), **options)

                def log_message(self, format: str, *args: object) -> None:
                    """Keeps the test's output clean."""

            return stack.enter_context(serving(Handler))

        yield serve


class serving:
    """A threaded server on a free loopback port, as a context that gives its address."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
