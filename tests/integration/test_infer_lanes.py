"""What the lanes of the room may cost, and what happens when one of them ends."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import TOML, InferBox, made_package

from edge.errors import EnvironmentFailure
from edge.infer import gather


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_room_without_a_lane_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that only looks alive is worse than one that ends: somebody starts that one again."""
    box = InferBox(tmp_path / "box", {}, package="not-there")
    box.room.start()
    try:
        monkeypatch.setattr(box.room._desk, "take", sys.exit)
        with pytest.raises(EnvironmentFailure, match="lane"):
            box.room.run(threading.Event())
    finally:
        box.room.stop()
        box.stop()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_object_that_no_frame_explains_is_never_unsealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane holds a whole object in memory, and there are as many lanes as cores."""
    monkeypatch.setattr(gather, "_BESIDE_THE_FRAME", 1 << 16)
    toml = TOML.replace("attempts = {attempts}", "attempts = {attempts}\nmax_frame_mib = 1")
    box = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}, toml).start()
    try:
        pixels = np.zeros((32, 32), np.uint8)
        job = box.job(box.store(chest_dx(pixels, DataSetTrailingPadding=bytes((1 << 20) + (1 << 16)))))
        assert (job.state, job.outcome, job.reason) == ("QUARANTINED", "failed", "too-large")
        assert box.job(box.store(chest_dx(pixels))).outcome == "succeeded"
    finally:
        box.stop()
