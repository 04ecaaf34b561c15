"""Mutual TLS towards a destination: both sides prove themselves, and nothing is sent otherwise."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import support
from certificates import Authority, Pair
from outgoing_box import OutgoingBox, becomes, delivering
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage

from edge.deliver.room import Room
from edge.errors import EnvironmentFailure

TLS = """
[destinations.archive.tls]
certificate = "tls/box.pem"
key = "tls/box.key"
ca = "tls/ca.pem"
"""


@contextmanager
def tls_archive(port: int, own: Pair, callers: Path, version: ssl.TLSVersion | None = None) -> Iterator[list[str]]:
    """An archive that only answers callers with a certificate of the CA `callers`; yields the UIDs it got."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.load_verify_locations(callers)
    context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.maximum_version = version
    got: list[str] = []

    def store(event: evt.Event) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    ae = AE("ARCHIVE")
    ae.add_supported_context(Comprehensive3DSRStorage)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        yield got
    finally:
        server.shutdown()


@pytest.fixture
def made(tmp_path: Path, free_port: Callable[[], int]) -> OutgoingBox:
    return OutgoingBox(tmp_path / "box", TLS, archive=free_port())


@pytest.fixture
def authority(made: OutgoingBox) -> Authority:
    """The hospital's CA, known to the box, which has a certificate of it."""
    authority = Authority(made.settings.file.parent / "tls")
    authority.pair("box")
    return authority


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_sides_prove_themselves(made: OutgoingBox, authority: Authority, version: ssl.TLSVersion) -> None:
    uid = made.report()
    own = authority.pair("archive", "127.0.0.1")
    port = made.settings.destinations["archive"].port
    with tls_archive(port, own, authority.ca, version) as got, delivering(made):
        becomes(made, uid, "SENT")
    assert got == [uid]


@pytest.mark.parametrize("fault", ["another CA", "another address", "our certificate refused"])
def test_nothing_is_sent_to_who_does_not(made: OutgoingBox, authority: Authority, tmp_path: Path, fault: str) -> None:
    uid = made.report()
    other = Authority(tmp_path / "other", "ANOTHER CA")
    own = (other if fault == "another CA" else authority).pair(
        "archive", "127.0.0.2" if fault == "another address" else "127.0.0.1"
    )
    callers = other.ca if fault == "our certificate refused" else authority.ca
    with tls_archive(made.settings.destinations["archive"].port, own, callers) as got, delivering(made):
        support.wait_until(lambda: made.deliveries()[uid, "archive"].attempts, 15, "an attempt")
        item = made.deliveries()[uid, "archive"]
    assert item.state == "PENDING"
    assert item.reason in ("peer-tls", "peer-aborted")  # TLS 1.3 tells a caller only at the first read
    assert got == []


def test_a_missing_certificate_is_said_at_start(made: OutgoingBox) -> None:
    with pytest.raises(EnvironmentFailure, match="TLS cannot be set up") as caught:
        Room(made.settings).start()
    assert caught.value.which == "destinations.archive.tls"
