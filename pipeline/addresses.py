"""Which addresses may be asked for: the spelling of an http address, and the machines that are off limits."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urljoin

from yarl import URL

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
SIMPLE = re.compile(
    r"https?://(?:[a-z0-9-]+\.)+[a-z]{2,}/"
    r"(?:[\w~!$'()*,;:@-]+(?:\.[\w~!$'()*,;:@-]+)*/)*(?:[\w~!$'()*,;:@-]+(?:\.[\w~!$'()*,;:@-]+)*)?"
    r"(?:\?[\w=&.~/:-]+)?",
    re.ASCII,
)
"""Addresses that have one spelling alone, which is most of them: the long way takes ten times as long."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def canonical(address: str, base: str = "") -> str | None:
    """`address` made absolute by `base`, without its fragment; None unless it is http(s) without credentials."""
    direct = _origin(base) + address if address[:1] == "/" else address
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


@lru_cache(maxsize=1024)
def _origin(base: str) -> str:
    scheme, separator, rest = base.partition("://")
    return f"{scheme}{separator}{re.split(r'[/?#]', rest, maxsplit=1)[0]}"


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """The networks in a list separated by commas, such as `127.0.0.0/8,10.1.0.0/16`. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_forbidden(address: str, allowed: Iterable[IPNetwork] = ()) -> bool:
    """Whether the numeric `address` is not a public machine and lies in none of the `allowed` networks.

    Private, loopback, link-local (cloud metadata among them), multicast, reserved and shared (CGNAT) ranges are
    forbidden, and so are IPv6 addresses that stand for an IPv4 address (mapped, 6to4, Teredo, NAT64) of such a range.
    """
    numeric = ipaddress.ip_address(address.partition("%")[0])
    reached = [numeric, *_embedded(numeric)]
    if any(candidate in network for candidate in reached for network in allowed):
        return False
    return any(not candidate.is_global or candidate.is_multicast for candidate in reached)


def _embedded(address: IPAddress) -> list[IPAddress]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [candidate for candidate in found if candidate is not None]
