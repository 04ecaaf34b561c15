"""What a manifest can ask of a unit: many frames, several inputs, attributes, volumes, maps; each where it belongs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from one_look import code, finding_class, frame_input, helper, model, package, seen
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

MEAN = [
    helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
    helper.make_node("Reshape", ["mean", "column"], ["output"]),
]
COLUMN = {"column": np.array([-1, 1])}
CLASSIFY = [{"tensor": "output", "activation": "none", "classes": [finding_class()]}]


def gray(value: int, shape: tuple[int, int] = (16, 16), **attributes: Any) -> Dataset:
    return chest_dx(np.full(shape, value, np.uint8), **attributes)


def cine(values: list[int], shape: tuple[int, int] = (16, 16), **attributes: Any) -> Dataset:
    """A multi-frame object, one gray for each frame."""
    frames = np.stack([np.full(shape, value, np.uint8) for value in values])
    return chest_dx(frames[0], NumberOfFrames=len(values), PixelData=frames.tobytes(), Modality="DX", **attributes)


@pytest.mark.parametrize(("over", "score"), [("max", 0.8), ("mean", 0.4), ("median", 0.2)])
@pytest.mark.parametrize("batch", [1, 2])
def test_frames_of_an_object_become_one_score(tmp_path: Path, over: str, score: float, batch: int) -> None:
    network = model(MEAN, COLUMN, {"input": (batch, 1, 8, 8)}, {"output": (batch, 1)})
    outputs = [{**CLASSIFY[0], "over": over}]
    made = package(tmp_path / "p", network, inputs=[frame_input((batch, 1, 8, 8), frames="each")], outputs=outputs)
    verdict = seen(made, cine([51, 204, 51]))
    assert verdict.reason == ""
    assert verdict.findings[0].score == pytest.approx(score, abs=1e-5)


def test_one_frame_of_many_is_not_what_an_image_package_asked_for(tmp_path: Path) -> None:
    made = package(
        tmp_path / "p", model(MEAN, COLUMN, {"input": (1, 1, 8, 8)}, {"output": (1, 1)}), inputs=[frame_input()],
        outputs=CLASSIFY,
    )  # fmt: skip
    assert seen(made, cine([1, 2])).reason == "unsupported-pixels"
    assert seen(made, cine([200])).findings[0].present


def test_a_map_is_laid_on_the_frame_that_scored_highest(tmp_path: Path) -> None:
    """The graph's own map is its input: the outline lies on the bright spot, on the third frame."""
    nodes = [*MEAN, helper.make_node("Identity", ["input"], ["heat"])]
    network = model(nodes, COLUMN, {"input": (1, 1, 8, 8)}, {"output": (1, 1), "heat": (1, 1, 8, 8)})
    outputs = [{**CLASSIFY[0], "classes": [finding_class(threshold=0.2)], "heat": "heat"}]
    made = package(tmp_path / "p", network, inputs=[frame_input(frames="each")], outputs=outputs)
    frames = np.zeros((4, 32, 32), np.uint8)
    frames[2, 16:, :16] = 255
    frames[1, :8, :8] = 255
    image = chest_dx(frames[0], NumberOfFrames=4, PixelData=frames.tobytes())
    (finding,) = seen(made, image).findings
    (region,) = finding.regions
    low, high = np.min(region.points, axis=0), np.max(region.points, axis=0)
    assert (region.frame, region.attention) == (3, True)
    assert low[0] < 8 < high[0]
    assert low[1] < 24 < high[1]
    assert high[0] < 20
    assert low[1] > 12


def test_occlusion_finds_what_a_flattened_network_looks_at(tmp_path: Path) -> None:
    """No pooled head: one weight for each place, and only one corner counts."""
    weights = np.zeros((256, 1), np.float32)
    weights.reshape(16, 16)[10:14, 2:6] = 1
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("Sub", ["raw", "eight"], ["output"]),
    ]
    constants = {"weights": weights, "eight": np.array(4, np.float32)}
    network = model(nodes, constants, {"input": (1, 1, 16, 16)}, {"output": (1, 1)})
    outputs = [{**CLASSIFY[0], "activation": "sigmoid", "cam": "occlusion"}]
    made = package(tmp_path / "p", network, inputs=[frame_input((1, 1, 16, 16))], outputs=outputs)
    pixels = np.zeros((160, 160), np.uint8)
    pixels[100:140, 20:60] = 255
    (finding,) = seen(made, chest_dx(pixels)).findings
    points = np.array(finding.regions[0].points)
    assert (points.min(axis=0) < (40, 120)).all()
    assert (points.max(axis=0) > (40, 120)).all()
    assert (points.max(axis=0) < (100, 160)).all()
    assert seen(made, gray(0)).findings[0].regions == ()


