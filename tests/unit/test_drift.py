"""Drift: quiet where nothing changed, loud where the scores or the images did, and forgetful of single studies."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from edge.infer.drift import BASELINE, FILE, SHIFT, WINDOW, Drift, Feature


def filled(dice: random.Random, shift: float = 0.0, scale: float = 1.0) -> Feature:
    feature = Feature()
    for _ in range(BASELINE):
        feature.add(dice.gauss(0.0, 1.0))
    for _ in range(WINDOW):
        feature.add(dice.gauss(shift, scale))
    return feature


def test_the_same_world_is_no_drift() -> None:
    found = [filled(random.Random(seed)).psi for seed in range(50)]
    assert all(psi is not None and psi < SHIFT for psi in found)


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (-1.0, 1.0), (0.0, 3.0), (0.0, 0.2)])
def test_another_world_is(shift: float, scale: float) -> None:
    found = [filled(random.Random(seed), shift, scale).psi for seed in range(20)]
    assert all(psi is not None and psi > SHIFT for psi in found)


def test_nothing_is_said_before_the_window_is_full() -> None:
    feature = Feature()
    for number in range(BASELINE + WINDOW - 1):
        feature.add(float(number % 7))
        assert feature.psi is None
    feature.add(0.0)
    assert feature.psi is not None


def test_scores_that_are_nearly_all_equal_have_fewer_bins() -> None:
    feature = Feature()
    for number in range(BASELINE + WINDOW):
        feature.add(1.0 if number % 50 == 0 else 0.0)
    assert feature.psi is not None
    assert feature.psi < 0.1


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    dice = random.Random(5)
    drift = Drift(tmp_path)
    for _ in range(BASELINE + 100):
        drift.add("a" * 64, {"score": dice.random(), "InputMean": dice.random()})
    drift.save()
    again = Drift(tmp_path)
    for _ in range(WINDOW - 100):
        value = {"score": dice.random(), "InputMean": 9.0}
        drift.add("a" * 64, value)
        again.add("a" * 64, value)
    assert again.indices("a" * 64) == drift.indices("a" * 64)
    assert again.indices("a" * 64)["InputMean"] > SHIFT > again.indices("a" * 64)["score"]
    assert again.indices("b" * 64) == {}


def test_no_value_of_a_single_study_is_kept_after_the_reference_is_there(tmp_path: Path) -> None:
    drift = Drift(tmp_path)
    for number in range(BASELINE + WINDOW):
        drift.add("a" * 64, {"score": number / 1000 + 0.000123})
    drift.save()
    kept = json.loads((tmp_path / FILE).read_text())["a" * 64]["score"]
    assert (kept["first"], len(kept["edges"]), len(kept["then"])) == ([], 9, 10)
    assert all(isinstance(place, int) for place in kept["now"])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": 1}', '{"a": {"b": {}}}',
     '{"a": {"b": {"first": [], "edges": [1], "then": [1], "now": []}}}',
     '{"a": {"b": {"first": [], "edges": [1], "then": [1, 2], "now": [5]}}}'],
)  # fmt: skip
def test_a_damaged_file_means_a_new_reference(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    drift = Drift(tmp_path)
    drift.add("a", {"b": 1.0})
    drift.save()
    assert json.loads((tmp_path / FILE).read_text())["a"]["b"]["first"] == [1.0]
