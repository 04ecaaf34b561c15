"""The power fails at any moment of receiving and inferring: see power_cut.py, which is also the longer command."""

from __future__ import annotations

import dataclasses
import fnmatch
import shutil
from pathlib import Path

import power_cut
import pytest

from edge.errors import EdgeError

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> power_cut.Recording:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler to build the recorder with")
    return power_cut.make_recording(tmp_path_factory.mktemp("recorded"), 5)


def test_nothing_acknowledged_is_lost_and_no_report_lies(recording: power_cut.Recording, tmp_path: Path) -> None:
    seen = power_cut.cut_and_check(recording, tmp_path, cuts=40, seed=1, infer_every=20)
    assert seen["cuts"] == 40
    assert seen["acknowledged"] > 200, "cuts were made where something had been acknowledged"
    assert seen["reports"] > 50, "and where reports were ready"
    assert seen["named"] > 0, "and where an object was whole and had not got its name yet"


@pytest.mark.parametrize("forgotten", ["spool/slots", "spool", "spool/" + "?" * 32])
def test_the_cuts_find_a_flush_that_is_missing(recording: power_cut.Recording, tmp_path: Path, forgotten: str) -> None:
    """A check that cannot fail proves nothing: a disk that ignores one kind of flush must be caught."""
    steps = tuple(step for step in recording.steps if not (step[0] == "S" and fnmatch.fnmatchcase(step[1], forgotten)))
    lying = dataclasses.replace(recording, steps=steps)
    with pytest.raises((AssertionError, EdgeError)):
        power_cut.cut_and_check(lying, tmp_path, cuts=60, seed=2)
