"""The child that meets vendors' files can do little else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.packages import locked


def test_what_a_locked_child_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    ending = locked.run("tests.locked_acts", tmp_path, locked.Bounds(1024, 20, 20))
    assert ending.fine, ending.stderr
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    assert outcomes == {
        "connect": "PermissionError",
        "resolve": "PermissionError",
        "program": "PermissionError",
        "shell": "PermissionError",
        "write_outside": "PermissionError",
        "much_memory": "MemoryError",
        "secrets": "",
    }


def test_processor_time_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "spin").touch()
    ending = locked.run("tests.locked_acts", tmp_path, locked.Bounds(1024, 1, 20))
    assert not ending.fine
    assert ending.signal
    assert "signal" in ending.describe()


def test_wall_time_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "spin").touch()
    ending = locked.run("tests.locked_acts", tmp_path, locked.Bounds(1024, 60, 1))
    assert ending.timed_out
    assert ending.describe() == "it ran longer than allowed"


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    ending = locked.run("tests.no_such_module", tmp_path, locked.Bounds(1024, 10, 20))
    assert not ending.fine
    assert "ModuleNotFoundError" in ending.describe()
