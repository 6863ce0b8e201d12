"""A list of those who do not want to be asked: domains, with all below them, and single addresses."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.addresses import canonical
from shards.location import Location


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


def _parents(address: str) -> list[str]:
    """The host of `address` and the domains that it belongs to: a.b.org, b.org, org."""
    labels = (urlsplit(address).hostname or "").rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def read_opt_out(location: Location) -> OptOut:
    """The list in a text file: a domain or an http(s) address a line; blank lines and those after # say nothing.

    Raises DatasetError if it cannot be read and ValueError, with its number, for a line that is neither.
    """
    domains, addresses = set[str](), set[str]()
    for number, line in enumerate(location.read().decode("utf-8-sig").splitlines(), 1):
        entry = line.partition("#")[0].strip() if not line.lstrip().startswith(("http:", "https:")) else line.strip()
        address = canonical(entry if "://" in entry else f"http://{entry.removeprefix('*.')}/") if entry else None
        if entry and (address is None or ("://" not in entry and urlsplit(address).path != "/")):
            raise ValueError(f"line {number} of {location} is {entry!r}; it must be a domain or an http(s) address")
        if address and "://" in entry:
            addresses.add(address)
        elif address:
            domains.add((urlsplit(address).hostname or "").rstrip("."))
    return OptOut(domains=frozenset(domains), addresses=frozenset(addresses))
