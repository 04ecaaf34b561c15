"""The fixtures themselves: peers answer, and the network audit sees what it must."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import support
from network_audit import outside


def test_storescp_starts_empty(storescp: support.Storescp) -> None:
    assert storescp.files() == []


def test_orthanc_starts_empty(orthanc: support.Orthanc) -> None:
    assert orthanc.sop_instance_uids() == []


@pytest.mark.parametrize(
    ("event", "arguments", "expected"),
    [
        ("socket.connect", (None, ("127.0.0.1", 104)), None),
        ("socket.connect", (None, ("::1", 104, 0, 0)), None),
        ("socket.connect", (None, "/run/edge.sock"), None),
        ("socket.sendto", (None, ("192.0.2.1", 514)), "192.0.2.1"),
        ("socket.getaddrinfo", ("archive.example", 104, 0, 0, 0), "archive.example"),
        ("open", ("192.0.2.1", "r", 0), None),
    ],
)
def test_the_audit_knows_this_machine_from_others(event: str, arguments: tuple[object, ...], expected: str) -> None:
    assert outside(event, arguments) == expected


def test_the_audit_watches_child_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "audit"
    monkeypatch.setenv("EDGE_NETWORK_AUDIT", str(log))
    attempt = "import sys; sys.audit('socket.connect', None, ('192.0.2.1', 104))"
    subprocess.run([sys.executable, "-c", attempt], check=True)
    assert log.read_text() == "socket.connect 192.0.2.1\n"
