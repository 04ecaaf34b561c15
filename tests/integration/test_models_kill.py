"""`kill -9` at every step of an installation, an activation, a rollback and a removal: the next start is consistent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_site import Site, site

__all__ = ["site"]

ENDS = {
    "install": {"", "FAILED", "INSTALLED", "REMOVED"},
    "activate": {"INSTALLED", "RETIRED", "ACTIVE"},
    "rollback": {"ACTIVE", "RETIRED"},
    "remove": {"INSTALLED", "RETIRED", "REMOVED"},
}
LAST = {"install": "INSTALLED", "activate": "ACTIVE", "rollback": "RETIRED", "remove": "REMOVED"}


@pytest.mark.parametrize(
    ("action", "stride"),
    [("install", 8), ("activate", 8), *(pytest.param(action, 1, marks=pytest.mark.slow) for action in ENDS)],
)
@pytest.mark.timeout(400)
def test_killed_at_any_step(site: Callable[..., Site], action: str, stride: int) -> None:
    here = site()
    here.works("1.0.0")
    archive = here.vendor.archive("2.0.0", 2.0)
    program = Path(__file__).with_name("kill_models.py")
    ended = subprocess.run(
        [sys.executable, program, here.box.settings.file, archive, action, str(stride)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rounds = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(rounds) > 2
    for each in rounds:
        assert each["names"] == each["wanted"] == each["loaded"], each
        state = each["states"].get("2.0.0", "")
        assert state in ENDS[action], each
        assert each["states"]["1.0.0"] == ("RETIRED" if state == "ACTIVE" else "ACTIVE"), each
    assert not rounds[-1]["killed"]
    assert rounds[-1]["states"]["2.0.0"] == LAST[action]
