"""A room that only looks alive is worse than one that ends: somebody starts that one again."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from infer_box import InferBox

from edge.errors import EnvironmentFailure


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_room_without_a_lane_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = InferBox(tmp_path / "box", {}, package="not-there")
    box.room.start()
    try:
        monkeypatch.setattr(box.room._desk, "take", sys.exit)
        with pytest.raises(EnvironmentFailure, match="lane"):
            box.room.run(threading.Event())
    finally:
        box.room.stop()
        box.stop()
