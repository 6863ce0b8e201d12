"""A list of those who do not want to be asked: domains, with all below them, and single addresses."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.addresses import canonical
from pipeline.door import Door, Fetched, FetchError
from shards.location import Location

REMARK = re.compile(r"(?:^|\s)#.*")
"""A # within an address begins its fragment."""
ENTRY = re.compile(r"(?P<address>https?://\S+)|(?:\*\.)?(?P<domain>[^\s/:@]+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class OptOut:
    """Whom a run leaves alone; empty by default."""

    domains: frozenset[str] = frozenset()
    """Lower case, in ASCII (IDNA): `example.org` stands for itself and all names below it."""
    addresses: frozenset[str] = frozenset()
    """In their canonical spelling."""

    def refuses(self, address: str) -> bool:
        """Whether the owner of the canonical `address` has opted out."""
        if not self.domains and not self.addresses:
            return False
        return address in self.addresses or any(name in self.domains for name in _parents(address))


NOBODY = OptOut()


@dataclass(frozen=True, slots=True)
class WithoutOptedOut:
    """A door that does not give what belongs to those who opted out, for doors that ask nobody, such as archives."""

    door: Door
    opt_out: OptOut

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url`. Raises FetchError, with the reason `opted_out` also for where it was redirected to."""
        if self.opt_out.refuses(url):
            raise FetchError("opted_out")
        answer = await self.door.fetch(url, most_bytes)
        if self.opt_out.refuses(answer.url):
            raise FetchError("opted_out")
        return answer


def _parents(address: str) -> list[str]:
    """The host of `address` and the domains that it belongs to: a.b.org, b.org, org."""
    labels = _host(address).split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").rstrip(".")


def read_opt_out(location: Location) -> OptOut:
    """The list in a text file: a domain or an http(s) address a line; what follows # is a remark.

    Raises DatasetError if it cannot be read and ValueError, with its number, for a line that is neither.
    """
    domains, addresses = set[str](), set[str]()
    for number, line in enumerate(location.read().decode("utf-8-sig").splitlines(), 1):
        entry = REMARK.sub("", line).strip()
        if not entry:
            continue
        found = ENTRY.fullmatch(entry)
        address = canonical(found["address"] or f"http://{found['domain']}/") if found else None
        if not found or not address:
            raise ValueError(f"line {number} of {location} is {entry!r}; it must be a domain or an http(s) address")
        if found["address"]:
            addresses.add(address)
        else:
            domains.add(_host(address))
    return OptOut(domains=frozenset(domains), addresses=frozenset(addresses))
