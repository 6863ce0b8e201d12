"""Politeness: what a site says is obeyed, a host is asked no faster than it likes, and only that host waits."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.fetch import FetchConfig, open_fetcher
from pipeline.fetching.opt_out import OptOut

POLITE = FetchConfig(contact="https://crawler.example/about", delay_factor=0.0, delay_seconds=0.0, seconds=5.0)


@pytest.fixture
def polite(crawl):
    crawl.config = POLITE
    return crawl


def gaps(server) -> list[float]:
    """Seconds between one request and the next, robots.txt among them."""
    times = [visit.at for visit in server.visits]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def answers_after(seconds: float):
    """Answers 200 after some time."""

    async def behave(visit) -> None:
        await asyncio.sleep(seconds)
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    return behave


def one_after_another(*answers: bytes):
    """Answers each request with the next of `answers`, and the last ever after."""
    left = list(answers)

    async def behave(visit) -> None:
        await visit.send(left.pop(0) if len(left) > 1 else left[0])

    return behave


# What a site says


def test_every_request_says_who_asks_and_whom_to_write_to(strange, polite):
    polite(strange.url())
    agents = {visit.fields["user-agent"] for visit in strange.visits}
    assert agents == {"flamboyance/0.1 (+https://crawler.example/about)"}
    with pytest.raises(ValueError, match="contact"):
        FetchConfig(contact="a\r\nX-Injected: b")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, b"x"),
        (204, b"x"),
        (401, b"x"),
        (403, b"x"),
        (404, b"x"),
        (410, b"x"),
        (429, "robots_unavailable"),
        (500, "robots_unavailable"),
        (503, "robots_unavailable"),
    ],
)
def test_a_robots_txt_that_does_not_come_allows_or_forbids_as_rfc_9309_says(strange, polite, status, reason):
    strange.say("/robots.txt", status)
    strange.say("/", body=b"x")
    assert polite(strange.url(), retries=0).found == [reason]
    assert len(strange.paths()) == (reason == b"x")


def test_a_robots_txt_that_did_not_come_is_asked_for_again_later(strange, monkeypatch):
    monkeypatch.setattr("pipeline.fetching.robots.ASKED_AGAIN_SECONDS", 0.3)
    busy = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    strange.behaviours["/robots.txt"] = one_after_another(busy, b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
    strange.say("/", body=b"x")

    async def scenario() -> list[object]:
        config = FetchConfig(delay_seconds=0, delay_factor=0, retries=0)
        async with open_fetcher(config, "127.0.0.0/8") as fetcher:
            first = await asyncio.gather(fetcher.fetch(strange.url(), 9), return_exceptions=True)
            second = await asyncio.gather(fetcher.fetch(strange.url(), 9), return_exceptions=True)
            await asyncio.sleep(0.4)
            third = await fetcher.fetch(strange.url(), 9)
        return [*map(str, first + second), third.data]

    assert asyncio.run(scenario()) == ["robots_unavailable", "robots_unavailable", b"x"]
    assert [visit.path for visit in strange.visits] == ["/robots.txt", "/robots.txt", "/"]


def test_a_robots_txt_is_asked_for_once_and_obeyed_after_redirects_too(strange, make_server, polite):
    strange.say("/robots.txt", 301, Location="/moved.txt")
    strange.say("/moved.txt", body=b"\xef\xbb\xbfUser-agent: *\nDisallow: /private\nAllow: /private/but\n")
    strange.say("/private/but", body=b"open")
    strange.say("/away", 302, Location="/private/page")
    other = make_server()
    other.say("/in", 302, Location=strange.url("/private"))
    urls = ["/private", "/private/but", "/away"]
    found = polite(*map(strange.url, urls), other.url("/in")).found
    assert found == ["robots", b"open", "robots", "robots"]
    assert [visit.path for visit in strange.visits].count("/robots.txt") == 1
    assert sorted(strange.paths()) == ["/away", "/moved.txt", "/private/but"]


def test_rules_for_this_crawler_win_and_rules_for_words_of_its_contact_are_not_its_own(strange, polite):
    strange.say("/robots.txt", body=b"User-agent: *\nDisallow: /a\n\nUser-Agent: Flamboyance\nDisallow: /b\n")
    strange.say("/a", body=b"a")
    assert polite(strange.url("/a"), strange.url("/b")).found == [b"a", "robots"]
    strange.say("/robots.txt", body=b"User-agent: crawler\nUser-agent: https\nDisallow: /\n")
    assert polite(strange.url("/a")).found == [b"a"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("noai", "header_noai"),
        ("nofollow, NoImageAI", "header_noimageai"),
        ("noindex", "header_noindex"),
        ("noimageindex", "header_noimageindex"),
        ("none", "header_none"),
        ("flamboyance: noai", "header_noai"),
        ("otherbot: nofollow, flamboyance: noindex", "header_noindex"),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noai", "header_noai"),
        ("otherbot: noindex, nofollow", b"x"),
        ("nofollow, noarchive, max-snippet: -1", b"x"),
        ("all", b"x"),
    ],
)
def test_x_robots_tag_refuses_whom_it_means(strange, polite, value, reason):
    strange.say("/", body=b"x", X_Robots_Tag=value)
    strange.say("/robots.txt", 200, b"", X_Robots_Tag="noindex")
    assert polite(strange.url()).found == [reason]
    assert strange.paths() == ["/"]  # and what is refused is not asked for again


def test_who_opted_out_is_not_asked(strange, polite, names):
    polite.opt_out = OptOut(domains=frozenset(["out.test"]), addresses=frozenset([strange.url("/one", host="in.test")]))
    strange.say("/one", body=b"x")
    strange.say("/two", body=b"x")
    strange.say("/away", 302, Location=strange.url("/one", host="deep.out.test"))
    hosts = ["out.test", "deep.out.test", "about.test"]
    found = polite(
        *(strange.url("/one", host) for host in hosts), *(strange.url(p, "in.test") for p in ("/one", "/two", "/away"))
    )
    assert found.found == ["opted_out", "opted_out", b"x", "opted_out", b"x", "opted_out"]
    assert not [visit for visit in strange.visits if "out.test" in visit.fields["host"].replace("about.test", "")]


# How fast


def test_a_host_has_at_most_so_many_connections(strange, polite):
    strange.behaviours["/"] = answers_after(0.1)
    assert polite(*(strange.url(f"/?{number}") for number in range(10))).found == [b"x"] * 10
    assert strange.most_at_once == 2


def test_many_hosts_run_at_once_and_all_together_within_their_bound(strange, polite, names):
    strange.behaviours["/"] = answers_after(0.5)
    urls = [strange.url(host=f"host{number}.test") for number in range(150)]
    outcome = polite(*urls, connections=100)
    assert outcome.found == [b"x"] * 150
    assert 50 < strange.most_at_once <= 100
    assert outcome.seconds < 10  # one after the other: 75


def test_requests_to_a_host_keep_their_distance(strange, polite):
    strange.say("/", body=b"x")
    polite(*(strange.url(f"/?{number}") for number in range(5)), delay_seconds=0.2)
    assert len(gaps(strange)) == 5
    assert min(gaps(strange)) > 0.18


def test_the_distance_grows_with_the_time_that_a_host_takes(strange, make_server, polite):
    strange.behaviours["/"] = answers_after(0.3)
    quick = make_server()
    quick.say("/", body=b"x")
    urls = [server.url(f"/?{number}") for server in (strange, quick) for number in range(6)]
    polite(*urls, delay_factor=2.0, most_delay_seconds=0.5)
    assert min(gaps(strange)[3:]) > 0.4  # after the first answers: twice 0.3, at most 0.5
    assert max(gaps(quick)) < 0.3


def test_an_error_that_comes_quickly_does_not_speed_anything_up(strange, polite):
    strange.behaviours["/"] = answers_after(0.3)
    polite(
        *(strange.url(path) for path in ("/?1", "/?2", "/404", "/405", "/406")),
        delay_factor=1.0,
        connections_per_host=1,
    )
    assert min(gaps(strange)[2:]) > 0.28


def test_a_crawl_delay_is_kept(strange, polite):
    strange.say("/robots.txt", body=b"User-agent: *\nCrawl-delay: 0.4\n")
    strange.say("/", body=b"x")
    polite(*(strange.url(f"/?{number}") for number in range(4)))
    assert min(gaps(strange)[1:]) > 0.38


def test_an_address_whose_host_wants_more_patience_than_there_is_becomes_deferred(strange, polite):
    strange.say("/robots.txt", body=b"User-agent: *\nCrawl-delay: 3600\n")
    strange.say("/", body=b"x")
    outcome = polite(*(strange.url(f"/?{number}") for number in range(4)), patience_seconds=5.0)
    assert sorted(map(str, outcome.found)) == ["b'x'", "deferred", "deferred", "deferred"]
    assert outcome.seconds < 3


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_by_that_host_alone(strange, make_server, polite, status, form):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2.9), usegmt=True)
    wait = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nRetry-After: {'2' if form == 'seconds' else date}\r\n\r\n"
    strange.behaviours["/"] = one_after_another(wait.encode(), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    other = make_server()
    other.say("/", body=b"x")
    outcome = polite(strange.url(), strange.url("/later"), *(other.url(f"/?{number}") for number in range(5)))
    assert outcome.found == [b"x", "http_404", *[b"x"] * 5]
    refused = next(visit for visit in strange.visits if visit.path == "/")
    later = [visit.at - refused.at for visit in strange.visits if visit.at > refused.at + 0.1]
    assert min(later) > 1.8 if form == "seconds" else min(later) > 0.9
    assert other.visits[-1].at - refused.at < 1.0


def test_a_host_that_asks_for_hours_is_deferred_at_once(strange, polite):
    strange.say("/busy", 429, Retry_After="7200")
    strange.say("/", body=b"x")
    outcome = polite(strange.url("/busy"), strange.url("/"), connections_per_host=1)
    assert outcome.found == ["deferred", "deferred"]
    assert outcome.seconds < 3
    assert len(strange.paths()) == 1


def test_a_host_that_is_busy_without_saying_how_long_is_asked_less_and_less(strange, polite):
    strange.say("/busy", 429)
    assert polite(strange.url("/busy"), retries=2).found == ["http_429"]
    assert len(strange.paths()) == 3
    first, second = gaps(strange)[1:]
    assert first > 0.9
    assert second > 1.9


@pytest.mark.parametrize(
    ("first", "tries"),
    [
        (b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 2),
        (b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n", 2),
        (b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n", 2),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nx", 2),
        (b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 501 X\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\nx", 1),
    ],
)
def test_only_what_can_pass_is_tried_again(strange, polite, first, tries):
    answered = one_after_another(first, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    async def behave(visit) -> None:
        await answered(visit)
        visit.writer.close()

    strange.behaviours["/"] = behave
    (found,) = polite(strange.url()).found
    assert len(strange.paths()) == tries
    assert (found == b"x") == (tries == 2)


def test_whoever_gives_up_waiting_for_robots_leaves_it_to_the_others(strange):
    strange.behaviours["/robots.txt"] = answers_after(0.3)
    strange.say("/", body=b"x")

    async def scenario() -> bytes:
        async with open_fetcher(POLITE, "127.0.0.0/8") as fetcher:
            impatient = asyncio.create_task(fetcher.fetch(strange.url(), 9))
            patient = asyncio.create_task(fetcher.fetch(strange.url(), 9))
            await asyncio.sleep(0.1)
            impatient.cancel()
            return (await patient).data

    assert asyncio.run(scenario()) == b"x"
