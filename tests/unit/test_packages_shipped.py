"""The shipped packages: fit to run, and they accept what their cards say they accept."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

import edge
from edge.infer.applicability import check as meets
from edge.packages.check import examine
from edge.packages.package import Package
from edge.packages.registry import Registry, shipped

RECEIVED = datetime.date(2026, 3, 1)

ROOT = Path(edge.__file__).resolve().parent.parent
DX = "1.2.840.10008.5.1.4.1.1.1.1"


LICENCES = {"cxr-pneumonia": b"MIT License", "cxr-pneumonia-native": b"Apache License"}
EXAMPLES = ("example-detect", "example-measure", "example-segment")


@pytest.fixture(scope="module", params=sorted(LICENCES))
def package(request: pytest.FixtureRequest) -> Package:
    return Registry().resolve(request.param)


def chest(**changes: Any) -> Dataset:
    """Header of a child's frontal chest image; None takes an attribute away."""
    stated: dict[str, Any] = {
        "SOPClassUID": DX,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "AP",
        "PatientAge": "003Y",
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsStored": 12,
        "Rows": 1500,
        "Columns": 1800,
        **changes,
    }
    dataset = Dataset()
    with disable_value_validation():
        for keyword, value in stated.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def view(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a view"
    return [item]


def test_it_is_fit_to_run_here(package: Package) -> None:
    report = examine(package)
    assert report.problems == ()
    assert report.cases == 10
    assert report.max_difference < 1e-5


def test_it_claims_nothing(package: Package) -> None:
    finding = package.manifest.outputs[0].classes[0]
    assert package.manifest.status == "demonstration"
    assert (finding.calibrated, finding.rule_out, finding.urgent) == (False, False, False)
    assert (finding.code.value, finding.code.scheme) == ("233604007", "SCT")


def test_the_card_states_the_threshold_that_is_shipped(package: Package) -> None:
    card = package.read("MODEL_CARD.md").decode()
    assert f"Shipped: **{package.manifest.outputs[0].classes[0].threshold:.4f}**" in card
    assert "Not a medical device" in card
    assert LICENCES[package.manifest.name] in package.read("LICENSE")


def test_what_the_native_package_learned_from_is_attributed() -> None:
    package = Registry().resolve("cxr-pneumonia-native")
    for member in ("attribution.txt", "MODEL_CARD.md"):
        text = package.read(member).decode()
        assert "Kermany" in text
        assert "10.17632/rscbjbr9sj.2" in text
        assert "CC BY 4.0" in text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Modality": "CR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"},
        {"BodyPartExamined": " thorax "},
        {"ViewPosition": None},
        {"ViewPosition": ""},
        {"ViewPosition": "PA"},
        {"PatientAge": "012M"},
        {"PatientAge": "017Y"},
        {"PatientAge": None, "PatientBirthDate": "20150101", "StudyDate": "20200101"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"ImageLaterality": "U"},
        {"PresentationIntentType": "FOR PRESENTATION"},
        {"ViewCodeSequence": view("399348003")},
        {"ViewCodeSequence": view("R-10214")},
    ],
)
def test_it_accepts(package: Package, changes: dict[str, Any]) -> None:
    assert meets(package.manifest.applicability, chest(**changes), RECEIVED) == ""


