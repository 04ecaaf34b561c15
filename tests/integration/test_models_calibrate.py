"""Thresholds from one half of the patients, figures from the other, and every look at the test half on the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import package_maker
import pytest

from edge.opencv import encode_png
from edge.packages import calibration
from edge.packages.calibration import Case, auc, calibrate, is_for_tuning
from edge.packages.package import load_folder


def test_auc_is_the_share_of_right_pairs_and_its_interval_that_of_delong() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([True] * 40 + [False] * 60)
    values = np.where(truth, rng.normal(0.6, 0.2, 100), rng.normal(0.4, 0.2, 100)).round(2)
    found = auc(values, truth)
    pairs = [(a > b) + 0.5 * (a == b) for a in values[truth] for b in values[~truth]]
    assert found.value == pytest.approx(np.mean(pairs))
    picked = []
    for _ in range(2000):  # the bootstrap is another way to the same interval
        chosen = rng.integers(0, 100, 100)
        if 0 < truth[chosen].sum() < 100:
            picked.append(auc(values[chosen], truth[chosen]).value)
    low, high = np.percentile(picked, [2.5, 97.5])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))


def test_no_patient_is_in_both_halves_and_figures_are_the_other_halfs() -> None:
    cases = [
        Case(f"{n}", f"{n // 4:08x}" + "0" * 56, "T-1", n % 2 == 1) for n in range(80)
    ]  # four images of each patient
    halves = [{case.patient for case in cases if is_for_tuning(case) is half} for half in (True, False)]
    assert halves[0] & halves[1] == set()
    scores = {(case.file, "T-1"): (0.8 if case.present else 0.3) - 0.2 * (not is_for_tuning(case)) for case in cases}
    (found,) = calibrate(cases, scores, {"T-1": 0.5}, 0.9)
    assert (found.tuning, found.testing, found.patients) == (40, 40, 20)
    assert found.proposed == 0.8  # what the first half supports
    assert found.proposed_sensitivity.value == 0.0  # the other half, whose images are darker, tells the truth about it
    assert found.stated_sensitivity.value == found.auc.value == 1.0


def test_the_card_has_the_figures_and_every_evaluation(tmp_path: Path, run_edge: Callable[..., Any]) -> None:
    package_maker.make(tmp_path / "p", limits={"memory_mib": 256, "seconds": 20.0})
    images = tmp_path / "images"
    images.mkdir()
    lines = ["file,patient,finding,label"]
    for number in range(12):
        bright = number % 2 == 1
        (images / f"{number}.png").write_bytes(encode_png(np.full((16, 16), 220 if bright else 20, np.uint8)))
        lines.append(f"{number}.png,INVENTED {number // 2},bright,{int(bright)}")
    (tmp_path / "truth.csv").write_text("\n".join(lines))
    (tmp_path / "empty.csv").write_text(lines[0])
    ended = run_edge("models", "calibrate", tmp_path / "p", "--truth", tmp_path / "empty.csv", "--images", images)
    assert ended.returncode == 2
    assert "no lines" in ended.stderr
    for _ in range(2):
        ended = run_edge(
            "models", "calibrate", tmp_path / "p", "--truth", tmp_path / "truth.csv", "--images", images, "--json"
        )
        assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)["findings"]
    assert found["auc"]["value"] == 1.0
    assert found["tuning"] + found["testing"] == 12
    card = load_folder(tmp_path / "p").read("MODEL_CARD.md").decode()  # its hash is right again
    assert card.startswith("# brightness")
    assert card.count(calibration.BEGIN) == card.count(calibration.LIST_BEGIN) == 1
    assert card.count("| 1.000 [1.000, 1.000] |") == 2
    evaluations = card.partition(calibration.LIST_BEGIN)[2].count("| T-1 |")
    assert evaluations == 2
    assert "INVENTED" not in card
    assert ".png" not in card
