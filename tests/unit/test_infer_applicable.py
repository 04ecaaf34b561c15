"""A table of attributes, present, absent and foreign, times rules: the model looks, or the job is Not Attempted."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import package_maker
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from edge.config import load
from edge.errors import ConfigError
from edge.infer.pipeline import look
from edge.infer.protocol import Answer
from edge.packages.registry import Registry
from edge.records import Outcome

TODAY = datetime.date(2026, 3, 1)
RULES: dict[str, dict[str, Any]] = {
    "strict": {
        "Modality": {"absent": "refuse", "any_of": ["DX", "CR"]},
        "BodyPartExamined": {"absent": "refuse", "any_of": ["CHEST", "THORAX"]},
        "PatientAge": {"absent": "refuse", "min": 1.0, "max": 18.0},
        "ViewPosition": {"absent": "refuse", "any_of": ["AP", "PA"]},
    },
    "lenient": {
        "Modality": {"absent": "refuse", "any_of": ["DX", "CR"]},
        "BodyPartExamined": {"absent": "accept", "any_of": ["CHEST"]},
        "PatientAge": {"absent": "accept", "max": 18.0},
        "ImageType": {"absent": "accept", "none_of": ["LOCALIZER", "DERIVED\\SECONDARY"]},
    },
    "adult": {
        "Modality": {"absent": "refuse", "any_of": ["DX"]},
        "PatientAge": {"absent": "refuse", "min": 18.0},
        "PhotometricInterpretation": {"absent": "refuse", "none_of": ["RGB"]},
    },
}
CHEST = {
    "Modality": "DX", "BodyPartExamined": "CHEST", "PatientAge": "004Y", "ViewPosition": "AP",
    "PhotometricInterpretation": "MONOCHROME2", "ImageType": ["ORIGINAL", "PRIMARY"],
}  # fmt: skip
TABLE = [
    # what is changed; for each of strict, lenient, adult: "" where the model looks, else the deciding keyword
    ({}, "", "", "PatientAge"),
    ({"Modality": " dx "}, "", "", "PatientAge"),
    ({"Modality": "CR"}, "", "", "Modality"),
    ({"Modality": None}, "Modality", "Modality", "Modality"),
    ({"Modality": "CT"}, "Modality", "Modality", "Modality"),
    ({"Modality": "RÖNTGEN"}, "Modality", "Modality", "Modality"),
    ({"BodyPartExamined": "thorax"}, "", "BodyPartExamined", "PatientAge"),
    ({"BodyPartExamined": None}, "BodyPartExamined", "", "PatientAge"),
    ({"BodyPartExamined": ""}, "BodyPartExamined", "", "PatientAge"),
    ({"BodyPartExamined": "BRUST"}, "BodyPartExamined", "BodyPartExamined", "PatientAge"),
    ({"BodyPartExamined": "CHESTABDOMEN"}, "BodyPartExamined", "BodyPartExamined", "PatientAge"),
    ({"BodyPartExamined": "胸部"}, "BodyPartExamined", "BodyPartExamined", "PatientAge"),
    ({"PatientAge": "044Y"}, "PatientAge", "PatientAge", ""),
    ({"PatientAge": "018Y"}, "", "", ""),
    ({"PatientAge": "011M"}, "PatientAge", "", "PatientAge"),
    ({"PatientAge": "044"}, "PatientAge", "PatientAge", "PatientAge"),
    ({"PatientAge": "4 Jahre"}, "PatientAge", "PatientAge", "PatientAge"),
    ({"PatientAge": None}, "PatientAge", "", "PatientAge"),
    ({"PatientAge": None, "PatientBirthDate": "20200101", "StudyDate": "20250101"}, "", "", "PatientAge"),
    ({"PatientAge": None, "PatientBirthDate": "19600101", "StudyDate": "20250101"}, "PatientAge", "PatientAge", ""),
    ({"ViewPosition": None}, "ViewPosition", "", "PatientAge"),
    ({"ViewPosition": "LL"}, "ViewPosition", "", "PatientAge"),
    ({"ViewPosition": "p.a."}, "ViewPosition", "", "PatientAge"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "", "ImageType", "PatientAge"),
    ({"ImageType": ["DERIVED", "SECONDARY"]}, "", "ImageType", "PatientAge"),
    ({"PatientAge": "040Y", "PhotometricInterpretation": "RGB"}, "PatientAge", "PatientAge",
     "PhotometricInterpretation"),
    ({"PatientAge": "040Y", "PhotometricInterpretation": None}, "PatientAge", "PatientAge",
     "PhotometricInterpretation"),
]  # fmt: skip


def header(changes: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    with disable_value_validation():
        for keyword, value in {**CHEST, **changes}.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(("changes", *RULES), TABLE, ids=str)
def test_each_package_looks_at_what_its_manifest_says(
    tmp_path: Path, changes: dict[str, Any], strict: str, lenient: str, adult: str
) -> None:
    for rules, keyword in zip(RULES.values(), (strict, lenient, adult), strict=True):
        package = package_maker.make(tmp_path / str(len(list(tmp_path.iterdir()))), applicability=rules)
        looked: list[tuple[int, ...]] = []

        def run(images: tuple[int, ...], looked: list[tuple[int, ...]] = looked) -> tuple[Answer, str]:
            looked.append(images)
            return Answer(reason="too-large"), ""

        verdict = look(package.manifest, [header(changes)], TODAY, run)
        assert looked == ([] if keyword else [(0,)])
        assert verdict.reason == (f"not-applicable:{keyword}" if keyword else "too-large")
        assert (verdict.outcome is Outcome.NOT_ATTEMPTED) == bool(keyword)


@pytest.mark.parametrize(
    "line",
    [
        "threshold = 0.1", 'absent = "accept"', "applicability = { Modality = {} }", 'resize = "squash"',
        "window = { center = 40 }", 'activation = "none"',
    ],
)  # fmt: skip
def test_a_configuration_cannot_widen_a_manifest(tmp_path: Path, line: str) -> None:
    """There is no key for it: neither in a route, nor for models, nor for infer."""
    route = '[[routes]]\nname = "chest"\npackage = "cxr-pneumonia"\ndeliver = []\n'
    for text in (f"{route}{line}\n", f"[infer]\n{line}\n", f"[models]\n{line}\n"):
        (tmp_path / "edge.toml").write_text(text)
        with pytest.raises(ConfigError, match="unknown key"):
            load(tmp_path / "edge.toml")


@pytest.mark.parametrize("name", ["cxr-pneumonia", "cxr-pneumonia-native", "example-segment"])
def test_a_route_that_wants_everything_gets_no_more_than_the_manifest(name: str) -> None:
    """`when` chooses among what comes; whatever it lets through, the manifest's rules are asked after it."""
    manifest = Registry().resolve(name).manifest
    foreign = header({"Modality": "OT", "PatientAge": "080Y"})
    verdict = look(manifest, [foreign], TODAY, lambda _: pytest.fail("the model looked"))
    assert verdict.outcome is Outcome.NOT_ATTEMPTED