def test_attributes_reach_the_model_as_declared(tmp_path: Path) -> None:
    """The output is the row of the table: each number is what the manifest says it stands for."""
    columns: list[dict[str, Any]] = [
        {"keyword": "PatientAge", "mean": 2.0, "std": 10.0},
        {"keyword": "PatientSex", "codes": {"M": 0.0, "F": 1.0}, "other": 0.5},
        {"keyword": "ViewPosition", "codes": {" pa ": 1.0}, "other": 0.0, "absent": 0.25},
        {"keyword": "KVP", "min": 40.0, "max": 150.0, "absent": 0.0, "std": 100.0},
    ]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Add", ["table", "none"], ["output"]),
    ]
    network = model(
        nodes, {"zero": np.array(0, np.float32)}, {"input": (1, 1, 8, 8), "table": (1, 4)}, {"output": (1, 4)}
    )
    quantities = [
        {"index": index, "name": f"column-{index}", "code": code(f"column {index}"), "unit": code("1", "UCUM"),
         "min": -10.0, "max": 10.0} for index in range(4)
    ]  # fmt: skip
    made = package(
        tmp_path / "p", network, task="measure", inputs=[frame_input()],
        tables=[{"tensor": "table", "columns": columns}],
        outputs=[{"tensor": "output", "activation": "none", "quantities": quantities}],
    )  # fmt: skip

    def row(**attributes: Any) -> list[float] | str:
        verdict = seen(made, gray(9, **attributes))
        return verdict.reason or [each.value for each in verdict.measurements]

    assert row(PatientAge="012Y", PatientSex="F", ViewPosition="PA", KVP="70") == pytest.approx([1, 1, 1, 0.7])
    assert row(PatientAge="024M", PatientSex="O", ViewPosition="LL") == pytest.approx([0, 0.5, 0, 0])
    by_dates = row(
        PatientAge=None, PatientSex="M", ViewPosition=None, PatientBirthDate="20160101", StudyDate="20260101"
    )
    assert by_dates == pytest.approx([0.8, 0, 0.25, 0], abs=0.02)
    assert row(KVP="400") == "not-applicable:KVP"
    assert row(PatientSex="") == "not-applicable:PatientSex"


def test_an_implausible_number_is_no_measurement(tmp_path: Path) -> None:
    quantity = {
        "index": 0, "name": "number", "code": code("number"), "unit": code("mm", "UCUM"),
        "min": 0.5, "max": 90.0, "scale": 100.0, "offset": -10.0,
    }  # fmt: skip
    network = model(MEAN, COLUMN, {"input": (1, 1, 8, 8)}, {"output": (1, 1)})
    outputs = [{"tensor": "output", "activation": "none", "quantities": [quantity]}]
    made = package(tmp_path / "p", network, task="measure", inputs=[frame_input()], outputs=outputs)
    assert seen(made, gray(51)).measurements[0].value == pytest.approx(10.0, abs=1e-3)
    assert [seen(made, gray(value)).reason for value in (0, 255)] == ["bad-output", ""]
    assert seen(made, gray(255)).measurements[0].value == pytest.approx(90.0)


def test_two_inputs_take_the_images_that_they_select(tmp_path: Path) -> None:
    """A study of two views: each input gets its own, whatever order they came in; a third view is no input's."""
    views = [
        frame_input(tensor=name, select={"ViewPosition": {"absent": "refuse", "any_of": [view]}})
        for name, view in (("front", "PA"), ("side", "LL"))
    ]
    nodes = [
        helper.make_node("ReduceMean", [name], [f"{name} mean"], axes=[1, 2, 3], keepdims=0)
        for name in ("front", "side")
    ]
    nodes += [
        helper.make_node("Sub", ["front mean", "side mean"], ["difference"]),
        helper.make_node("Reshape", ["difference", "column"], ["output"]),
    ]
    network = model(nodes, COLUMN, {"front": (1, 1, 8, 8), "side": (1, 1, 8, 8)}, {"output": (1, 1)})
    made = package(tmp_path / "p", network, scope="study", inputs=views, outputs=CLASSIFY)
    front, side, other = gray(204, ViewPosition="PA"), gray(51, ViewPosition="LL"), gray(7, ViewPosition="AP")
    for images in ((front, side), (side, other, front)):
        verdict = seen(made, *images)
        assert verdict.findings[0].score == pytest.approx(0.6, abs=1e-5)
    assert seen(made, front).reason == "images-missing"
    assert seen(made, front, side, gray(9, ViewPosition="PA")).reason == "images-missing"


