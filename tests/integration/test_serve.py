"""`edge serve` as an administrator runs it: three rooms up, one comes back when it dies, all end on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
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


def test_no_room_outlives_a_serve_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(support.EDGE_TOML.format(port=1))
    settings = load(file)
    command = [sys.executable, "-m", "edge", "serve", "--config", str(file)]
    with subprocess.Popen(command, cwd=support.REPOSITORY, stderr=subprocess.DEVNULL) as serve:
        try:
            support.wait_until(lambda: _pids(settings), 40, "three rooms")
        finally:
            serve.kill()
    support.wait_until(lambda: not any(_living(settings)), 40, "the end of the rooms")


def test_a_demo_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(support.REPOSITORY)}
    command = [sys.executable, "-m", "edge", "demo"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        home = support.wait_until(lambda: [*tmp_path.glob("edge-demo/run-*/edge.toml")], 40, "the box")[0].parent
        settings = support.wait_until(lambda: (home / "box" / "run").is_dir() and load(home / "edge.toml"), 40, "root")
        support.wait_until(lambda: any(_living(settings)), 40, "a room")
        demo.terminate()
        _, said = demo.communicate(timeout=60)
    assert said == "stopped\n"
    assert not home.exists()


def _living(settings: rooms.Settings) -> list[bool]:
    """Of each room, whether it is there."""
    return [rooms.announced(settings, room) is not None for room in rooms.ROOMS]


def _pids(settings: rooms.Settings) -> dict[str, int]:
    """The processes of the rooms, once all are there."""
    facts = {room: rooms.announced(settings, room) for room in rooms.ROOMS}
    return {room: int(fact["pid"]) for room, fact in facts.items() if fact} if all(facts.values()) else {}


def test_a_room_that_cannot_start_ends_serve_with_the_reason(tmp_path: Path) -> None:
    """Not a restart every second for ever: the port is somebody else's."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        file = tmp_path / "edge.toml"
        file.write_text(support.EDGE_TOML.format(port=1).replace("port = 0", f"port = {other.getsockname()[1]}"))
        ended = support.run_edge("serve", "--config", file)
    assert ended.returncode == 1
    assert "E-SYSTEM: a room does not start [receive]" in ended.stderr
    assert "Traceback" not in ended.stderr
