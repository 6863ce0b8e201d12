"""The proxy in front of a door: what urllib makes of its answers, and what it refuses by itself."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipeline.door import Fetched, FetchError
from pipeline.fetching.proxy import Proxy, ProxyServer, reason_in
from pipeline.img2dataset_engine import LOST, reason_of


class Shelf:
    """A door that knows one address, and fails, or waits, for others."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked.append((url, most_bytes))
        if url.endswith("/slow"):
            await asyncio.sleep(60)
        if not url.endswith("good?a=b&c=d%20e"):
            raise FetchError(url.rpartition("/")[2])
        fields = (("X-Robots-Tag", "a: noai"), ("X-Robots-Tag", "b: nothing"), ("Set-Cookie", "secret"))
        return Fetched(url=url, content_type="image/png", data=b"picture", headers=fields)


def ask(*urls: str, token: str = "token", seconds: float = 5.0) -> tuple[list[object], Shelf]:
    """What urllib gets for each of `urls` through a proxy: the body and its fields, or what its error says."""
    shelf = Shelf()

    @asynccontextmanager
    async def network() -> AsyncIterator[Shelf]:
        yield shelf

    def read(address: str) -> object:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read(), answer.headers.get_all("X-Robots-Tag"), answer.headers["Set-Cookie"]
        except urllib.error.HTTPError as error:
            error.close()
            return str(error)

    async def run() -> list[object]:
        server = ProxyServer(network, "token", 1000, seconds)
        proxy = Proxy(port=await server.start(0), token=token)
        try:
            return [await asyncio.to_thread(read, proxy.address(url)) for url in urls]
        finally:
            await server.close()

    return asyncio.run(run()), shelf


def test_a_picture_comes_with_the_fields_that_concern_it():
    answers, shelf = ask("https://x.org/good?a=b&c=d%20e")
    assert answers == [(b"picture", ["a: noai", "b: nothing"], None)]
    assert shelf.asked == [("https://x.org/good?a=b&c=d%20e", 1000)]


def test_an_error_says_the_reason_and_has_the_webs_own_status():
    answers, _ = ask("http://x.org/http_404", "http://x.org/robots", "http://x.org/forbidden_address")
    assert answers == ["HTTP Error 404: http_404", "HTTP Error 502: robots", "HTTP Error 502: forbidden_address"]
    assert [reason_in(str(answer)) for answer in answers] == ["http_404", "robots", "forbidden_address"]


def test_nobody_is_served_without_the_token():
    answers, shelf = ask("http://x.org/good?a=b&c=d%20e", token="tok")
    assert answers == ["HTTP Error 502: forbidden_token"]
    assert shelf.asked == []


def test_what_takes_too_long_is_deferred():
    assert ask("http://x.org/slow", seconds=0.1)[0] == ["HTTP Error 502: deferred"]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_address_arrives_as_it_was(url):
    assert URL(Proxy(port=80, token="t").address(url), encoded=True).query.get("url") == url


@pytest.mark.parametrize(
    ("status", "message", "trusted", "reason"),
    [
        ("failed_to_download", "HTTP Error 502: robots", False, "robots"),
        ("failed_to_download", "<urlopen error [Errno 111] Connection refused>", False, LOST),
        ("failed_to_download", "HTTP Error 404: Not Found", True, "http_404"),
        ("failed_to_download", "HTTP Error 502: robots", True, "http_502"),
        ("failed_to_download", "timed out", True, "timeout"),
        ("failed_to_download", "<urlopen error [Errno 111] Connection refused>", True, "connect"),
        ("failed_to_download", "unknown url type: 'x'", True, "not_downloaded"),
        ("failed_to_download", "hash mismatch", False, "hash_mismatch"),
        ("failed_to_download", "Use of image disallowed by X-Robots-Tag directive", False, "header_disallowed"),
        ("failed_to_resize", "image decoding error", False, "not_resized"),
    ],
)
def test_what_img2dataset_says_becomes_a_reason(status, message, trusted, reason):
    assert reason_of(status, message, trusted) == reason
