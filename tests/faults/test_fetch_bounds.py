"""Safety: time, redirects and bytes of a request are bounded, and each bound that bites is a reason."""

import asyncio

import pytest

HEAD = b"HTTP/1.1 200 OK\r\n"


def drip(data: bytes, interval: float):
    """Sends `data` byte by byte."""

    async def behave(visit) -> None:
        for number in range(len(data)):
            await visit.send(data[number : number + 1])
            await asyncio.sleep(interval)

    return behave


async def silence(visit) -> None:
    await asyncio.sleep(10)


async def endless(visit) -> None:
    await visit.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        await visit.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


async def endless_fields(visit) -> None:
    await visit.send(HEAD)
    for number in range(1_000_000):
        await visit.send(f"X-{number}: {'x' * 1000}\r\n".encode())


async def endless_news(visit) -> None:
    for _ in range(1_000_000):
        await visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "behave",
    [
        drip(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, 0.05),
        drip(HEAD + b"X: " + b"x" * 1000, 0.05),
        silence,
        endless_news,
    ],
    ids=["body", "head", "silence", "interim"],
)
@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_a_server_that_drips_is_cut_within_a_second_of_the_deadline(strange, crawl, behave, path):
    strange.behaviours[path] = behave
    outcome = crawl(strange.url("/"), seconds=1.0)
    assert outcome.found == ["timeout" if path == "/" else "robots_unavailable"]
    assert 0.9 < outcome.seconds < 2.0


def test_a_connection_that_nobody_takes_is_cut_too(crawl, unused_port):
    outcome = crawl(f"http://127.0.0.1:{unused_port}/")
    assert outcome.found == ["robots_unavailable"]


def test_a_name_server_that_does_not_answer_is_cut(strange, crawl, names, monkeypatch):
    monkeypatch.setattr("pipeline.fetching.guard.LOOKUP_SECONDS", 0.3)
    names.seconds["slow.test"] = 1.0
    assert crawl(strange.url(host="slow.test")).found == ["dns_unavailable"]


def test_slow_names_hold_up_nothing_but_other_names(strange, crawl, names):
    names.seconds = {f"slow{number}.test": 1.5 for number in range(16)}
    strange.say("/", body=b"x")
    outcome = crawl(*(strange.url(host=name) for name in names.seconds), strange.url(host="quick.test"))
    assert outcome.found == [b"x"] * 17
    assert outcome.seconds < 6  # at once, not one after the other


def test_names_are_looked_up_once_for_many_pages(strange, crawl, names):
    strange.say("/", body=b"x")
    crawl(*(strange.url(f"/?{number}", host="often.test") for number in range(20)), connections_per_host=8)
    assert names.looked_up.count("often.test") == 1


def test_redirects_are_bounded(strange, crawl):
    for number in range(10):
        strange.say(f"/{number}", 302, Location=f"/{number + 1}")
    strange.say("/5", body=b"fifth")
    strange.say("/loop", 301, Location="/loop")
    strange.say("/there", 307, Location="/back")
    strange.say("/back", 308, Location="/there")
    strange.say("/nowhere", 302)
    outcome = crawl(*map(strange.url, ("/0", "/6", "/loop", "/there", "/nowhere")))
    assert outcome.found == [b"fifth", "http_404", *["too_many_redirects"] * 2, "bad_redirect"]
    assert strange.paths().count("/loop") == 6
    assert crawl(strange.url("/0"), redirects=4).found == ["too_many_redirects"]


def test_a_body_is_read_to_its_bound_and_no_further(strange, crawl):
    strange.say("/fits", body=b"x" * 1000)
    strange.say("/large", body=b"x" * 1001)
    strange.behaviours["/endless"] = endless
    strange.say_bytes("/claims", HEAD + b"Content-Length: 99999999999\r\n\r\nx")
    outcome = crawl(*map(strange.url, ("/fits", "/large", "/endless", "/claims")), most_bytes=1000)
    assert outcome.found == [b"x" * 1000, *["too_large"] * 3]
    assert outcome.seconds < 2.5


def test_a_robots_txt_without_end_is_read_to_its_bound(strange, crawl):
    async def behave(visit) -> None:
        await visit.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(200_000):
            line = b"User-agent: *\nDisallow: /private\n" if number == 0 else b"#" * 4095 + b"\n"
            await visit.send(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    strange.behaviours["/robots.txt"] = behave
    strange.say("/", body=b"open")
    assert crawl(strange.url(), strange.url("/private")).found == [b"open", "robots"]


def test_robots_rules_for_many_thousand_names_cost_no_square(strange, crawl):
    names = "".join(f"User-agent: bot{number}\n" for number in range(12_000))
    rules = "".join(f"Disallow: /{number}\n" for number in range(12_000))
    strange.say("/robots.txt", body=f"{names}{rules}User-agent: *\nDisallow: /private\n".encode())
    strange.say("/1", body=b"open")
    assert crawl(strange.url("/1"), strange.url("/private")).found == [b"open", "robots"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "incomplete_body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nshort", "incomplete_body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnot a number\r\n", "protocol"),
        (HEAD + b"Content-Length: -5\r\n\r\n", "protocol"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "protocol"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol"),
        (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n", "protocol"),
        (HEAD + b"no colon\r\n\r\n", "protocol"),
        (b"garbage\r\n\r\n", "protocol"),
        (b"\x00" * 1000, "protocol"),
        (b"HTTP/1.1 999 Blocked\r\nContent-Length: 0\r\n\r\n", "http_999"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "http_204"),
        (b"", "disconnected"),
        (b"HTTP/1.1 200 O", "disconnected"),
    ],
)
def test_an_answer_that_lies_or_breaks_off_has_a_reason(strange, crawl, data, reason):
    strange.say_bytes("/", data, close=True)
    assert crawl(strange.url()).found == [reason]


def test_a_body_longer_than_it_says_spoils_no_other(strange, crawl):
    strange.say_bytes("/", HEAD + b"Content-Length: 5\r\n\r\nhello, and more", close=True)
    strange.say("/next", body=b"next")
    first, second = crawl(strange.url(), strange.url("/next"), connections_per_host=1).found
    assert first in (b"hello", "protocol")  # as the packets fall
    assert second == b"next"


def test_fields_without_end_are_no_answer(strange, crawl):
    strange.behaviours["/"] = endless_fields
    assert crawl(strange.url()).found == ["protocol"]


@pytest.mark.parametrize(
    ("sent", "reason"), [(b"", "disconnected"), (HEAD + b"Content-Length: 9\r\n\r\nx", "incomplete_body")]
)
def test_a_reset_has_a_reason(strange, crawl, sent, reason):
    async def behave(visit) -> None:
        await visit.send(sent)
        await asyncio.sleep(0.1)
        visit.reset()

    strange.behaviours["/"] = behave
    assert crawl(strange.url()).found == [reason]
