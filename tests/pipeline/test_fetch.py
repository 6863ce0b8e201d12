"""The door to the web, against a server on loopback: what is refused, and the reason that is counted."""

import asyncio
import gzip
import socket
import time

import pytest

from pipeline.door import FetchError
from pipeline.fetch import Elsewhere, FetchConfig, open_fetcher

LOOPBACK = "127.0.0.0/8"


def fetch(*urls: str, allow: str = LOOPBACK, most_bytes: int = 10_000, **config: float) -> list[object]:
    """What each address gave: its bytes, or the reason why nothing came."""

    async def fetch_all() -> list[object]:
        settings = FetchConfig(**{"delay_seconds": 0.0, "retries": 0, "seconds": 5.0, **config})  # pyright: ignore
        async with open_fetcher(settings, allow) as fetcher:

            async def one(url: str) -> object:
                try:
                    return (await fetcher.fetch(url, most_bytes)).data
                except FetchError as error:
                    return error.reason

            return [await one(url) for url in urls]

    return asyncio.run(fetch_all())


def redirect(target: str) -> tuple[int, dict[str, str], bytes]:
    return 302, {"Location": target}, b""


def test_a_page_comes_whole_under_an_honest_name(site):
    site.page("/a", "<p>hello</p>")
    assert fetch(f"{site.url}/a") == [b"<p>hello</p>"]
    assert site.requests == ["/robots.txt", "/a"]
    assert FetchConfig(contact="mailto:a@b.org").user_agent == "flamboyance/0.1 (+mailto:a@b.org)"


def test_gzip_is_read_and_its_length_is_that_of_the_content(site):
    site.answers["/a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 9_000))
    site.answers["/bomb"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 10_000_000))
    assert fetch(f"{site.url}/a", f"{site.url}/bomb") == [b"x" * 9_000, "too_large"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "forbidden_address"),
        ("localhost", "forbidden_address"),
        ("[::ffff:127.0.0.1]", "forbidden_address"),
        ("127.1", "bad_address"),
        ("2130706433", "bad_address"),
        ("0x7f000001", "forbidden_address"),
    ],
)
def test_loopback_is_refused_at_connect_time_in_every_spelling(site, host, expected):
    port = site.url.rpartition(":")[2]
    site.page("/a", "secret")
    assert fetch(f"http://{host}:{port}/a", allow="") == [expected]
    assert site.requests == []


def test_a_redirect_to_a_forbidden_machine_is_refused(site):
    site.answers["/out"] = redirect("http://169.254.169.254/latest/meta-data/")
    site.answers["/file"] = redirect("file:///etc/passwd")
    assert fetch(f"{site.url}/out", f"{site.url}/file") == ["forbidden_address", "bad_redirect"]


def test_redirects_are_followed_and_bounded(site):
    site.answers["/1"] = redirect("/2")
    site.answers["/2"] = redirect(f"{site.url}/3")
    site.page("/3", "end")
    site.answers["/loop"] = redirect("/loop")
    assert fetch(f"{site.url}/1", f"{site.url}/loop") == [b"end", "too_many_redirects"]
    assert site.requests.count("/loop") == 6


def test_a_redirect_that_is_somebody_elses_is_named_instead_of_followed(site):
    site.answers["/here"] = redirect("/there")
    site.answers["/there"] = redirect("/elsewhere")

    async def fetch_own() -> str:
        async with open_fetcher(FetchConfig(delay_seconds=0), LOOPBACK) as fetcher:
            with pytest.raises(Elsewhere) as caught:
                await fetcher.fetch(f"{site.url}/here", 9, follows=lambda url: not url.endswith("/elsewhere"))
            return caught.value.url

    assert asyncio.run(fetch_own()) == f"{site.url}/elsewhere"
    assert site.requests == ["/robots.txt", "/here", "/there"]


def test_robots_are_obeyed_also_after_a_redirect(site):
    site.answers["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /private/\n")
    site.page("/private/a", "secret")
    site.page("/b", "open")
    site.answers["/c"] = redirect("/private/a")
    assert fetch(*(f"{site.url}/{path}" for path in ("private/a", "b", "c"))) == ["robots", b"open", "robots"]
    assert "/private/a" not in site.requests


