"""Backbones by hub id, from a server on loopback that speaks the hub's protocol: which commit is loaded and named."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from safetensors.torch import load_file, save_file

OLD, NEW = "a" * 40, "b" * 40
LOAD = """
import sys, json
from model.flamingo import Flamingo, FlamingoConfig

small = {"resampler_width": 16, "resampler_layers": 1, "cross_attention_heads": 1, "cross_attention_head_width": 8}
for what in json.loads(sys.argv[1]):
    made = Flamingo.from_pretrained(what) if isinstance(what, str) else Flamingo.from_backbones(
        FlamingoConfig(**small, **what)
    )
    print(json.dumps([made.config.vision_revision, made.config.language_revision, made.fingerprints]))
made.save_pretrained(sys.argv[2])
"""


class Hub(ThreadingHTTPServer):
    """Serves one commit of each repository by its names, `main` and what else `names` holds."""

    def __init__(self, repositories: dict[str, dict[str, Path]]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories = repositories
        self.names = {"main": OLD}

    def find(self, path: str) -> tuple[str, Path] | None:
        """The commit, and the file where there is one."""
        repository, resolve, rest = path.partition("?")[0].strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        commit = self.names.get(revision, revision)
        folder = self.repositories.get(repository, {}).get(commit)
        return (commit, folder / name) if resolve and folder else None


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        assert isinstance(self.server, Hub)
        commit, path = self.server.find(self.path) or ("", Path())
        body = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if path.is_file() else 404)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def hub(backbone: Callable[[str], str], tmp_path: Path) -> Iterator[Hub]:
    """Two tiny backbones, of whose language model there is a newer commit with other weights."""
    llama, newer = Path(backbone("llama")), tmp_path / "newer"
    newer.mkdir()
    for file in llama.iterdir():
        (newer / file.name).write_bytes(file.read_bytes())
    weights = load_file(newer / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, newer / "model.safetensors", {"format": "pt"})
    vit = Path(backbone("vit"))
    with Hub({"tiny/llama": {OLD: llama, NEW: newer}, "tiny/vit": {OLD: vit, NEW: vit}}) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def load(hub: Hub, home: Path, saved: Path, *whats: dict[str, str] | str) -> list[tuple[str, str, dict[str, str]]]:
    """The commits and fingerprints of models made of backbones, or from adapters; the last model's are then `saved`.

    In a process of its own, since the address of the hub is read when its library is imported.
    """
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", LOAD, json.dumps(whats), str(saved)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()[-len(whats) :]]


def test_adapters_name_the_commits_of_their_backbones_and_load_those_when_the_hub_has_moved_on(hub, tmp_path):
    backbones, adapters = {"vision": "tiny/vit", "language": "tiny/llama"}, tmp_path / "adapters"
    (first,) = load(hub, tmp_path / "home", adapters, backbones)
    assert first[:2] == [OLD, OLD]

    hub.names["main"] = NEW
    asked = backbones | {"language_revision": OLD}
    again, moved, older = load(hub, tmp_path / "elsewhere", tmp_path / "others", str(adapters), backbones, asked)
    assert again == first
    assert moved[:2] == [NEW, NEW]
    assert moved[2]["language"] != first[2]["language"]
    assert older == [NEW, OLD, first[2]]
