"""Packages swapped under load: nothing fails, nothing is lost, no job has answers of two packages, memory stays."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from acceptance.objects import chest_dx
from model_site import Site, site
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from support import wait_until

from edge.journal import traces, views

__all__ = ["site"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHIFTS = {"1.0.0": 0.0, "2.0.0": 2.0}
IN_FLIGHT = 3


class Load:
    """Pushes images without a pause, so that a few are always in flight."""

    def __init__(self, here: Site) -> None:
        self._here = here
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._push)
        self.pushed: dict[str, float] = {}

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _push(self) -> None:
        image = chest_dx(np.zeros((32, 32), np.uint8))
        while not self._stopping.is_set():
            waiting = len(self.pushed) - _ended(self._here)
            if waiting >= IN_FLIGHT:
                time.sleep(0.002)
                continue
            instance = self._here.box.store(_renamed(image))
            self.pushed[instance.sop_instance_uid] = time.time()


def _renamed(image: Dataset) -> Dataset:
    image.SOPInstanceUID = generate_uid()
    return image


def _ended(here: Site) -> int:
    row = here.box.journal.database.row("SELECT count(*) AS n FROM job WHERE state IN ('DONE', 'QUARANTINED')")
    return int(row["n"]) if row else 0


def swap(here: Site, times: int, meanwhile: int = 2) -> list[float]:
    """Activate and roll back in turn, each time after some jobs have ended; milliseconds of each flip."""
    flips = []
    words = itertools.cycle([("activate", "brightness-2.0.0", "--reason", "evaluation"), ("rollback", "brightness")])
    for word in itertools.islice(words, times):
        before = _ended(here)
        here.models(*word)
        flips.append(here.box.room.stage.flip_ms)
        wait_until(lambda before=before: _ended(here) >= before + meanwhile, 60, "jobs between two swaps")
    return flips


def outcomes(here: Site, load: Load) -> Counter[tuple[str, str]]:
    """(outcome, version) of every image that was pushed; fails on a score that is not the version's own."""
    found: Counter[tuple[str, str]] = Counter()
    wait_until(lambda: _ended(here) >= len(load.pushed), 120, "the end of all jobs")
    jobs = {each.unit: each for each in views.jobs(here.box.journal, limit=1 << 30)}
    for uid in load.pushed:
        job = jobs[uid]
        told = traces.of_job(here.box.journal, job.id)
        assert told is not None, job
        version = told["package"]["version"]
        (score,) = told["scores"]
        assert score["score"] == pytest.approx(1 / (1 + np.exp(-SHIFTS[version])), abs=1e-5), "a mixed result"
        found[job.outcome, version] += 1
    assert len(jobs) == len(load.pushed)
    return found


def prepared(here: Site) -> None:
    """Both versions installed, the first ACTIVE, the room running."""
    for version, shift in SHIFTS.items():
        here.models("install", here.vendor.archive(version, shift))
    here.models("activate", "brightness-1.0.0", "--reason", "evaluation")
    here.box.start()


@pytest.mark.parametrize("warm", [900, 0], ids=["kept-warm", "loaded-anew"])
def test_swaps_under_load_lose_nothing_and_mix_nothing(site: Callable[..., Site], warm: int) -> None:
    here = site(warm=warm, workers=2)
    prepared(here)
    with Load(here) as load:
        swap(here, 12 if warm else 4)
    found = outcomes(here, load)
    assert {outcome for outcome, _ in found} == {"succeeded"}
    assert {version for _, version in found} == set(SHIFTS)
    wait_until(lambda: len(here.box.room.stage.pool.on_stage()) == (2 if warm else 1), 20, "the end of old workers")


def _memory(here: Site) -> int:
    """MiB of this process and of all workers."""
    pids = [os.getpid(), *here.box.room.pool.pids()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGESIZE") >> 20


def _p99(here: Site, load: Load, since: float, until: float) -> float:
    jobs = {each.unit: each for each in views.jobs(here.box.journal, limit=1 << 30)}
    window = {uid: at for uid, at in dict(load.pushed).items() if since <= at < until}
    took = [(jobs[uid].ended_at or 0.0) - at for uid, at in window.items() if uid in jobs]
    return statistics.quantiles(took, n=100)[98] * 1e3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_swaps(site: Callable[..., Site], record_property: Callable[[str, object], None]) -> None:
    """1,000 swaps; paired windows with and without; every fiftieth swap loads its package anew."""
    here = site(workers=2)
    prepared(here)
    flips: list[float] = []
    pairs: list[tuple[float, float]] = []
    memory: list[int] = []
    with Load(here) as load:
        for _ in range(20):
            start = _ended(here)
            began = time.time()
            wait_until(lambda start=start: _ended(here) >= start + 200, 120, "a quiet window")
            middle = time.time()
            flips += swap(here, 50)
            wait_until(lambda: _ended(here) >= len(load.pushed) - IN_FLIGHT, 60, "the rest")
            pairs.append((_p99(here, load, began, middle), _p99(here, load, middle, time.time() - 0.5)))
            memory.append(_memory(here))
    found = outcomes(here, load)
    ratios = sorted(swapping / quiet for quiet, swapping in pairs)
    told = {
        "swaps": len(flips), "jobs": sum(found.values()), "outcomes": {f"{a} {b}": n for (a, b), n in found.items()},
        "flip_ms_max": max(flips), "p99_ratio_median": statistics.median(ratios), "p99_ratios": ratios,
        "memory_mib": memory,
    }  # fmt: skip
    record_property("swaps", json.dumps(told))
    print(json.dumps(told, indent=1))
    assert {outcome for outcome, _ in found} == {"succeeded"}
    assert len(flips) == 1000
    assert max(memory[5:]) <= memory[4] * 1.1
    assert max(flips) <= 1.0
