"""Which addresses may be asked for: the spelling of an http address, and the machines that are off limits."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urljoin

from yarl import URL

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_KEPT = "5[B-E]|60|7[BCD]|[89A-F][0-9A-F]"
"""Bytes that stay percent-encoded wherever they stand."""
_PATH = rf"(?:[\w~!$'()*,;:@&=+-]|%(?:2[0235BF]|3[CEF]|{_KEPT}))++"
_QUERY = rf"(?:[\w=&.~/:!$'()*+,;?@-]|%(?:2[02356B]|3[B-E]|{_KEPT}))++"
SIMPLE = re.compile(
    r"https?://(?:[a-z0-9-]+\.)+[a-z]{2,}(?::(?!80/|443/)(?:[1-9]\d{0,3}|[1-5]\d{4}))?/"
    rf"(?:{_PATH}(?:\.{_PATH})*+(?:/|(?=\?|\Z)))*+(?:\?{_QUERY})?",
    re.ASCII,
)
"""Addresses that have one spelling alone, which is most of them: the long way takes ten times as long."""
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given to machines of their own (IANA); what lies outside is reserved or stands for another."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
SPECIAL: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "2002::/16",  # 6to4 (RFC 3056), and
        "192.88.99.0/24",  # its relays
        "3fff::/20",  # documentation (RFC 9637)
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them; newer Pythons know
        "168.63.129.16/32",  # Azure's platform, seen from inside: public in form alone
    )
)
"""Networks that Python's `is_global` takes for public."""


def canonical(address: str, base: str = "") -> str | None:
    """`address` made absolute by `base`, without its fragment; None unless it is http(s) without credentials."""
    before = "" if address[:1] != "/" else _scheme(base) if address[:2] == "//" else _origin(base)
    direct = before + address
    if "%" in direct:
        direct = _decoded(direct)
    if SIMPLE.fullmatch(direct):
        return direct
    try:
        absolute = urljoin(base, address.strip())
        if SIMPLE.fullmatch(absolute):
            return absolute
        url = URL(absolute)
        if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
            return None
        text = str(url.with_fragment(None))
        text.encode()
    except ValueError:
        return None
    return text


def _decoded(address: str) -> str:
    """The address with the characters as themselves that pages encode most often without need."""
    root = address.find("/", len("https://"))
    path, mark, query = address[root:].replace("%3A", ":").replace("%2C", ",").partition("?")
    return address[:root] + path + mark + query.replace("%2F", "/")


def _scheme(base: str) -> str:
    scheme, separator, _ = base.partition(":")
    return scheme + separator


@lru_cache(maxsize=1024)
def _origin(base: str) -> str:
    scheme, separator, rest = base.partition("://")
    return f"{scheme}{separator}{re.split(r'[/?#]', rest, maxsplit=1)[0]}"


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """The networks in a list separated by commas, such as `127.0.0.0/8,10.1.0.0/16`. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_forbidden(address: str, allowed: Iterable[IPNetwork] = ()) -> bool:
    """Whether the numeric `address` is not a public machine and lies in none of the `allowed` networks.

    Private, loopback, link-local, multicast, reserved, shared (CGNAT) and metadata ranges are forbidden, and so are
    IPv6 addresses that stand for an IPv4 address (mapped, 6to4, Teredo, NAT64). One of those is allowed if its own
    network is, and if what it stands for is not forbidden itself.
    """
    numeric = ipaddress.ip_address(address.partition("%")[0])
    allowed = tuple(allowed)
    named = any(numeric in network for network in allowed)
    return not (named or _is_public(numeric)) or any(is_forbidden(str(inner), allowed) for inner in _embedded(numeric))


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in SPECIAL)


def _embedded(address: IPAddress) -> list[IPAddress]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [candidate for candidate in found if candidate is not None]
