from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipeline.addresses import SIMPLE, canonical, is_forbidden, parse_networks


@pytest.mark.parametrize(
    ("address", "base", "expected"),
    [
        ("a/b.png", "http://X.org/dir/page", "http://x.org/dir/a/b.png"),
        ("/a#part", "https://x.org/dir/", "https://x.org/a"),
        ("//cdn.org/i.jpg", "https://x.org/", "https://cdn.org/i.jpg"),
        ("http://x.org:80/", "", "http://x.org/"),
        ("http://x.org:443/", "", "http://x.org:443/"),
        ("https://x.org:80/a", "", "https://x.org:80/a"),
        ("https://x.org:443/a", "", "https://x.org/a"),
        ("http://x.org:08080/a", "", "http://x.org:8080/a"),
        ("http://x.org:59999/a.jpg", "", "http://x.org:59999/a.jpg"),
        ("http://x.org:99999/", "", None),
        ("http://x.org/a b", "", "http://x.org/a%20b"),
        ("http://bücher.de/ä", "", "http://xn--bcher-kva.de/%C3%A4"),
        ("  http://x.org/\n", "", "http://x.org/"),
        ("ftp://x.org/a", "", None),
        ("file:///etc/passwd", "", None),
        ("javascript:alert(1)", "http://x.org/", None),
        ("data:image/png;base64,AA", "http://x.org/", None),
        ("http://user:pass@x.org/", "", None),
        ("http://", "", None),
        ("http://[::1", "", None),
        ("relative", "", None),
    ],
)
def test_canonical(address, base, expected):
    assert canonical(address, base) == expected


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "169.254.169.254",  # cloud metadata
        "100.64.0.1",  # CGNAT
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # cloud metadata
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "64:ff9b::10.0.0.1",  # NAT64
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::10.0.0.1",  # NAT64 of a network of its own
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",  # SIIT
        "::127.0.0.1",  # IPv4-compatible
        "2002:808:808::",
        "192.88.99.1",  # 6to4's relays
        "fec0::1",  # site-local
        "3fff::1",
        "5f00::1",
        "168.63.129.16",  # Azure's platform
        "100.100.100.200",  # Alibaba's metadata
        "192.0.0.192",  # Oracle's metadata
        "2001:0:7f00:1:0:0:f5ff:fffe",  # Teredo
    ],
)
def test_machines_that_are_not_public_are_forbidden(address):
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.69", "2606:4700:4700::1111"])
def test_public_machines_are_allowed(address):
    assert not is_forbidden(address)


def test_a_network_is_opened_by_name():
    allowed = parse_networks("127.0.0.0/8, 10.1.0.0/16")
    assert not is_forbidden("127.0.0.1", allowed)
    assert not is_forbidden("10.1.2.3", allowed)
    assert is_forbidden("10.2.0.1", allowed)
    with pytest.raises(ValueError, match="300"):
        parse_networks("300.0.0.0/8")


def test_an_address_that_stands_for_another_is_allowed_if_both_are():
    allowed = parse_networks("64:ff9b::/96, 127.0.0.0/8")
    assert not is_forbidden("64:ff9b::8.8.8.8", allowed)
    assert not is_forbidden("64:ff9b::127.0.0.1", allowed)
    assert is_forbidden("64:ff9b::10.0.0.1", allowed)
    assert is_forbidden("::ffff:127.0.0.1", allowed)


@given(st.from_regex(SIMPLE, fullmatch=True))
def test_the_short_way_gives_what_the_long_way_does(address):
    assert str(URL(address)) == address == canonical(address)
    assert URL(address).host


PIECES = ("%3A", "%2C", "%2F", "%25", "%2f", "%", "/", "?", ".", "..", ":", ",", "&q=", "a", "80")


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_encoded_without_need_is_decoded_as_the_long_way_does(rest):
    address = f"https://x.org/{rest}"
    assert canonical(address) == canonical(address, "http://y.org/") == str(URL(urljoin("", address)))


@pytest.mark.parametrize(
    "address", ["http://x.org%3A8080/a", "http://x.org%2Fa", "http://x.org%3A80?a/b", "%2F", "%3A"]
)
def test_nothing_is_decoded_before_the_path(address):
    assert SIMPLE.fullmatch(canonical(address) or "") is None
