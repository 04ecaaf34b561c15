"""Durable writes on a disk that is full: nothing half stays, and what was there stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.files import write_durably


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
@pytest.mark.parametrize("checked_later", [False, True])
def test_a_write_that_fails_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, checked_later: bool
) -> None:
    path = tmp_path / "report.dcm"
    write_durably(path, b"first")
    if step == "fsync" and checked_later:
        pytest.skip("there the name is given before the flush; every reader can tell")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(OSError, match="No space"):
            write_durably(path, b"second", checked_later=checked_later)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.dcm"]
    assert path.read_bytes() == b"first"
