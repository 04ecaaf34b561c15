"""The figures on a model card: computed as the textbooks do, and current."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.packages.registry import Registry

RECIPES = Path(__file__).resolve().parents[2] / "models" / "recipes"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipes' folder, importable for one test."""
    monkeypatch.syspath_prepend(str(RECIPES))
    for name in ("measures", "images", "cxr_pneumonia_card", "cxr_pneumonia_native_card"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return RECIPES


def load(name: str) -> ModuleType:
    return __import__(name)


def test_wilson(recipe: Path) -> None:
    found = load("measures").wilson(8, 10)
    assert (round(found.low, 4), round(found.high, 4)) == (0.4902, 0.9433)
    assert load("measures").wilson(0, 10).low == 0.0


def test_auc(recipe: Path) -> None:
    measures = load("measures")
    scores, truth = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert measures.auc(scores, truth).value == 0.75
    assert measures.auc(np.array([0.5, 0.5]), np.array([True, False])).value == 0.5
    assert measures.auc(np.array([0.2, 0.9]), np.array([False, True])).value == 1.0


def test_the_threshold_finds_what_is_wanted(recipe: Path) -> None:
    measures = load("measures")
    scores, truth = np.linspace(0.01, 1.0, 100), np.ones(100, bool)
    threshold = measures.threshold_for(scores, truth, 0.9)
    assert (scores >= threshold).sum() >= 90
    assert (scores >= threshold + 0.011).sum() < 90


def test_halves_share_no_patient_and_stay(recipe: Path) -> None:
    halves = load("images").halves
    patients = [f"P{n}" for n in range(101)]
    first, second = halves(patients, 7)
    assert first | second == set(patients)
    assert not first & second
    assert halves(patients[::-1], 7) == (first, second)


def test_the_shipped_card_is_what_was_measured(recipe: Path) -> None:
    card = load("cxr_pneumonia_card")
    evaluations = {
        name: json.loads(path.read_text())
        for name in ("direct", "product")
        if (path := recipe / f"cxr_pneumonia.{name}.json").exists()
    }
    imported = json.loads((recipe / "cxr_pneumonia.import.json").read_text())
    package = Registry().resolve("cxr-pneumonia")
    threshold = card.shipped_threshold(evaluations)
    assert package.manifest.outputs[0].classes[0].threshold == threshold
    assert package.read("MODEL_CARD.md").decode() == card.text(evaluations, imported, threshold)
    assert imported["max_abs_difference"] <= 1e-5


def test_the_native_card_is_what_was_measured(recipe: Path) -> None:
    card, measures = load("cxr_pneumonia_native_card"), load("measures")
    facts = {
        name: json.loads((recipe / f"cxr_pneumonia_native.{name}.json").read_text())
        for name in ("train", "direct", "product", "robustness")
    }
    package = Registry().resolve("cxr-pneumonia-native")
    threshold = package.manifest.outputs[0].classes[0].threshold
    scores, truth = np.array(facts["train"]["scores"]), np.array(facts["train"]["truth"], bool)
    assert threshold == measures.threshold_for(scores, truth, 0.90) == facts["product"]["shipped"]["threshold"]
    assert package.read("MODEL_CARD.md").decode() == card.text(facts, threshold)


def test_the_native_network_keeps_what_its_card_promises(recipe: Path) -> None:
    """The aims of the package, on the original test patients, through the product."""
    facts = json.loads((recipe / "cxr_pneumonia_native.product.json").read_text())
    assert facts["shipped"]["auc"]["value"] >= 0.945
    assert facts["shipped"]["accuracy"]["value"] >= 0.88
    modes = json.loads((recipe / "cxr_pneumonia_native.robustness.json").read_text())["proportions"]["modes"]
    assert min(mode["auc"]["value"] for mode in modes.values()) >= 0.95
    assert max(mode["changed"]["value"] for mode in modes.values()) <= 0.10


def test_no_patient_of_the_test_split_is_learned_from(recipe: Path, data: Path) -> None:
    images = load("images")
    learned = set(images.persons_to_learn_from())
    tested = {image.patient for name in ("cxr224", "cxr256_aspect") for image in images.read(name, "test")}
    assert learned
    assert tested
    assert not learned & tested
    assert images.held_back(learned, 1, 0.1) == images.held_back(sorted(learned), 1, 0.1) < learned
