"""What the systemd units promise in their text, and what edge.toml adds; that it holds is proven by the boot tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import REPOSITORY, tool

from edge.config import load
from edge.errors import ConfigError
from edge.operate import units

UNITS = REPOSITORY / "firmware_scripts/systemd"
SANDBOX = "edge-.service.d/10-sandbox.conf"
ROOMS = ("receive", "infer", "deliver")
SERVICES = (*ROOMS, "metrics", "relink")
CONFIG = """
[receive]
bind = "10.0.0.7"
[[receive.peers]]
alias = "ct1"
ae_title = "CT1"
hosts = ["10.0.0.0/24", "fd00::17"]
[receive.tls]
certificate = "tls/receive.pem"
key = "tls/100%.key"
ca = "tls/ca.pem"
[destinations.gateway]
ae_title = "RELINK"
host = "10.1.2.3"
port = 11114
[destinations.gateway.tls]
certificate = "tls/deliver.pem"
key = "tls/deliver.key"
ca = "tls/ca.pem"
[models]
trusted_keys = ["vendor.pub"]
"""
RELINK = """
[box]
root = "/var/lib/edge-relink"
[relink]
bind = "10.1.2.3"
[relink.tls]
certificate = "tls/relink.pem"
key = "tls/relink.key"
ca = "tls/ca.pem"
[[relink.boxes]]
ae_title = "EDGE"
hosts = ["10.0.0.7/32"]
[relink.pacs]
ae_title = "PACS"
host = "10.1.2.4"
port = 104
"""


def lines(name: str, key: str) -> list[str]:
    """The values of `key` in a file of ours, in order."""
    return re.findall(rf"^{key}=(.*)$", (UNITS / name).read_text(), re.MULTILINE)


def words(room: str, key: str) -> set[str]:
    """All words of a list-valued key, of the room and of what rooms have in common."""
    return {
        word.lstrip("-+")
        for name in (f"edge-{room}.service", SANDBOX)
        for line in lines(name, key)
        for word in line.split()
    }


@pytest.fixture
def drop_ins(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "edge.toml"
    file.write_text(CONFIG)
    return units.drop_ins(load(file))


@pytest.fixture
def gateway_drop_ins(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "relink.toml"
    file.write_text(RELINK)
    return units.drop_ins(load(file))


@pytest.mark.parametrize(
    ("room", "most"), [("receive", 0.2), ("infer", 0.2), ("deliver", 0.9), ("metrics", 0.2), ("relink", 0.9)]
)
def test_each_room_scores_better_than_any_service_of_debian(
    room: str, most: float, drop_ins: dict[str, str], gateway_drop_ins: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "etc/systemd/system"
    shutil.copytree(UNITS, folder)
    for name, text in (drop_ins | gateway_drop_ins).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = [tool("systemd-analyze"), "security", "--offline=true", f"--root={tmp_path}", f"edge-{room}.service"]
    said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert score, said
    assert float(score[1]) <= most, said


@pytest.mark.parametrize("room", SERVICES)
def test_the_allow_list_comes_first_or_it_would_be_a_deny_list(room: str) -> None:
    filters = lines(f"edge-{room}.service", "SystemCallFilter")
    assert filters[0].startswith("@system-service")
    assert all(line.startswith("~") for line in filters[1:] + lines(SANDBOX, "SystemCallFilter"))


@pytest.mark.parametrize("room", SERVICES)
def test_nothing_that_a_room_can_write_can_be_run(room: str) -> None:
    writable = words(room, "BindPaths") | {"/tmp", "/var/tmp"}
    assert writable <= words(room, "NoExecPaths")
    assert all("noexec" in line for line in lines(SANDBOX, "TemporaryFileSystem") if ":rw" in line)


@pytest.mark.parametrize("room", ["receive", "metrics"])
def test_the_inherited_socket_cannot_be_turned_round(room: str) -> None:
    denied = " ".join(lines(f"edge-{room}.service", "SystemCallFilter")[1:]).lstrip("~").split()
    assert {"connect", "shutdown"} <= set(denied)


def test_no_crash_closes_the_port() -> None:
    assert lines(SANDBOX, "StartLimitIntervalSec") == ["0"]
    for socket in UNITS.glob("*.socket"):
        assert lines(socket.name, "TriggerLimitIntervalSec") == ["0"]
        assert lines(socket.name, "PartOf") == []


def test_no_wall_is_made_of_what_does_nothing_on_debian() -> None:
    """Its systemd has no BPF framework, so those are forgotten; StateDirectory gives all to who starts last."""
    texts = {
        path.name: path.read_text() for path in UNITS.rglob("*") if path.suffix in (".service", ".socket", ".conf")
    }
    for directive in ("SocketBindDeny", "RestrictNetworkInterfaces", "RestrictFileSystems", "StateDirectory"):
        assert [name for name, text in texts.items() if f"\n{directive}=" in text] == [], directive


def test_every_process_is_told_not_to_call_home() -> None:
    assert any("ORT_DISABLE_TELEMETRY=1" in line for line in lines(SANDBOX, "Environment"))


@pytest.mark.parametrize("room", ROOMS)
def test_private_keys_come_as_credentials_to_the_rooms_that_may_have_them(room: str) -> None:
    given = {line.partition(":")[0] for line in lines(f"edge-{room}.service", "LoadCredential")}
    may = {
        "receive": {"seal.pub", "tag.key"},
        "infer": {"open.key", "sign.key", "device.uid"},
        "deliver": {"verify.pub"},
    }
    assert given == may[room]


def test_the_port_opens_for_the_callers_of_edge_toml_only(drop_ins: dict[str, str]) -> None:
    text = drop_ins["edge-receive.socket.d/50-config.conf"]
    assert text.splitlines()[1:] == [
        "[Socket]",
        "ListenStream=",
        "ListenStream=10.0.0.7:11112",
        "IPAddressAllow=10.0.0.0/24",
        "IPAddressAllow=fd00::17",
    ]


def test_deliver_reaches_its_destinations_and_sees_its_own_files_only(drop_ins: dict[str, str], tmp_path: Path) -> None:
    text = drop_ins["edge-deliver.service.d/50-config.conf"]
    assert re.findall("IPAddressAllow=(.*)", text) == ["10.1.2.3"]
    assert "receive" not in text
    for name in ("deliver.pem", "deliver.key", "ca.pem"):
        assert f'BindReadOnlyPaths="{tmp_path}/tls/{name}"' in text


def test_a_percent_sign_in_a_path_is_no_specifier(drop_ins: dict[str, str]) -> None:
    assert "/tls/100%%.key" in drop_ins["edge-receive.service.d/50-config.conf"]


def test_another_root_is_refused_because_the_units_name_it(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[box]\nroot = "elsewhere"\n')
    with pytest.raises(ConfigError, match=r"box\.root"):
        units.drop_ins(load(file))


@pytest.mark.parametrize("name", ["edge.toml", "relink.toml"])
def test_the_shipped_configuration_is_valid(name: str) -> None:
    assert units.drop_ins(load(UNITS / name))


def test_the_gateway_hears_its_boxes_and_reaches_the_pacs_only(
    gateway_drop_ins: dict[str, str], tmp_path: Path
) -> None:
    assert sorted(gateway_drop_ins) == ["edge-relink.service.d/50-config.conf", "edge-relink.socket.d/50-config.conf"]
    socket, service = (gateway_drop_ins[f"edge-relink.{kind}.d/50-config.conf"] for kind in ("socket", "service"))
    assert "ListenStream=10.1.2.3:11114" in socket
    assert re.findall("IPAddressAllow=(.*)", socket) == ["10.0.0.7/32"]
    assert re.findall("IPAddressAllow=(.*)", service) == ["10.1.2.4"]
    assert f'BindReadOnlyPaths="{tmp_path}/tls/relink.key"' in service


def test_the_gateway_tells_whom_it_is_to_tell_and_writes_one_folder(tmp_path: Path) -> None:
    file = tmp_path / "relink.toml"
    file.write_text(f'{RELINK}[relink.fhir]\nfolder = "/srv/fhir"\n[relink.hl7]\nhost = "10.1.2.5"\nport = 2575\n')
    text = units.drop_ins(load(file))["edge-relink.service.d/50-config.conf"]
    assert re.findall("IPAddressAllow=(.*)", text) == ["10.1.2.4", "10.1.2.5"]
    assert 'BindPaths="/srv/fhir"\nNoExecPaths="+/srv/fhir"' in text


def test_nobody_but_the_rooms_can_write_the_journal() -> None:
    """A collector of metrics joins a group of its own; the gateway's machine has no journal at all."""
    assert lines("edge-metrics.socket", "SocketGroup") == ["edge-metrics"]
    for name in ("edge-metrics.service", "edge-relink.service", SANDBOX):
        assert "/var/lib/edge/journal" not in " ".join(lines(name, "BindPaths"))