@pytest.mark.parametrize(
    ("keyword", "changes"),
    [
        ("SOPClassUID", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
        ("Modality", {"Modality": "CT"}),
        ("Modality", {"Modality": None}),
        ("BodyPartExamined", {"BodyPartExamined": "HAND"}),
        ("BodyPartExamined", {"BodyPartExamined": None}),
        ("ViewPosition", {"ViewPosition": "LL"}),
        ("ViewPosition", {"ViewPosition": "LATERAL"}),
        ("ViewCodeSequence", {"ViewPosition": None, "ViewCodeSequence": view("399067008")}),
        ("ImageLaterality", {"ImageLaterality": "L"}),
        ("PatientAge", {"PatientAge": "045Y"}),
        ("PatientAge", {"PatientAge": "018Y"}),
        ("PatientAge", {"PatientAge": "000Y"}),
        ("PatientAge", {"PatientAge": None}),
        ("PatientAge", {"PatientAge": "CHILD"}),
        ("PatientAge", {"PatientAge": None, "PatientBirthDate": "19400305", "StudyDate": "20040826"}),
        ("PatientAge", {"PatientAge": None, "PatientBirthDate": "19400305", "StudyDate": None}),
        ("PatientSpeciesDescription", {"PatientSpeciesDescription": "Canine"}),
        ("PatientSexNeutered", {"PatientSexNeutered": "ALTERED"}),
        ("PresentationIntentType", {"PresentationIntentType": "FOR PROCESSING"}),
        ("PhotometricInterpretation", {"PhotometricInterpretation": "RGB"}),
        ("NumberOfFrames", {"NumberOfFrames": 20}),
        ("BitsStored", {"BitsStored": 1}),
        ("Rows", {"Rows": 128}),
        ("Columns", {"Columns": 128}),
    ],
)
def test_it_refuses(package: Package, keyword: str, changes: dict[str, Any]) -> None:
    assert meets(package.manifest.applicability, chest(**changes), RECEIVED) == f"not-applicable:{keyword}"


@pytest.mark.parametrize(
    "name",
    [
        "highdicom__dx_image.dcm__602dbe.dcm",  # a dog
        "pydicom-data__RG1_J2KI.dcm__744d01.dcm",  # an adult, told only by two dates
        "pydicom-data__RG3_J2KI.dcm__c90c91.dcm",  # a limb
        "fo-dicom__CR-ModalitySequenceLUT.dcm__6fecb0.dcm",  # teeth
        "fo-dicom__CR-MONO1-10-chest__ee3da3.dcm",  # a chest of unstated age
        "fo-dicom__GH133.dcm__ffcf98.dcm",  # a breast
    ],
)
def test_it_refuses_real_images_that_are_not_for_it(package: Package, data: Path, name: str) -> None:
    dataset = dcmread(data / "dicom" / "files" / name, force=True, stop_before_pixels=True)
    assert meets(package.manifest.applicability, dataset, RECEIVED).startswith("not-applicable:")


def test_the_dog_is_refused_at_any_size(package: Package, data: Path) -> None:
    dataset = dcmread(data / "dicom" / "files" / "highdicom__dx_image.dcm__602dbe.dcm", stop_before_pixels=True)
    dataset.Rows, dataset.Columns = 1690, 2110
    assert meets(package.manifest.applicability, dataset, RECEIVED) == "not-applicable:ImageLaterality"


def test_every_shipped_package_and_no_recipe_is_in_the_wheel() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["edge.shipped"]
    for name in shipped():
        assert any(Path(f"{name}/model.toml").match(pattern.replace("**", "*")) for pattern in patterns)
    assert not any(Path("recipes/evaluate.py").match(pattern.replace("**", "*")) for pattern in patterns)
    assert setuptools["package-dir"] == {"edge.shipped": "models"}


def test_the_list_of_packages_is_complete() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("edge", "kernels")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert listed == found | {"edge.shipped"}, "bring [tool.setuptools] packages in pyproject.toml up to date"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_fit_and_says_what_it_is(name: str) -> None:
    example = Registry().resolve(name)
    assert examine(example).problems == ()
    assert example.manifest.status == "demonstration"
    assert example.manifest.applicability["ManufacturerModelName"].absent == "refuse"
    assert "generated data alone" in example.read("MODEL_CARD.md").decode()


def test_the_examples_are_what_their_recipe_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "models" / "recipes"))
    __import__("examples").main(tmp_path)
    for name in EXAMPLES:
        assert (tmp_path / name / "model.toml").read_bytes() == Registry().resolve(name).manifest_bytes


def test_every_shipped_package_is_tested() -> None:
    assert Registry().names() == sorted((*LICENCES, *EXAMPLES))