def enhanced(volume: np.ndarray, spacing: tuple[float, float, float]) -> Dataset:
    """A multi-frame CT with functional groups, its frames stored from top to bottom."""
    image = chest_dx(volume[0], NumberOfFrames=len(volume), PixelData=volume[::-1].tobytes(), Modality="DX")
    image.RescaleSlope = None
    shared, measures, orientation, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(spacing[1:]), spacing[0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, -1000, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for index in reversed(range(len(volume))):
        own, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, index * spacing[0]]
        own.PlanePositionSequence = Sequence([position])
        groups.append(own)
    image.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return image


def volume_input(fit: str, shape: tuple[int, int, int], **changes: Any) -> dict[str, Any]:
    return {
        "tensor": "volume", "shape": [1, 1, *shape], "dtype": "float32", "layout": "NCDHW", "axes": "patient",
        "fit": fit, "low": -1000.0, "high": -490.0, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("fit", ["tile", "pad-crop", "squash"])
def test_a_segment_comes_back_to_the_stored_frames(tmp_path: Path, fit: str) -> None:
    """The scores are the volume itself: what is marked must be what was bright, voxel by voxel."""
    shape, spacing = (10, 24, 20), (2.0, 1.0, 1.0)
    stored = np.zeros(shape, np.uint16)
    stored[3:7, 6:18, 5:11] = 255
    tensor = {"tile": (4, 16, 16), "pad-crop": (12, 32, 32), "squash": shape}[fit]
    changes = {} if fit == "squash" else {"spacing": list(spacing)}
    network = model(
        [helper.make_node("Identity", ["volume"], ["output"])], {}, {"volume": (1, 1, *tensor)},
        {"output": (1, 1, *tensor)},
    )  # fmt: skip
    segment = {
        "index": 0,
        "name": "solid",
        "code": code("solid"),
        "category": code("c"),
        "type": code("t"),
        "threshold": 0.5,
    }
    made = package(
        tmp_path / "p", network, task="segment", inputs=[], volumes=[volume_input(fit, tensor, **changes)],
        outputs=[{"tensor": "output", "activation": "none", "segments": [segment]}],
    )  # fmt: skip
    image = enhanced(stored, spacing)
    (found,) = seen(made, image).segments
    assert [mask.frame for mask in found.masks] == [4, 5, 6, 7]  # the frames lie upside down
    for mask in found.masks:
        bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), bitorder="little")[: 24 * 20].reshape(24, 20)
        assert mask.source == image.SOPInstanceUID
        assert np.array_equal(bits, stored[10 - (mask.frame or 0)] > 0)


def test_specks_and_other_classes_are_no_segment(tmp_path: Path) -> None:
    """Softmax over two channels of a plane; the mask lies on the stored pixels of a letterboxed frame."""
    nodes = [
        helper.make_node("Sub", ["half", "input"], ["dark"]),
        helper.make_node("Sub", ["input", "half"], ["bright"]),
        helper.make_node("Concat", ["dark", "bright"], ["pair"], axis=1),
        helper.make_node("Mul", ["pair", "steep"], ["output"]),
    ]
    constants = {"half": np.array(0.5, np.float32), "steep": np.array(30, np.float32)}
    network = model(nodes, constants, {"input": (1, 1, 32, 32)}, {"output": (1, 2, 32, 32)})
    segment = {"index": 1, "name": "bright", "code": code("s"), "category": code("c"), "type": code("t"),
               "threshold": 0.5, "min_pixels": 20}  # fmt: skip
    letterbox = frame_input((1, 1, 32, 32))
    letterbox["preprocess"]["resize"] = {"mode": "letterbox", "filter": "area"}
    made = package(
        tmp_path / "p", network, task="segment", inputs=[letterbox],
        outputs=[{"tensor": "output", "activation": "softmax", "segments": [segment]}],
    )  # fmt: skip
    pixels = np.zeros((64, 128), np.uint8)
    pixels[16:40, 32:96] = 255
    pixels[56:60, 120:124] = 255
    (found,) = seen(made, chest_dx(pixels)).segments
    (mask,) = found.masks
    bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), bitorder="little").reshape(64, 128)
    pixels[56:60] = 0
    assert (mask.frame, mask.rows, mask.columns) == (None, 64, 128)
    assert (bits != pixels // 255).mean() < 0.02
    assert not bits[50:].any()
