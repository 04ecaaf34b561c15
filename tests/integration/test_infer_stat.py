"""An urgent study behind a backlog: it waits for what runs already, never for what only waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import package_maker
import pytest
from acceptance.objects import chest_dx
from infer_box import TOML, InferBox, made_package
from onnx import helper, numpy_helper
from support import wait_until

from edge.journal import views

STAT = """
[[routes]]
name = "urgent"
package = "{package}"
when = {{ Modality = ["CR"] }}
deliver = []
priority = "stat"
max_study_age_days = 36500
"""
_ALL = 1 << 20
SELFTEST = {"tolerance": 1e-5, "cases": [{"input": "selftest/zero.npy", "expected": [0.0]}]}


def busy() -> bytes:
    """The mean, after some 8 GFLOP."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["matrix", "mean"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{n}", "matrix"], [f"m{n + 1}"]) for n in range(30)),
        helper.make_node("ReduceMax", ["m30"], ["all"], keepdims=0),
        helper.make_node("Reshape", ["all", "shape"], ["output"]),
    ]
    held = (numpy_helper.from_array(np.eye(512, dtype=np.float32), "matrix"),
            numpy_helper.from_array(np.array([1, 1]), "shape"))  # fmt: skip
    return package_maker.model_of(nodes, held)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InferBox]:
    rules = {"Modality": {"absent": "refuse", "any_of": ["DX", "CR"]}}
    members = {**package_maker.plain_members(), "model.onnx": busy()}
    package = made_package(tmp_path / "p", members=members, applicability=rules, selftest=SELFTEST)
    box = InferBox(tmp_path / "box", {"brightness": package}, TOML.replace("[destinations", f"{STAT}[destinations"))
    yield box
    box.stop()


def image(number: int, modality: str) -> np.ndarray:
    return chest_dx(np.full((8, 8), number % 250, np.uint8), Modality=modality)


def overtaken(box: InferBox, backlog: int, urgent: int) -> tuple[list[int], list[float]]:
    """For each of `urgent` studies, one after the other: how many of the backlog ended before it, and its seconds."""
    for number in range(backlog):
        box.store(image(number, "DX"))
    box.start()
    wait_until(lambda: views.jobs(box.journal, "RUNNING"), what="a running job")
    before, seconds = [], []
    for number in range(urgent):
        stored_at = time.time()
        job = box.job(box.store(image(number, "CR")), 120)
        others = [each for each in views.jobs(box.journal, limit=_ALL) if each.route == "chest" and each.ended_at]
        before.append(sum(stored_at <= (each.ended_at or 0) < (job.ended_at or 0) for each in others))
        seconds.append((job.ended_at or 0) - stored_at)
        assert job.outcome == "succeeded"
    assert sum(each.state == "READY" for each in views.jobs(box.journal, limit=_ALL)) > 0
    return before, seconds


def test_stat_waits_for_no_more_than_what_runs(box: InferBox) -> None:
    before, _ = overtaken(box, backlog=20, urgent=3)
    assert max(before) <= 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_stat_behind_two_hundred(box: InferBox, capsys: pytest.CaptureFixture[str]) -> None:
    before, seconds = overtaken(box, backlog=200, urgent=25)
    ended = sorted(each.ended_at or 0 for each in views.jobs(box.journal, limit=_ALL) if each.ended_at)
    one = float(np.median(np.diff(ended)))
    with capsys.disabled():
        print(f"\nstat p50 {np.median(seconds):.3f} s, p99 {np.percentile(seconds, 99):.3f} s; one batch {one:.3f} s")
    assert max(before) <= 1
