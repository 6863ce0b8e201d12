"""Tasks that share the web: one actor owns a host, an address is fetched once, and nobody waits beyond a deadline."""

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import ray
from ray import cloudpickle

from pipeline.crawl import on_a_loop
from pipeline.door import FetchError
from pipeline.fetch import FetchConfig
from pipeline.fetching.actors import Handle, owner, start_actors
from pipeline.fetching.opt_out import NOBODY, OptOut
from pipeline.network import open_network
from shards.location import locate

pytestmark = pytest.mark.usefixtures("ray_cluster")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
FAST = FetchConfig(delay_seconds=0, delay_factor=0, retries=0)


class Crowd:
    """Answers of a server that counts who is there at once, and what it was asked for."""

    def __init__(self, seconds: float) -> None:
        self.lock = threading.Lock()
        self.seconds = seconds
        self.now = self.most = 0
        self.asked = Counter[str]()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self.asked[handler.path] += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        handler.send_response(404 if handler.path in ("/robots.txt", "/gone") else 200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        handler.wfile.write(handler.path.encode().ljust(5000))


def fetch_all(actors: Sequence[Handle], addresses: Sequence[str], seconds: float = 60) -> list[str]:
    """What a task gets at `addresses`: the first word of the body, or the reason why there is none."""

    async def fetch(door: Any, address: str) -> str:
        try:
            return (await door.fetch(address, 1_000_000)).data.split()[0].decode()
        except FetchError as error:
            return error.reason

    async def gather(door: Any) -> list[str]:
        return await asyncio.gather(*(fetch(door, address) for address in addresses))

    with on_a_loop(open_network(actors, seconds)) as (runner, door):
        return runner.run(gather(door))


@pytest.fixture
def crowd(site) -> Crowd:
    made = Crowd(0.02)
    site.answer = made.answer
    return made


def test_tasks_together_keep_a_hosts_limit_and_fetch_an_address_once(site, crowd, tmp_path):
    paths = [f"/{n}" for n in range(20)] + ["/gone"]
    addresses = [f"{site.url}{path}" for path in paths]
    expected = [*paths[:-1], "http_404"]
    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path))) as actors:
        task = ray.remote(num_cpus=1)(fetch_all)
        assert ray.get([task.remote(actors, addresses) for _ in range(4)]) == [expected] * 4
        assert fetch_all(actors, addresses) == expected
    assert crowd.most == FAST.connections_per_host == 2
    assert set(crowd.asked.values()) == {1}

    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path))) as actors:
        assert fetch_all(actors, addresses) == expected
    assert crowd.asked["/0"] == 1, "another run finds in the store what an earlier one left there"
    assert crowd.asked["/gone"] == 2

    nobody = OptOut(domains=frozenset(("127.0.0.1",)))
    with start_actors(FAST, "127.0.0.0/8", nobody, locate(str(tmp_path))) as actors:
        assert set(fetch_all(actors, addresses)) == {"opted_out"}, "what lies in the store does not help"


def test_a_redirect_to_another_actors_host_is_asked_for_there(site, tmp_path):
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    number = next(n for n in range(2, 9) if owner(site.url, n) != owner(elsewhere, n))
    site.file("/here", b"/here")
    site.answers["/moved"] = (302, {"Location": f"{elsewhere}/here"}, b"")
    site.answers["/loop"] = (302, {"Location": f"{elsewhere}/pool"}, b"")
    site.answers["/pool"] = (302, {"Location": f"{site.url}/loop"}, b"")
    names = [f"{site.url}/moved", f"{elsewhere}/here", f"{site.url}/moved", f"{site.url}/loop"]
    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path)), number) as actors:
        assert fetch_all(actors, names) == ["/here", "/here", "/here", "too_many_redirects"]
    assert site.requests.count("/here") == site.requests.count("/moved") == 1
    assert site.requests.count("/robots.txt") == 2


def test_an_actor_that_is_killed_is_asked_again_for_what_it_owed(site, crowd, tmp_path):
    crowd.seconds = 0.1
    paths = [f"/{n}" for n in range(40)]
    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path))) as actors:
        task = ray.remote(num_cpus=1)(fetch_all).remote(actors, [f"{site.url}{path}" for path in paths])
        deadline = time.monotonic() + 60
        while sum(crowd.asked.values()) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        ray.kill(actors[0], no_restart=False)
        assert ray.get(task) == paths
    again = [path for path, times in crowd.asked.items() if times > 1]
    assert len(again) <= 1 + FAST.connections_per_host, "what was in the store is not fetched again"


def test_a_task_that_was_taken_for_dead_asks_again(site, crowd, tmp_path):
    """It was silent for so long that what waited for it was dropped; here it is told so while it waits."""
    crowd.seconds = 1.0
    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path))) as actors:

        async def fetch(door: Any) -> bytes:
            asked = asyncio.create_task(door.fetch(f"{site.url}/1", 1_000_000))
            while not crowd.asked["/1"]:
                await asyncio.sleep(0.01)
            await actors[0].leave.remote(door.door.lines[0].task)
            return (await asyncio.wait_for(asked, timeout=60)).data

        with on_a_loop(open_network(actors, 60)) as (runner, door):
            assert runner.run(fetch(door)).startswith(b"/1")


def test_a_slow_host_is_deferred_at_the_deadline_and_harms_no_other(site, crowd, serve_folder, tmp_path):
    crowd.seconds = 0.5
    (tmp_path / "quick.html").write_text("quick")
    quick = f"{serve_folder(tmp_path)}/quick.html"
    slow = [f"{site.url}/{n}" for n in range(40)]
    with start_actors(FAST, "127.0.0.0/8", NOBODY, locate(str(tmp_path / "store"))) as actors:
        fetch_all(actors, [quick])  # the actor's process has started
        started = time.monotonic()
        *came, last = fetch_all(actors, [*slow, quick], seconds=2)
        assert time.monotonic() - started < 10
        assert last == "quick"
        assert came.count("deferred") >= 20
        assert fetch_all(actors, [slow[-1]]) == ["/39"], "what was deferred may be asked for again"
    asked = sum(crowd.asked.values())
    assert asked < 30, "what nobody waits for any more is not fetched"


def test_a_host_has_one_owner_whatever_its_port_and_path():
    addresses = [f"http://host-{n}.org" for n in range(200)]
    for address in addresses:
        assert (
            len({owner(f"{address}{rest}", 4) for rest in ("/", "/a/b?c", ":8080/")} | {owner(f"{address}./", 4)}) == 1
        )
    shares = Counter(owner(address, 4) for address in addresses)
    assert len(shares) == 4
    assert min(shares.values()) > 25
