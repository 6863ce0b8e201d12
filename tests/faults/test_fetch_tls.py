"""Safety: TLS is verified, against the authorities that the machine trusts."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def authority(tmp_path, monkeypatch) -> trustme.CA:
    """An authority that this machine trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    return made


def serve(make_server, certificate: trustme.LeafCert):
    """A server with `certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server = make_server(context)
    server.say("/", body=b"secure")
    return server


def test_a_certificate_that_holds_is_believed(make_server, authority, crawl):
    server = serve(make_server, authority.issue_cert("127.0.0.1"))
    assert crawl(server.url()).found == [b"secure"]


def test_a_certificate_of_nobody_known_is_not(make_server, authority, crawl):
    server = serve(make_server, trustme.CA().issue_cert("127.0.0.1"))
    assert crawl(server.url()).found == ["tls"]
    assert server.visits == []


def test_a_certificate_for_another_name_is_not(make_server, authority, crawl, names):
    server = serve(make_server, authority.issue_cert("right.test"))
    assert crawl(server.url(host="right.test"), server.url(host="wrong.test")).found == [b"secure", "tls"]


def test_a_certificate_that_has_run_out_is_not(make_server, authority, crawl):
    certificate = authority.issue_cert("127.0.0.1", not_before=YESTERDAY - timedelta(days=9), not_after=YESTERDAY)
    assert crawl(serve(make_server, certificate).url()).found == ["tls"]
