"""Which TLS gets in: versions, suites, certificates; dcmtk and pynetdicom; accepted or refused as PS3.15 B.12 says."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority, Pair
from pynetdicom import AE
from receiver import VERIFICATION, Receiver
from support import tool

TLS = '[receive.tls]\ncertificate = "box.pem"\nkey = "box.key"\nca = "ca.pem"\nminimum_version = "{minimum}"\n'
V10, V11, V12, V13 = (
    ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
)  # fmt: skip
IN, OUT = True, False

SUITES = {
    "ECDHE-RSA-AES256-GCM-SHA384": IN,
    "ECDHE-RSA-AES128-GCM-SHA256": IN,
    "ECDHE-RSA-CHACHA20-POLY1305": OUT,
    "ECDHE-RSA-AES256-SHA384": OUT,
    "ECDHE-RSA-AES128-SHA256": OUT,
    "ECDHE-RSA-AES256-SHA": OUT,
    "ECDHE-RSA-AES128-SHA": OUT,
    "AES256-GCM-SHA384": OUT,
    "AES128-GCM-SHA256": OUT,
    "AES256-SHA256": OUT,
    "AES128-SHA": OUT,
    "ECDHE-RSA-CAMELLIA256-SHA384": OUT,
    "DHE-RSA-AES256-SHA256": OUT,
    "ECDHE-RSA-NULL-SHA": OUT,
    "AECDH-AES256-SHA": OUT,
}
"""OpenSSL's names of suites of TLS 1.2, for a server with an RSA certificate."""
CERTIFICATES = {
    "rsa": IN, "p256": IN, "rogue": OUT, "expired": OUT, "not yet": OUT, "server only": OUT, "none": OUT,
}  # fmt: skip


class Client(ssl.SSLContext):
    """Remembers its socket: pynetdicom leaves it open after some alerts."""

    made: ssl.SSLSocket

    def wrap_socket(self, *words: Any, **options: Any) -> ssl.SSLSocket:
        self.made = super().wrap_socket(*words, **options)
        return self.made


@dataclass(frozen=True)
class World:
    """A box that speaks TLS 1.2 and newer, one that speaks 1.3 alone, and who has which certificate."""

    boxes: dict[str, Receiver]
    ca: Path
    pairs: dict[str, Pair]

    def context(self, pair: str = "rsa", *, least: ssl.TLSVersion = V12, most: ssl.TLSVersion = V13) -> Client:
        """A client that would take any suite, old ones too."""
        context = Client(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = least, most
        context.load_verify_locations(self.ca)
        if pair != "none":
            context.load_cert_chain(self.pairs[pair].certificate, self.pairs[pair].key)
        return context


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    authority, other = Authority(folder), Authority(folder / "rogue", "INVENTED ROGUE")
    pairs = {
        "rsa": authority.pair("rsa", bits=2048), "p256": authority.pair("p256"), "rogue": other.pair("rogue"),
        "expired": authority.pair("expired", begins=-120), "not yet": authority.pair("later", begins=30),
        "server only": authority.pair("server", usage="server"),
    }  # fmt: skip
    boxes = {}
    for minimum in ("1.2", "1.3"):
        place = folder / minimum
        own = Authority.pair(authority, f"box-{minimum}", bits=2048)
        place.mkdir()
        for source, name in ((own.certificate, "box.pem"), (own.key, "box.key"), (authority.ca, "ca.pem")):
            (place / name).symlink_to(source)
        boxes[minimum] = Receiver(place, more=TLS.format(minimum=minimum)).start()
    yield World(boxes, authority.ca, pairs)
    for box in boxes.values():
        box.stop()


def pynetdicom_gets_in(box: Receiver, context: Client) -> bool:
    """Whether a C-ECHO is answered."""
    ae = AE("TEST")
    ae.add_requested_context(VERIFICATION)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 5
    association = ae.associate("127.0.0.1", box.port, ae_title="EDGE", tls_args=(context, "box"))
    if not association.is_established:
        context.made.close()
        return False
    status = association.send_c_echo()
    association.release()
    return status.Status == 0


def dcmtk_gets_in(world: World, box: Receiver, *words: str, pair: str = "rsa") -> bool:
    """Whether echoscu is answered. "none" is a client without a certificate."""
    keys = ("+tla",) if pair == "none" else ("+tls", str(world.pairs[pair].key), str(world.pairs[pair].certificate))
    titles = ("-to", "5", "-aet", "TEST", "-aec", "EDGE")
    command = [tool("echoscu"), *titles, *keys, "+cf", str(world.ca), *words, "127.0.0.1", str(box.port)]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
@pytest.mark.parametrize("version", [V10, V11, V12, V13])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_versions(world: World, version: ssl.TLSVersion, minimum: str) -> None:
    expected = version is V13 or (version is V12 and minimum == "1.2")
    assert pynetdicom_gets_in(world.boxes[minimum], world.context(least=version, most=version)) is expected


@pytest.mark.parametrize("suite", SUITES)
def test_suites_of_tls_1_2(world: World, suite: str) -> None:
    context = world.context(most=V12)
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert [each["name"] for each in context.get_ciphers() if "TLS_" not in each["name"]] == [suite]
    assert pynetdicom_gets_in(world.boxes["1.2"], context) is SUITES[suite]


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("pair", CERTIFICATES)
def test_certificates(world: World, pair: str, version: ssl.TLSVersion) -> None:
    context = world.context(pair, least=version, most=version)
    assert pynetdicom_gets_in(world.boxes["1.2"], context) is CERTIFICATES[pair]


@pytest.mark.parametrize("pair", CERTIFICATES)
def test_certificates_of_dcmtk(world: World, pair: str) -> None:
    assert dcmtk_gets_in(world, world.boxes["1.2"], "+px", pair=pair) is CERTIFICATES[pair]


@pytest.mark.parametrize(
    ("profile", "in_1_2", "in_1_3"), [("+py", IN, IN), ("+px", IN, IN), ("+pz", IN, OUT), ("+pn", OUT, OUT)]
)
def test_profiles_of_dcmtk(world: World, profile: str, in_1_2: bool, in_1_3: bool) -> None:
    assert dcmtk_gets_in(world, world.boxes["1.2"], profile) is in_1_2
    assert dcmtk_gets_in(world, world.boxes["1.3"], profile) is in_1_3


def test_plain_dicom_gets_nothing(world: World) -> None:
    for box in world.boxes.values():
        command = [tool("echoscu"), "-to", "5", "-aet", "TEST", "-aec", "EDGE", "127.0.0.1", str(box.port)]
        assert subprocess.run(command, check=False, capture_output=True, timeout=30).returncode != 0
