"""Whose turn it is, host by host, and what robots.txt says, without a network."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from yarl import URL

from pipeline.door import FetchError
from pipeline.fetching.failures import PASSING, RETRIED
from pipeline.fetching.hosts import Host, Hosts, Manners, retry_after
from pipeline.fetching.robots import RobotsFiles, read_rules

MANNERS = Manners(
    connections=8,
    connections_per_host=2,
    delay_seconds=0.0,
    delay_factor=1.0,
    most_delay_seconds=3.0,
    patience_seconds=9.0,
)


def of(hosts: Hosts, url: str) -> Host:
    return hosts.of(URL(url))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("http://a.org/x", "https://a.org/y", True),
        ("http://a.org:80/", "http://a.org./", True),
        ("http://a.org/", "http://b.a.org/", False),
        ("http://a.org/", "http://a.org:8080/", False),
    ],
)
def test_a_host_is_a_name_whatever_the_scheme(first, second, same):
    hosts = Hosts(MANNERS)
    assert (of(hosts, first) is of(hosts, second)) == same


def test_the_pause_follows_what_is_known_of_a_host():
    hosts = Hosts(MANNERS)
    host = of(hosts, "http://a.org/")
    assert hosts.delay(host) == 0
    host.answered(1.0, well=True)
    assert hosts.delay(host) == 1.0
    host.answered(0.5, well=True)
    assert hosts.delay(host) == 0.75
    host.answered(0.1, well=False)
    assert hosts.delay(host) == 0.75
    host.answered(30.0, well=False)
    assert hosts.delay(host) == 3.0
    host.crawl_delay = 5.0
    assert hosts.delay(host) == 5.0


def test_refusals_in_a_row_lengthen_the_pause_and_an_answer_ends_them():
    host = of(Hosts(MANNERS), "http://a.org/")
    pauses = []
    for _ in range(9):
        host.free_at = 0.0
        host.refused(None)
        pauses.append(round(host.free_at - time.monotonic()))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    host.answered(0.1, well=True)
    assert host.refusals == 0


def test_hosts_beyond_the_bound_are_forgotten_unless_they_wait(monkeypatch):
    monkeypatch.setattr("pipeline.fetching.hosts.REMEMBERED_HOSTS", 3)
    hosts = Hosts(MANNERS)
    first, second = of(hosts, "http://1.org/"), of(hosts, "http://2.org/")
    of(hosts, "http://3.org/")
    assert of(hosts, "http://1.org/") is first
    of(hosts, "http://4.org/")
    assert of(hosts, "http://1.org/") is first
    assert of(hosts, "http://2.org/") is not second
    first.waiting = 1
    for number in range(5, 9):
        of(hosts, f"http://{number}.org/")
    assert of(hosts, "http://1.org/") is first


def test_connections_are_kept_while_there_are_files_for_them(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (24, 24))
    hosts = Hosts(MANNERS)
    first, second, third, fourth = (of(hosts, f"http://{number}.org/") for number in range(4))
    assert [hosts.keeps_open(host) for host in (first, second, third, fourth, third)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    fourth.waiting = 2
    assert hosts.keeps_open(fourth)
    monkeypatch.setattr("pipeline.fetching.hosts.IDLE_SECONDS", 0.0)
    assert hosts.keeps_open(first)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("0", 0.0), (" 120 ", 120.0), ("soon", None), ("-5", None), ("1.5", None), ("", None), ("٣", None)],
)
def test_retry_after_in_seconds(value, expected):
    assert retry_after(value) == expected


def test_retry_after_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 85 < (retry_after(later) or 0) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_robots_are_asked_for_again_after_a_day_and_the_longest_known_are_forgotten(monkeypatch):
    monkeypatch.setattr("pipeline.fetching.robots.REMEMBERED_FILES", 2)
    asked: list[str] = []

    async def ask(url: str) -> bytes:
        asked.append(url.removesuffix("/robots.txt"))
        return b""

    async def scenario() -> None:
        files = RobotsFiles(ask)
        for url in ("http://a.org/1", "http://a.org/2", "https://a.org/1", "http://b.org/", "http://a.org/3"):
            await files.of(URL(url))
        monkeypatch.setattr("pipeline.fetching.robots.GOOD_FOR_SECONDS", 0.0)
        await files.of(URL("http://a.org/4"))
        await files.close()

    asyncio.run(scenario())
    assert asked == ["http://a.org", "https://a.org", "http://b.org", "http://a.org", "http://a.org"]


@pytest.mark.parametrize("reason", ["dns", "dns_unavailable", "tls", "forbidden_address", "opted_out", "deferred"])
def test_what_holds_for_the_whole_site_is_the_reason_of_each_of_its_pages(reason):
    async def ask(url: str) -> bytes:
        raise FetchError(reason)

    with pytest.raises(FetchError, match=reason):
        asyncio.run(RobotsFiles(ask).of(URL("http://a.org/")))


def test_rules_are_read_as_rfc_9309_has_them():
    rules = read_rules(b"user-agent : *\nDISALLOW: /a*b$\nAllow: /a/b/b\nDisallow:\nCrawl-delay: 2\n")
    assert rules.crawl_delay == 2.0
    paths = ("/axb", "/axbc", "/a/b/b", "/", "/%61xb", "/robots.txt")
    assert [rules.allow(f"http://x.org{path}") for path in paths] == [False, True, True, True, False, True]
    assert read_rules(b"\xff\xfe\x00binary").allow("http://x.org/")
    assert read_rules(b"<!doctype html><p>Disallow: /").allow("http://x.org/")


def test_names_of_others_are_no_names_of_ours():
    text = b"User-agent: a\nUser-agent: flamboyance\nDisallow: /ours\n\nUser-agent: b\nDisallow: /\n"
    rules = read_rules(text + b"useragent c\nDisallow: /c\nUser agent: *\nDisallow: /all\n")
    assert [rules.allow(f"http://x.org/{path}") for path in ("ours", "c", "all")] == [False, True, True]
    other = read_rules(b"User-agent: a # *\nDisallow: /\nUser-agent: * # all\nDisallow: /all\n")
    assert [other.allow(f"http://x.org/{path}") for path in ("x", "all")] == [True, False]


def test_nothing_refused_can_pass():
    assert RETRIED < PASSING
    assert not {reason for reason in PASSING if reason.startswith(("header_", "robots"))} - {"robots_unavailable"}
    assert not PASSING & {"opted_out", "forbidden_address", "too_large", "compression_bomb", "http_404", "tls", "dns"}
