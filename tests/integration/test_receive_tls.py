"""Mutual TLS: who gets in, who does not, and that a silent one holds nobody up."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority, Pair
from receiver import Raw, Receiver, ct_image
from support import tool

from edge import dimse
from edge.errors import ConfigError, EnvironmentFailure

TLS = '[receive.tls]\ncertificate = "box.pem"\nkey = "box.key"\nca = "ca.pem"\n'
PINNED = (
    '[[receive.peers]]\nalias = "pinned"\nae_title = "PINNED"\nhosts = ["127.0.0.1"]\ncertificate = "sha256:{pin}"\n'
)


@dataclass
class Secured:
    """A receiver with TLS, and the certificates of its world."""

    receiver: Receiver
    ca: Path
    modality: Pair
    pinned: Pair
    rogue: Pair

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = False
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        return context


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(folder), Authority(folder / "rogue", "INVENTED ROGUE")
    authority.pair("box", bits=2048)
    pinned = authority.pair("pinned")
    receiver = Receiver(folder, "artim_seconds = 1.0", PINNED.format(pin=pinned.digest) + TLS).start()
    yield Secured(receiver, authority.ca, authority.pair("modality", bits=2048), pinned, other.pair("rogue"))
    receiver.stop()


class Encrypted(Raw):
    """A peer over TLS."""

    def __init__(self, secured: Secured, context: ssl.SSLContext) -> None:
        super().__init__(secured.receiver.port)
        self.socket = context.wrap_socket(self.socket, server_hostname="box")


def echoscu(secured: Secured, *words: str | Path) -> int:
    command = [
        tool("echoscu"),
        "-aet",
        "TEST",
        "-aec",
        "EDGE",
        *map(str, words),
        "127.0.0.1",
        str(secured.receiver.port),
    ]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode


def test_objects_come_in_over_tls(secured: Secured) -> None:
    """Large enough for many records, and a PDU that ends inside one."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = secured.context(secured.modality)
        context.maximum_version = version
        instance = f"1.2.{int(version)}"
        with Encrypted(secured, context) as peer:
            peer.associate()
            assert peer.store(ct_image(instance, pixels=3_000_000), instance) == 0
            peer.release()
        (row,) = secured.receiver.rows(f"* FROM instance WHERE sop_instance_uid = '{instance}'")
        assert secured.receiver.data_set(row["object_id"]) == ct_image(instance, pixels=3_000_000)


def test_dcmtk_by_its_bcp_195_profiles(secured: Secured) -> None:
    pair = ("+tls", secured.modality.key, secured.modality.certificate, "+cf", secured.ca)
    assert [echoscu(secured, *pair, profile) for profile in ("+py", "+px")] == [0, 0]
    assert echoscu(secured, *pair, "+ph") != 0


def test_who_does_not_get_in(secured: Secured) -> None:
    assert echoscu(secured) != 0, "plain DICOM"
    assert echoscu(secured, "+tla", "-ic") != 0, "no certificate"
    assert echoscu(secured, "+tls", secured.rogue.key, secured.rogue.certificate, "-ic") != 0, "another CA"


@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_not_spoken(secured: Secured, old: ssl.TLSVersion) -> None:
    context = secured.context(secured.modality)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = old
    with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset
        Encrypted(secured, context)


@pytest.mark.parametrize("cipher", ["AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"])
def test_only_forward_secret_gcm(secured: Secured, cipher: str) -> None:
    context = secured.context(secured.modality)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with pytest.raises(OSError):  # noqa: PT011
        Encrypted(secured, context)


def test_a_pin_binds_the_title_to_one_certificate(secured: Secured) -> None:
    with Encrypted(secured, secured.context(secured.pinned)) as peer:
        assert peer.associate(calling="PINNED")[0] == dimse.ASSOCIATE_AC
    with Encrypted(secured, secured.context(secured.modality)) as peer:
        assert peer.associate(calling="PINNED") == (dimse.ASSOCIATE_RJ, bytes((0, 1, 1, 3)))


def test_silent_connections_hold_nobody_up_and_end(secured: Secured) -> None:
    silent = [socket.create_connection(("127.0.0.1", secured.receiver.port)) for _ in range(20)]
    begun = time.monotonic()
    with Encrypted(secured, secured.context(secured.modality)) as peer:
        assert peer.associate()[0] == dimse.ASSOCIATE_AC
        assert peer.echo() == 0
    assert time.monotonic() - begun < 0.5
    for each in silent:
        each.settimeout(5)
        assert each.recv(1) == b""
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize("places", [32, 1100], ids=["more than there are places", "each in its place"])
def test_a_thousand_silent_connections_delay_a_good_peer_by_half_a_second_at_most(tmp_path: Path, places: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    authority = Authority(tmp_path)
    authority.pair("box", bits=2048)
    modality = authority.pair("modality", bits=2048)
    bounds = f"max_associations = {places + 32}\nmax_associations_per_host = {places}"
    other = '[[receive.peers]]\nalias = "silent"\nae_title = "SILENT"\nhosts = ["127.0.0.2"]\n'
    secured = Secured(Receiver(tmp_path, bounds, other + TLS).spawn(), authority.ca, modality, modality, modality)
    delays = []
    with contextlib.ExitStack() as open_:
        for _ in range(1000):
            connection = socket.create_connection(("127.0.0.1", secured.receiver.port), 5, ("127.0.0.2", 0))
            open_.enter_context(connection)
        for _ in range(10):
            begun = time.monotonic()
            with Encrypted(secured, secured.context(modality)) as peer:
                assert peer.associate()[0] == dimse.ASSOCIATE_AC
                assert peer.echo() == 0
            delays.append(time.monotonic() - begun)
    secured.receiver.stop()
    assert max(delays) < 0.5, delays


def test_a_pin_without_tls_and_a_missing_key_are_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pins a certificate"):
        Receiver(tmp_path / "a", more=PINNED.format(pin="0" * 64)).start()
    with pytest.raises(EnvironmentFailure, match=r"receive\.tls"):
        Receiver(tmp_path / "b", more=TLS).start()