@pytest.mark.parametrize(("status", "expected"), [(404, b"x"), (403, b"x"), (500, "robots_unavailable")])
def test_robots_that_fail_allow_or_forbid_as_the_standard_says(site, status, expected):
    site.answers["/robots.txt"] = (status, {}, b"")
    site.page("/a", "x")
    assert fetch(f"{site.url}/a") == [expected]


def test_robots_are_asked_for_once(site):
    site.page("/a", "x")
    fetch(f"{site.url}/a", f"{site.url}/a")
    assert site.requests.count("/robots.txt") == 1


@pytest.mark.parametrize("value", ["noai", "noindex, nofollow", "NoImageAI", "none"])
def test_an_opt_out_header_refuses(site, value):
    site.page("/a", "x", X_Robots_Tag=value)
    (reason,) = fetch(f"{site.url}/a")
    assert reason == f"header_{value.split(',')[0].lower()}"


def test_a_header_that_only_forbids_following_does_not_refuse(site):
    site.page("/a", "x", X_Robots_Tag="nofollow")
    assert fetch(f"{site.url}/a") == [b"x"]


def test_failures_have_reasons(site):
    site.page("/large", "x" * 20_000)
    site.answers["/500"] = (500, {}, b"")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        found = fetch(f"{site.url}/large", f"{site.url}/none", f"{site.url}/500", closed)
    assert found == ["too_large", "http_404", "http_500", "robots_unavailable"]


def test_a_server_that_drips_is_cut_at_the_deadline():
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"robots" in request:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(20):
                writer.write(b"x")
                await asyncio.sleep(0.1)
            ended.set()
        writer.close()

    async def scenario() -> tuple[str, float]:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with open_fetcher(FetchConfig(delay_seconds=0, retries=0, seconds=0.5), LOOPBACK) as fetcher:
            started = time.monotonic()
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch(url, 1000)
            seconds = time.monotonic() - started
        await ended.wait()
        server.close()
        return caught.value.reason, seconds

    reason, seconds = asyncio.run(scenario())
    assert reason == "timeout"
    assert seconds < 1.5


def test_a_failure_that_can_pass_is_tried_again_and_a_final_one_is_not(site):
    site.answers["/503"] = (503, {}, b"")
    assert fetch(f"{site.url}/503", f"{site.url}/none", retries=1) == ["http_503", "http_404"]
    assert (site.requests.count("/503"), site.requests.count("/none")) == (2, 1)


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (206, {"Content-Range": "bytes 4-7/10"}, b"wxyz"),
        (206, {"Content-Range": "bytes 0-3/10"}, "no_range"),
        (206, {}, "no_range"),
        (200, {}, "no_range"),
        (416, {}, "http_416"),
        (404, {}, "http_404"),
    ],
)
def test_a_range_is_what_was_asked_for_or_a_reason(site, status, fields, expected):
    site.answers["/a"] = (status, fields, b"wxyz")

    async def fetch_range() -> object:
        async with open_fetcher(FetchConfig(delay_seconds=0, retries=0), LOOPBACK) as fetcher:
            try:
                return (await fetcher.fetch_range(f"{site.url}/a", 4, 4)).data
            except FetchError as error:
                return error.reason

    assert asyncio.run(fetch_range()) == expected


def test_an_address_is_asked_for_in_its_canonical_spelling_and_its_fields_are_kept(site):
    site.answers["/a%20b"] = (200, {"X-Kept": "1", "x-kept": "2"}, b"x")

    async def fetch_fields() -> object:
        async with open_fetcher(FetchConfig(delay_seconds=0), LOOPBACK) as fetcher:
            found = await fetcher.fetch(f" {site.url}/a b#part\n", 9)
            return found.url, [field for field in found.headers if field[0].lower() == "x-kept"]

    assert asyncio.run(fetch_fields()) == (f"{site.url}/a%20b", [("X-Kept", "1"), ("x-kept", "2")])


def test_one_host_is_asked_at_its_pace(site):
    for n in range(4):
        site.page(f"/{n}", "x")
    started = time.monotonic()
    fetch(*(f"{site.url}/{n}" for n in range(4)), delay_seconds=0.1)
    assert time.monotonic() - started >= 0.4  # robots.txt and four pages: four delays between them


@pytest.mark.parametrize(("field", "value"), [("seconds", 0), ("connections", 0), ("retries", -1)])
def test_a_config_that_cannot_work_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"fetch\.{field} is {value}"):
        FetchConfig(**{field: value})
