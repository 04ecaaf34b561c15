"""Status and doctor: the contract's keys, exit codes, and that each check can fail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support

import kernels
from edge import crypto
from edge.journal import Journal
from edge.operate import doctor, machine_checks, screen
from edge.operate.check import Check
from edge.operate.network_checks import check_network
from edge.operate.status import look
from edge.operate.status_screen import render
from edge.operate.storage_checks import check_storage

Run = Callable[..., "subprocess.CompletedProcess[str]"]
MakeBox = Callable[..., support.Box]


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    """Checks by their names."""
    return {check.name: check for check in checks}


def test_doctor_of_a_box_that_is_not_running(box: MakeBox, storescp: support.Storescp, run_edge: Run) -> None:
    ended = run_edge("doctor", "--json", "--config", box(storescp.port).file)
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert ended.returncode == 0, [check for check in checks.values() if not check["ok"]]
    assert all({"name", "ok", "detail", "try"} <= check.keys() for check in checks.values())
    assert {"config", "root", "keys", "journal", "disk space", "disk flush", "clock", "kernels", "onnxruntime",
            "package cxr-pneumonia", "providers", "landlock", "telemetry", "rooms", "receive",
            "destination archive"} <= checks.keys()  # fmt: skip
    assert "CPUExecutionProvider" in checks["package cxr-pneumonia"]["detail"]


def test_doctor_exits_1_and_says_what_to_try(box: MakeBox, run_edge: Run) -> None:
    ended = run_edge("doctor", "--config", box(support.free_port()).file)
    assert ended.returncode == 1
    assert "FAIL  destination archive" in ended.stdout
    assert "try: start it" in ended.stdout
    assert "1 of " in ended.stdout.splitlines()[-1]
    assert "\033[" not in ended.stdout


def test_doctor_without_a_valid_config_is_one_failed_check(tmp_path: Path, run_edge: Run) -> None:
    (tmp_path / "edge.toml").write_text("[receive]\nprot = 1\n")
    ended = run_edge("doctor", "--json", "--config", tmp_path / "edge.toml")
    (check,) = json.loads(ended.stdout)["checks"]
    assert (ended.returncode, check["name"], check["try"]) == (1, "config", "did you mean `port`?")


def test_a_check_that_itself_fails_is_a_failed_check_without_its_words() -> None:
    def broken() -> Iterator[Check]:
        yield Check("first", ok=True, detail="")
        raise RuntimeError("INVENTED^NAME")

    first, failed = doctor._guarded("storage", broken)
    assert (first.ok, failed.name, failed.ok) == (True, "storage", False)
    assert "RuntimeError" in failed.detail
    assert "INVENTED" not in f"{failed.detail} {failed.hint}"


def test_a_missing_root(box: MakeBox, tmp_path: Path) -> None:
    made = box()
    made.settings.root.rename(tmp_path / "elsewhere")
    (check,) = check_storage(made.settings)
    assert not check.ok
    assert "edge init" in check.hint


def test_a_key_that_everyone_can_read(box: MakeBox) -> None:
    settings = box().settings
    (settings.keys / "open.key").chmod(0o444)
    assert "every user" in by_name(check_storage(settings))["keys"].detail


def test_keys_that_are_no_pair(box: MakeBox) -> None:
    settings = box().settings
    path = settings.keys / "seal.pub"
    path.chmod(0o600)
    path.write_bytes(crypto.seal_key_pair()[1])
    assert "not the pair" in by_name(check_storage(settings))["keys"].detail


def test_a_missing_key(box: MakeBox) -> None:
    settings = box().settings
    (settings.keys / "verify.pub").unlink()
    assert not by_name(check_storage(settings))["keys"].ok


def test_a_folder_that_everyone_can_enter(box: MakeBox) -> None:
    settings = box().settings
    settings.spool.chmod(0o2775)
    assert "spool/" in by_name(check_storage(settings))["root"].detail


def test_a_damaged_journal(box: MakeBox) -> None:
    settings = box().settings
    data = bytearray(settings.journal.read_bytes())
    data[4096:8192] = os.urandom(4096)
    settings.journal.write_bytes(data)
    assert not by_name(check_storage(settings))["journal"].ok


def test_a_clock_that_is_behind_the_journal(box: MakeBox) -> None:
    settings = box().settings
    journal = Journal(settings.journal, clock=lambda: 4e9)
    journal.note("box", "test", "", "STARTED")
    journal.close()
    clock = by_name(check_storage(settings))["clock"]
    assert not clock.ok
    assert "behind" in clock.detail


def test_a_full_disk(box: MakeBox) -> None:
    text = support.EDGE_TOML.format(port=1).replace("reserve_gib = 0.1", "reserve_gib = 1e9")
    made = box(text=text)
    assert not by_name(check_storage(made.settings))["disk space"].ok
    assert "images are refused" in render(look(made.settings, "0"))


def test_a_port_that_somebody_else_has(box: MakeBox) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        made = box(text=support.EDGE_TOML.format(port=1).replace("port = 0", f"port = {port}"))
        check = by_name(check_network(made.settings))["receive"]
    assert not check.ok
    assert str(port) in check.detail


def test_a_destination_that_does_not_speak_dicom(box: MakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.operate.network_checks._SECONDS", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        check = by_name(check_network(box(mute.getsockname()[1]).settings))["destination archive"]
    assert not check.ok
    assert "silent" in check.detail


def test_both_runtimes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "_version", lambda name: "1.0")
    assert not machine_checks._runtime().ok


def test_telemetry_that_is_on(box: MakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    assert "this command" in machine_checks._telemetry(box().settings).detail


def test_a_backend_that_is_not_here(box: MakeBox) -> None:
    made = box(text=support.EDGE_TOML.format(port=1) + '[infer]\nproviders = ["tensorrt"]\n')
    assert not machine_checks._providers(made.settings).ok


def test_status_of_a_new_box(box: MakeBox, run_edge: Run) -> None:
    made = box()
    document = made.json("status")
    assert document["held"] == 0
    assert document["rooms"]["receive"]["up"] is False
    assert document["counts"]["job"] == {"READY": 0, "RUNNING": 0, "DONE": 0, "QUARANTINED": 0, "DISCARDED": 0}
    assert document["packages"][0]["name"] == "cxr-pneumonia"
    text = run_edge("status", "--config", made.file).stdout
    assert text.count("DOWN") == 3
    assert max(map(len, text.splitlines())) <= 100


def test_status_without_a_box_says_how_to_make_one(tmp_path: Path, run_edge: Run) -> None:
    (tmp_path / "edge.toml").write_text('[box]\nroot = "absent"\n')
    ended = run_edge("status", "--config", tmp_path / "edge.toml")
    assert ended.returncode == 1
    assert ended.stderr.startswith("E-JOURNAL: ")
    assert "edge init" in ended.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (86400 * 3.5, "3 d")]
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert screen.span(seconds) == text


def test_columns_line_up() -> None:
    assert screen.table([("a", 1), ("long", 100)], ("name", "n")) == "name    n\na       1\nlong  100\n"


def test_doctor_names_the_kernel_that_computes_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    right = machine_checks._kernels()
    assert right.ok
    assert f"build {kernels.build()}" in right.detail
    monkeypatch.setattr(kernels, "clahe", lambda frame, *_: frame)
    wrong = machine_checks._kernels()
    assert not wrong.ok
    assert wrong.detail.endswith("oracle: clahe")
    assert "EDGE_KERNELS" in wrong.hint
