"""Safety: machines that are not public are refused when the connection is made, however they are spelled."""

import pytest

FORBIDDEN = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0x7f000001",
    "0x7f.1",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "localhost",
    "LocalHost",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[2002:7f00:1::]",  # 6to4
    "[64:ff9b::7f00:1]",  # NAT64
    "[fe80::1%25lo]",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "[ff02::1]",
]
NO_ADDRESS = ["0", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "017700000001", "127.0.0.1."]
"""Spellings that inet_aton would take, and aiohttp does not."""


@pytest.mark.parametrize(
    ("host", "reason"),
    [(host, "forbidden_address") for host in FORBIDDEN] + [(host, "bad_address") for host in NO_ADDRESS],
)
def test_no_spelling_of_a_machine_that_is_not_public_is_reached(strange, crawl, host, reason):
    crawl.allow = ""
    strange.say("/", body=b"secret")
    assert crawl(strange.url(host=host)).found == [reason]
    assert strange.visits == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("http://[::ffff:169.254.169.254]/", "forbidden_address"),
        ("http://0xa9fea9fe/", "forbidden_address"),
        ("//10.0.0.1/", "forbidden_address"),
        ("http://user:password@10.0.0.1/", "bad_redirect"),
        ("file:///etc/passwd", "bad_redirect"),
        ("ftp://example.org/", "bad_redirect"),
        ("gopher://127.0.0.1:70/", "bad_redirect"),
        ("data:text/html,hello", "bad_redirect"),
        ("http://[", "bad_redirect"),
        ("http://\udcff/", "bad_redirect"),
    ],
)
def test_a_redirect_leads_nowhere_that_its_target_alone_does_not(strange, crawl, target, reason):
    location = b"Location: " + target.encode("utf-8", "surrogateescape")
    strange.say_bytes("/away", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n")
    assert crawl(strange.url("/away")).found == [reason]


def test_a_name_that_resolves_elsewhere_the_second_time_is_refused_the_second_time(strange, crawl, names, monkeypatch):
    monkeypatch.setattr("pipeline.fetching.guard.REMEMBERED_SECONDS", 0)
    names.addresses["rebinding.test"] = ["127.0.0.1", "10.0.0.1"]
    strange.say("/", body=b"first")
    strange.say("/robots.txt", 404, Connection="close")
    assert crawl(strange.url(host="rebinding.test")).found == ["forbidden_address"]
    assert [visit.path for visit in strange.visits] == ["/robots.txt"]


def test_a_name_with_public_and_other_addresses_reaches_none_of_the_others(strange, crawl, names):
    crawl.allow = ""
    strange.say("/", body=b"secret")
    assert crawl(strange.url(host="inside.test")).found == ["forbidden_address"]
    assert strange.visits == []


def test_a_network_is_opened_by_name_and_no_other(strange, crawl):
    strange.say("/", body=b"open")
    assert crawl(strange.url(), strange.url(host="[::1]")).found == [b"open", "forbidden_address"]


@pytest.mark.parametrize(
    "address",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "http://a:b@127.0.0.1/", "127.0.0.1", "", "http://", "ws://a/"],
)
def test_nothing_but_http_and_https_without_credentials_is_asked_for(crawl, address):
    assert crawl(address).found == ["bad_address"]
