"""kill -9 of any room at any moment while a modality pushes: nothing acknowledged is lost, a unit has one report."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from objects import chest_dx, save
from pydicom import dcmread
from raw_objects import RawObject, read_raw
from support import Box, Orthanc, Storescp, wait_until

from edge.errors import EdgeError
from edge.scu import Peer, Scu

PUSHES = 200
ROOMS = ("receive", "infer", "deliver")


def small_chests(folder: Path, count: int) -> list[RawObject]:
    """Different small X-rays, so that no two have the same report."""
    noise = np.random.default_rng(7)
    made = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        save(chest_dx(noise.integers(0, 4096, (256, 256), dtype=np.uint16), BitsStored=12, HighBit=11), path)
        made.append(read_raw(path))
    return made


class Chaos:
    """Kills a random room at random moments until stopped; the household brings it back."""

    def __init__(self, box: Box, seed: int) -> None:
        self._box = box
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self.kills: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._random.uniform(0.05, 0.6)):
            room = self._random.choice(ROOMS)
            try:
                os.kill(self._box.household.pid(room), signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.kills[room] += 1
            self._box.household.restart(room)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)


def push_until_acknowledged(box: Box, each: RawObject) -> None:
    """As a modality does: again and again until the box says Success."""

    def acknowledged() -> bool:
        try:
            with Scu(
                Peer("127.0.0.1", box.port, "EDGE", "TEST", connect=2, associate=5, answer=10),
                [(each.sop_class_uid, each.transfer_syntax_uid)],
            ) as scu:
                return (
                    scu.store(each.sop_class_uid, each.sop_instance_uid, each.transfer_syntax_uid, each.data_set) == 0
                )
        except (EdgeError, AssertionError):
            return False

    wait_until(acknowledged, 60, "an acknowledgement")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_and_every_unit_has_one_report(
    box_with_archives: Box, reader: Callable, folder: Path, storescp: Storescp, orthanc: Orthanc, seed: int
) -> None:
    box = box_with_archives
    objects = small_chests(folder, PUSHES)
    chaos = Chaos(box, seed)
    try:
        for each in objects:
            push_until_acknowledged(box, each)
        wait_until(lambda: chaos.kills.total() >= 10, 60, "ten kills")  # the last ones fall on what is still queued
    finally:
        chaos.stop()
    assert box.household.wait_ready(30)
    journal = reader(box)
    journal.wait_quiet(PUSHES, 300)

    stored = {row["sop_instance_uid"] for row in journal.rows("SELECT sop_instance_uid FROM instance")}
    assert stored == {each.sop_instance_uid for each in objects}
    assert {(job["state"], job["outcome"]) for job in journal.jobs().values()} == {("DONE", "succeeded")}
    reports = [dcmread(path) for path in storescp.files()]
    sources = Counter(
        str(report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
            .ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for report in reports
    )  # fmt: skip
    assert sources == Counter({each.sop_instance_uid: 1 for each in objects})
    assert len(orthanc.sop_instance_uids()) == PUSHES
    assert not list(box.settings.spool.glob("*.part"))
