"""Workers die, hang, eat memory and answer nonsense while studies keep coming: nothing is lost, and nobody waits long.

One graph does all of it, by how bright the image is. What it costs is told: how long after each failure the next study
was served.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import package_maker
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from onnx import TensorProto, helper, numpy_helper
from support import wait_until

from edge.journal import views

HEALTHY, HANG, MEMORY, SHAPE = 40, 240, 180, 130
"""Gray levels: below 0.45 nothing happens."""

REASONS = {HANG: "time-limit", MEMORY: "memory-limit", SHAPE: "bad-output"}
SEGFAULT = 0
SELFTEST = {"tolerance": 1e-5, "cases": [{"input": "selftest/zero.npy", "expected": [0.0]}]}
_ALL = 1 << 20


def misbehaving() -> bytes:
    """output = mean of the input, unless the mean lies in one of three ranges."""
    constants = {
        "at hang": np.array(0.85, np.float32), "from memory": np.array(0.65, np.float32),
        "to memory": np.array(0.75, np.float32), "from shape": np.array(0.45, np.float32),
        "to shape": np.array(0.55, np.float32), "rounds": np.array(10_000), "matrix": np.eye(512, dtype=np.float32),
        "zero": np.array(0, np.float32), "one": np.array([1]), "much": np.array([4 << 30]), "row": np.array([1, 1]),
    }  # fmt: skip
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [512, 512])
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes on"], ["still"]),
         helper.make_node("MatMul", ["state", "state"], ["next"])],
        "round",
        [helper.make_tensor_value_info("number", TensorProto.INT64, []),
         helper.make_tensor_value_info("goes on", TensorProto.BOOL, []), state],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, []),
         helper.make_tensor_value_info("next", TensorProto.FLOAT, [512, 512])],
    )  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "at hang"], ["hangs"]),
        helper.make_node("Loop", ["rounds", "hangs", "matrix"], ["worked"], body=body),
        helper.make_node("ReduceSum", ["worked"], ["sum"], keepdims=0),
        *_within("memory"),
        helper.make_node("Cast", ["is memory"], ["eats"], to=TensorProto.INT64),
        helper.make_node("Mul", ["eats", "much"], ["extra"]),
        helper.make_node("Add", ["extra", "one"], ["length"]),
        helper.make_node("ConstantOfShape", ["length"], ["heap"]),
        helper.make_node("ReduceSum", ["heap"], ["heap sum"], keepdims=0),
        helper.make_node("Add", ["sum", "heap sum"], ["all"]),
        helper.make_node("Mul", ["all", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["score"]),
        *_within("shape"),
        helper.make_node("Cast", ["is shape"], ["fewer"], to=TensorProto.INT64),
        helper.make_node("Sub", ["one", "fewer"], ["rows"]),
        helper.make_node("Concat", ["rows", "one"], ["size"], axis=0),
        helper.make_node("Reshape", ["score", "row"], ["column"]),
        helper.make_node("Expand", ["column", "row"], ["whole"]),
        helper.make_node("Slice", ["whole", "starts", "rows", "axes"], ["output"]),
    ]
    constants |= {"starts": np.array([0]), "axes": np.array([0])}
    held = tuple(numpy_helper.from_array(value, name) for name, value in constants.items())
    return package_maker.model_of(nodes, held, out_shape=("rows", 1))


def _within(what: str) -> list[Any]:
    return [
        helper.make_node("Greater", ["mean", f"from {what}"], [f"above {what}"]),
        helper.make_node("Less", ["mean", f"to {what}"], [f"below {what}"]),
        helper.make_node("And", [f"above {what}", f"below {what}"], [f"is {what}"]),
    ]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InferBox]:
    members = package_maker.plain_members(**{"model.onnx": misbehaving()})
    package = made_package(
        tmp_path / "p", members=members, limits={"memory_mib": 512, "seconds": 2.0}, selftest=SELFTEST
    )
    box = InferBox(tmp_path / "box", {"brightness": package}, workers=2, attempts=3).start()
    yield box
    box.stop()


def survive(box: InferBox, faults: list[int], beside: int) -> list[float]:
    """Bring `faults` about, `beside` healthy studies after each; seconds from each failure to the next result."""
    numbers = itertools.count()
    stored = {}

    def study(level: int) -> None:
        pixels = np.full((8, 8), level, np.uint8)
        pixels[0, 0] = next(numbers) % 9  # no two are the same image
        stored[box.store(chest_dx(pixels)).sop_instance_uid] = level

    for fault in faults:
        if fault == SEGFAULT:
            # what a vendor's graph or a codec does to its process, at whatever it does just now
            for pid in box.room.pool.pids()[:1]:
                os.kill(pid, signal.SIGSEGV)
        else:
            study(fault)
        for _ in range(beside):
            study(HEALTHY)
        # under load all the time, but no more than a few studies ahead
        wait_until(functools.partial(is_taken, box, len(stored) - beside), 120, "the load")

    def ended() -> list[views.JobView] | None:
        jobs = [each for each in views.jobs(box.journal, limit=_ALL) if each.state in ("DONE", "QUARANTINED")]
        return jobs if len(jobs) == len(stored) else None

    jobs = wait_until(ended, 120, "every study")
    for job in jobs:
        level = stored[job.unit]
        if level in REASONS:
            # the last attempt may have met a process that died under it
            assert (job.outcome, job.reason in (REASONS[level], "worker-crashed")) == ("failed", True)
        else:
            assert (job.outcome, job.reason) == ("succeeded", "")
    return waits(box)


def is_taken(box: InferBox, count: int) -> bool:
    return sum(each.state != "READY" for each in views.jobs(box.journal, limit=_ALL)) >= count


def waits(box: InferBox) -> list[float]:
    """Seconds from each failed attempt to the next result that was brought to its end."""
    events = sorted(views.events(box.journal, _ALL), key=lambda event: event.at)
    moves = [event for event in events if event.thing == "job"]
    failures = [event.at for event in moves if event.reason in ("worker-crashed", *REASONS.values())]
    results = [event.at for event in moves if event.new == "DONE"]
    found = [min((at for at in results if at >= failed), default=None) for failed in failures]
    return [at - failed for at, failed in zip(found, failures, strict=True) if at is not None]


def test_no_study_is_lost_whatever_a_worker_does(box: InferBox) -> None:
    survive(box, [SEGFAULT, MEMORY, SHAPE, HANG], beside=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_failures_under_load(box: InferBox, capsys: pytest.CaptureFixture[str]) -> None:
    found = survive(box, [SEGFAULT, MEMORY, SHAPE, HANG] * 25, beside=6)
    with capsys.disabled():
        low, high = np.percentile(found, [50, 99])
        print(f"\n{len(found)} failures: next study served after {low:.3f} s (median), {high:.3f} s (p99)")
    # how long depends on how soon a new process is ready here; that every fault came, and cost nothing else, does not
    assert len(found) >= 75
