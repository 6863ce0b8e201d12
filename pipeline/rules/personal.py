"""E-mail addresses, phone numbers and IP addresses in text, and placeholders in their stead.

Phone numbers are those that libphonenumber calls valid and rightly grouped: with a country's code those of any country,
without it those of one region. IP addresses are public ones alone, as in datatrove's PIIFormatter.
"""

import ipaddress
import re
from collections.abc import Mapping

from phonenumbers import SUPPORTED_REGIONS, Leniency, PhoneNumberMatcher

from pipeline.rules.bounds import Measure

EMAIL_PLACEHOLDER = "<email>"
PHONE_PLACEHOLDER = "<phone>"
IP_PLACEHOLDER = "<ip>"

EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
IP = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:]))", re.I
)
MOST_TRIES = 1000
"""Numbers that are none, after which the rest of a text is left alone: tables of figures would take seconds."""
DIGITS = re.compile(r"\d(?:\D{0,3}\d){6}")
"""What a phone number has at least; most texts have none, and the matcher is not asked."""

MEASURES: Mapping[str, Measure] = {
    "email_addresses": Measure(what="e-mail addresses in the text"),
    "ip_addresses": Measure(what="public IP addresses, of either version, in the text"),
    "phone_numbers": Measure(what="valid phone numbers in the text"),
}


def replace_personal(text: str, region: str = "US") -> tuple[str, dict[str, float]]:
    """`text` with placeholders for what is personal, and `MEASURES`: how many of each there were.

    `region` (ISO 3166, upper case) says whose phone numbers are known without a country's code.
    """
    text, emails = EMAIL.subn(EMAIL_PLACEHOLDER, text)
    text, addresses = _replace_ips(text)
    text, phones = _replace_phones(text, region)
    return text, {
        "email_addresses": float(emails),
        "ip_addresses": float(addresses),
        "phone_numbers": float(phones),
    }


def check_region(field: str, region: str) -> None:
    """Raises ValueError if `region`, the config's `field`, has no phone numbers that libphonenumber knows."""
    if region not in SUPPORTED_REGIONS:
        raise ValueError(f"{field} is {region!r}; it must be a code of ISO 3166 in capitals, such as US or DE")


def _replace_ips(text: str) -> tuple[str, int]:
    public = [found.span() for found in IP.finditer(text) if _is_public(found.group())]
    return _replace(text, public, IP_PLACEHOLDER), len(public)


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _replace_phones(text: str, region: str) -> tuple[str, int]:
    if not DIGITS.search(text):
        return text, 0
    matcher = PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING, max_tries=MOST_TRIES)
    spans = [(found.start, found.end) for found in matcher]
    return _replace(text, spans, PHONE_PLACEHOLDER), len(spans)


def _replace(text: str, spans: list[tuple[int, int]], placeholder: str) -> str:
    for start, end in reversed(spans):
        text = f"{text[:start]}{placeholder}{text[end:]}"
    return text
