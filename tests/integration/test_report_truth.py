"""A bright opacity on the patient's left: outline and side word are right, however the image is stored or prepared.

Every right-angle turn and mirror, both photometric interpretations, squash, letterbox, centre-crop, alignment and the
cut to the collimated field: through the real worker, pipeline, report, gate and reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import package_maker
import pydicom
import pytest
from acceptance.objects import chest_dx, save
from golden.sr_cases import BOX, result
from onnx import helper, numpy_helper
from package_maker import model_of, npy, plain_members

from edge.infer import pipeline
from edge.infer.egress import release
from edge.packages.attempt import Bench
from edge.packages.package import Package
from edge.records import UID, Instance, Result
from edge.report.kinds import PR, Form
from edge.report.objects import build
from edge.report.reader import ReportView, read_report

SHAPE = (1, 1, 48, 48)
ROWS, COLUMNS = 300, 240
TURNS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("L", "F"): lambda plane: plane,
    ("R", "F"): np.fliplr,
    ("L", "H"): np.flipud,
    ("R", "H"): lambda plane: np.flipud(np.fliplr(plane)),
    ("F", "L"): np.transpose,
    ("H", "L"): lambda plane: np.fliplr(plane.T),
    ("F", "R"): lambda plane: np.flipud(plane.T),
    ("H", "R"): lambda plane: np.flipud(np.fliplr(plane.T)),
}
"""How the standing frontal view (rows to the patient's left, columns to the feet) is stored."""
ALIGNED = {"align": {"orientation": "patient", "view": ["L", "F"], "unknown": "leave"}}
PREPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "squash": ("squash", {}),
    "letterbox": ("letterbox", {}),
    "centre-crop": ("centre-crop", {}),
    "aligned": ("letterbox", ALIGNED),
    "aligned-and-cut": ("squash", {"align": {**ALIGNED["align"], "crop": "collimation"}}),
}


def bright_spots(folder: Path, mode: str, more: dict[str, Any]) -> Package:
    """A network that looks for what is brighter than 0.75, with a class-activation map that says where."""
    given = {
        "kernel": np.ones((1, 1, 1, 1)),
        "floor": np.array([-0.75]),
        "weight": np.array([[4000.0]]),
        "shift": np.array([-1.0]),
    }
    nodes = [
        helper.make_node("Conv", ["input", "kernel", "floor"], ["raw"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["raw"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Gemm", ["mean", "weight", "shift"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["output"]),
    ]
    constants = tuple(numpy_helper.from_array(array.astype(np.float32), name) for name, array in given.items())
    members = {"model.onnx": model_of(nodes, constants, SHAPE), "selftest/zero.npy": npy(np.zeros(SHAPE, np.float32))}
    plain = package_maker.plain_manifest()
    entry = {**plain["inputs"][0], "shape": list(SHAPE), "layout": "NCHW"}
    entry["preprocess"] = {**entry["preprocess"], "resize": {"mode": mode, "filter": "area"}, **more}
    return package_maker.make(
        folder,
        plain_members(**members),
        inputs=[entry],
        outputs=[{**plain["outputs"][0], "cam": "auto"}],
        selftest={"tolerance": 1e-4, "cases": [{"input": "selftest/zero.npy", "expected": [float(1 / (1 + np.e))]}]},
        limits={"memory_mib": 256, "seconds": 20.0},
    )


@pytest.fixture(scope="module", params=PREPARED)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    mode, more = PREPARED[request.param]
    with Bench(bright_spots(tmp_path_factory.mktemp("package"), mode, more)) as bench:
        yield bench


def frontal() -> tuple[np.ndarray, np.ndarray]:
    """A dim body inside a straight black border, and the opacity on the patient's left: (values, where it is)."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    spot = np.hypot(rows - 130, columns - 160) < 18
    body = 900 + 500 * np.sin(rows / 40) ** 2 + 300 * np.cos(columns / 30) ** 2
    field = (rows >= 24) & (rows < ROWS - 24) & (columns >= 20) & (columns < COLUMNS - 20)
    return np.where(field, np.where(spot, 3900, body), 0).astype(np.uint16), spot


def looked_at(bench: Bench, dataset: Any, folder: Path) -> tuple[Result, ReportView]:
    attempt = bench.attempt(save(dataset, folder / "image.dcm"))
    assert (attempt.outcome, attempt.reason) == ("succeeded", "")
    uids = (
        str(dataset[keyword].value)
        for keyword in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    instance = Instance("0" * 32, *map(UID, uids), UID("1.2"), "DX", "p", "a", "t", 1, 0, 0.0)
    source = pipeline.source(instance, dataset)
    case = result(sources=(source,), findings=attempt.findings, study_instance_uid=source.study_instance_uid)
    *_, report = build(case, box=BOX, form=Form())
    release(report.blob, result=case, box=BOX, identity=frozenset())
    return case, read_report(report.blob)


def assert_around(points: Any, spot: np.ndarray) -> None:
    """The outline holds the middle of the opacity and is not much larger than it."""
    outline = np.array(points, np.float32).reshape(-1, 1, 2)
    rows, columns = np.nonzero(spot)
    middle = (float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)
    assert cv2.pointPolygonTest(outline, middle, False) > 0
    centre = outline.reshape(-1, 2).min(0) / 2 + outline.reshape(-1, 2).max(0) / 2
    assert np.hypot(*(centre - middle)) < 8
    assert cv2.contourArea(outline) < 4 * spot.sum()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("orientation", TURNS)
def test_outline_and_side_are_true(
    bench: Bench, tmp_path: Path, orientation: tuple[str, str], photometric: str
) -> None:
    values, spot = (TURNS[orientation](plane) for plane in frontal())
    inverted = photometric == "MONOCHROME1"
    pixels = np.ascontiguousarray(4095 - values if inverted else values)
    shape = {"PresentationLUTShape": "INVERSE" if inverted else "IDENTITY"}
    dataset = chest_dx(
        pixels, PhotometricInterpretation=photometric, PatientOrientation=list(orientation), BitsStored=12, HighBit=11,
        WindowCenter="2048", WindowWidth="4096", **shape,
    )  # fmt: skip
    case, view = looked_at(bench, dataset, tmp_path)
    (finding,) = view.findings

    assert finding.present
    assert_around(finding.regions[0].points, spot)
    assert "strongest attention: left side of the patient" in view.sentence
    drawn = pydicom.dcmread(
        BytesIO(next(each.blob for each in build(case, box=BOX, form=Form(presentation=True)) if each.kind is PR))
    )
    graphic = drawn.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert_around(np.reshape(graphic.GraphicData, (-1, 2)), spot)
    assert drawn.PresentationLUTShape == ("INVERSE" if inverted else "IDENTITY")


def test_without_an_orientation_no_side_is_stated(bench: Bench, tmp_path: Path) -> None:
    values, spot = frontal()
    dataset = chest_dx(values, PatientOrientation=None, BitsStored=12, HighBit=11)
    case, view = looked_at(bench, dataset, tmp_path)

    assert_around(view.findings[0].regions[0].points, spot)
    assert "strongest attention: side not stated" in view.sentence
    assert "side of the patient" not in view.sentence
    turned = dataclasses.replace(case.sources[0], patient_orientation=("R", "F"))
    other = read_report(build(dataclasses.replace(case, sources=(turned,)), box=BOX, form=Form())[-1].blob)
    assert "right side of the patient" in other.sentence
