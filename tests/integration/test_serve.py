"""`edge serve` as an administrator runs it: three rooms up, one comes back when it dies, all end on SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import support

from edge import rooms
from edge.config import load


def test_serve_runs_restarts_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(support.EDGE_TOML.format(port=1))
    settings = load(file)
    command = [sys.executable, "-m", "edge", "serve", "--config", str(file), "--json"]
    with subprocess.Popen(
        command, cwd=support.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as serve:
        try:
            pids = support.wait_until(lambda: _pids(settings), 40, "three rooms")
            os.kill(pids["deliver"], signal.SIGKILL)
            again = support.wait_until(
                lambda: (now := _pids(settings)) and now["deliver"] != pids["deliver"] and now, 40, "deliver again"
            )
            assert {room: again[room] for room in ("receive", "infer")} == {
                room: pids[room] for room in ("receive", "infer")
            }
        finally:
            serve.send_signal(signal.SIGTERM)
            said, _ = serve.communicate(timeout=40)
    assert serve.returncode == 0
    assert said == '{\n  "stopped": "all"\n}\n'
    assert not _pids(settings)


def _pids(settings: rooms.Settings) -> dict[str, int]:
    """The processes of the rooms, once all are there."""
    facts = {room: rooms.announced(settings, room) for room in rooms.ROOMS}
    return {room: int(fact["pid"]) for room, fact in facts.items() if fact} if all(facts.values()) else {}
