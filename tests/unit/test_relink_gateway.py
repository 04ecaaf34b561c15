"""Patience for evidence, turns for one result, and what edge.toml may say."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

import pytest
from gateway import RELINK_TOML, STUDY
from support import REPOSITORY

from edge.config import load
from edge.config.relink import Relink, RelinkBox
from edge.errors import ConfigError, EnvironmentFailure
from edge.relink.door import Caller, Door, parse_address
from edge.relink.gateway import Patience, Turns
from edge.relink.room import Room
from edge.relink.status import Status


def written(folder: Path, text: str) -> Path:
    file = folder / "edge.toml"
    file.write_text(text)
    return file


def toml(**parts: str) -> str:
    return RELINK_TOML.format(**{"relink": "", "box": "", "pacs": "", "port": "104", **parts})


def test_patience_ends_and_begins_anew_after_evidence_came() -> None:
    now = [100.0]
    patience = Patience(60.0, clock=lambda: now[0])
    assert patience.lasts(STUDY)
    now[0] = 159.0
    assert patience.lasts(STUDY)
    now[0] = 161.0
    assert not patience.lasts(STUDY)
    patience.forget(STUDY)
    assert patience.lasts(STUDY)


def test_patience_remembers_a_bounded_number_of_results() -> None:
    patience = Patience(60.0)
    for number in range(5000):
        patience.lasts(f"1.2.{number}")
    assert len(patience._since) <= 4096


def test_one_result_has_one_turn_at_a_time() -> None:
    turns, inside, order = Turns(), threading.Event(), []

    def second() -> None:
        inside.set()
        with turns.of("1.2"):
            order.append("second")

    with turns.of("1.2"), turns.of("1.3"):
        thread = threading.Thread(target=second)
        thread.start()
        assert inside.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_the_contract_of_the_design_is_a_valid_file(tmp_path: Path) -> None:
    text = """
[relink]
ae_title = "RELINK"
bind = "10.1.2.3"
port = 11114
[relink.tls]
certificate = "a.pem"
key = "a.key"
ca = "ca.pem"
[[relink.boxes]]
ae_title = "EDGE"
hosts = ["10.0.0.7/32"]
certificate = "sha256:%s"
[relink.pacs]
ae_title = "PACS"
host = "10.1.2.4"
port = 104
"""
    relink = load(written(tmp_path, text % ("0" * 64))).relink
    assert relink is not None
    assert relink.pacs.port == 104


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        (toml(relink='bind = "0.0.0.0"'), "relink.bind", "mutual TLS"),
        (toml(relink='bind = "localhost"'), "relink.bind", "not an IP address"),
        (toml(box='certificate = "sha256:' + "0" * 64 + '"'), "relink.boxes[0].certificate", "without TLS"),
        (toml().replace('hosts = ["127.0.0.1"]', 'hosts = ["ward"]'), "relink.boxes[0].hosts", "not an IP address"),
        (toml().replace('host = "127.0.0.1"', 'host = "pacs"'), "relink.pacs.host", "not an IP address"),
        (toml(relink="evidence_wait = 3"), "relink.evidence_wait", "unknown key"),
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, text: str, key: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, text))
    assert refused.value.which.startswith(f"{key}, line ")
    assert what in refused.value.what


def test_without_the_section_there_is_no_gateway(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no gateway"):
        Room(load(written(tmp_path, "")))


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    tls = '[relink.tls]\ncertificate = "a"\nkey = "b"\nca = "c"'
    with pytest.raises(EnvironmentFailure, match="TLS cannot be set up"):
        Room(load(written(tmp_path, toml(relink=tls)))).start()


def test_a_box_is_title_address_and_certificate_together(tmp_path: Path) -> None:
    settings = load(written(tmp_path, toml())).relink
    assert settings is not None
    pinned = RelinkBox(
        ae_title="PINNED", hosts=("10.0.0.0/8",), certificate=f"sha256:{hashlib.sha256(b'der').hexdigest()}"
    )
    door = Door(Relink(pacs=settings.pacs, boxes=(*settings.boxes, pinned)))
    here, there = parse_address("::ffff:127.0.0.1"), parse_address("10.1.1.1")
    assert door.box(Caller("RELINK", "EDGE", here, b"")) == "ward"
    assert door.box(Caller("RELINK", "EDGE", there, b"")) == ""
    assert door.box(Caller("RELINK", "PINNED", there, b"der")) == "box2"
    assert door.box(Caller("RELINK", "PINNED", there, b"other")) == ""
    assert door.box(Caller("RELINK", "PINNED", None, b"der")) == ""
    assert not door.knows(parse_address("192.168.0.1"))


def test_the_runbook_knows_every_status_and_reason_and_its_file_is_right(tmp_path: Path) -> None:
    runbook = (REPOSITORY / "edge/relink/README.md").read_text()
    for source in (REPOSITORY / "edge/relink").glob("*.py"):
        for reason in re.findall(r'Refused\(\s*Status\.\w+,\s*f?"([a-z-]+)', source.read_text()):
            assert f"`{reason}" in runbook, f"{source.name}: {reason}"
    for status in Status:
        assert status is Status.UNRECOGNIZED_OPERATION or f"| {status:04X} |" in runbook
    example = re.findall(r"```toml\n(.*?)```", runbook, re.S)[0]
    assert load(written(tmp_path, example)).relink is not None
