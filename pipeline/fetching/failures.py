"""Why an address gave nothing, as one word, and whether the same address may give something later."""

import socket
import ssl

import aiohttp

FORBIDDEN = "forbidden_address"
RETRIED = frozenset(
    (
        "timeout", "connect", "disconnected", "incomplete_body", "dns_unavailable",
        "http_408", "http_429", "http_500", "http_502", "http_503", "http_504",
    )
)  # fmt: skip
"""Reasons that may pass within seconds: the address is asked for again at once, with backoff."""
PASSING = RETRIED | {"robots_unavailable", "deferred", "archive_unreadable"}
"""Reasons that may pass within hours; the others are final, and nothing that was refused is asked for again."""
KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (TimeoutError, "timeout"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    (aiohttp.ClientConnectorError, "connect"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError), "disconnected"),
    (aiohttp.InvalidURL, "bad_address"),
    (aiohttp.ClientPayloadError, "incomplete_body"),
    (aiohttp.ClientError, "protocol"),
    (OSError, "connect"),
)
"""Reasons by the kind of error; the first that fits counts."""


def reason_of(error: BaseException) -> str:
    """The reason to count for what aiohttp, the resolver or a socket raised."""
    if FORBIDDEN in str(error):
        return FORBIDDEN
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns_unavailable" if error.errno == socket.EAI_AGAIN else "dns"
    return next((reason for kind, reason in KINDS if isinstance(error, kind)), "bad_address")
