"""The fast path against the float64 oracle: everything that it can be asked for, and the answers that we promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor, reference

LIMIT = 2e-6
DTYPES = (np.uint8, np.uint16, np.int16)
FILTERS = ("area", "triangle", "linear")
MODES = ("squash", "letterbox", "centre-crop")
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())

sides = st.integers(1, 70)
shapes = st.tuples(sides, sides)


def frame_of(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


@settings(max_examples=250, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), shape=shapes, out_shape=shapes, colour=st.booleans())
def test_any_frame_any_plan(data: st.DataObject, dtype: Any, shape: Any, out_shape: Any, colour: bool) -> None:
    frame = frame_of((*shape, 3) if colour else shape, dtype, data.draw(st.integers(0, 9)))
    kind, mode = data.draw(st.sampled_from(FILTERS)), data.draw(st.sampled_from(MODES))
    ratio = data.draw(st.sampled_from([1.0, 0.7, 1.9]))
    channels = data.draw(st.sampled_from([1, 3] if colour else [1, 2, 3]))
    options = {
        "mean": data.draw(st.sampled_from([0.0, 0.5, [0.485, 0.456, 0.406][:channels]])),
        "std": data.draw(st.sampled_from([1.0, 0.25, [0.229, 0.224, 0.225][:channels]])),
        "channels": channels,
        "layout": data.draw(st.sampled_from(["NCHW", "NHWC"])),
        "pad_value": data.draw(st.sampled_from([0.0, 0.5])),
    }
    window = (data.draw(st.integers(-500, 500)), data.draw(st.integers(2, 3000)))
    function = data.draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    modality = (data.draw(st.sampled_from([1.0, -2.0, 0.37])), data.draw(st.sampled_from([0.0, -1024.0, 12.5])))
    invert = data.draw(st.booleans())
    transform = GrayscaleTransform.window(*window, function, *modality, invert=invert, signed=dtype is np.int16)
    plan = ResamplePlan(shape, out_shape, kind, mode, ratio)
    tensor = frame_to_tensor(frame, transform, plan, **options)
    shown = reference.window(frame, *window, function, *modality, invert=invert)
    expected = reference.frame_to_tensor(shown, out_shape, kind, mode, ratio, **options)
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=LIMIT / np.min(options["std"]))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, out_shape=shapes, kind=st.sampled_from(FILTERS), seed=st.integers(0, 9))
def test_a_constant_stays_constant(shape: Any, out_shape: Any, kind: Any, seed: int) -> None:
    level = 257 * seed
    tensor = frame_to_tensor(
        np.full(shape, level, np.uint16), GrayscaleTransform.full_range(), ResamplePlan(shape, out_shape, kind)
    )
    np.testing.assert_allclose(tensor, level / 65535, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_a_full_size_radiograph(kind: Any, function: Any) -> None:
    rows, columns = np.mgrid[0:3000, 0:2500]
    frame = ((np.sin(rows / 170) + np.cos(columns / 230) + 2) * 4000 + (rows * columns) % 97).astype(np.uint16)
    transform = GrayscaleTransform.window(7500, 9000, function, invert=True)
    tensor = frame_to_tensor(frame, transform, ResamplePlan(frame.shape, (512, 512), kind), mean=0.5, std=0.25)
    shown = reference.window(frame, 7500, 9000, function, invert=True)
    expected = reference.frame_to_tensor(shown, (512, 512), kind, mean=0.5, std=0.25)
    assert np.abs(tensor - expected).max() <= LIMIT * np.ptp(expected)


@pytest.mark.parametrize("low", [0, 32000, 65400])
@pytest.mark.parametrize("width", [2, 3, 40, 80.5])
def test_a_narrow_window_far_from_zero_keeps_its_digits(low: int, width: float) -> None:
    frame = low + np.random.default_rng(1).integers(0, 100, (40, 40)).astype(np.uint16)
    transform = GrayscaleTransform.window(low + 50.25, width)
    tensor = frame_to_tensor(frame, transform, ResamplePlan((40, 40), (9, 9)))
    expected = reference.frame_to_tensor(reference.window(frame, low + 50.25, width), (9, 9))
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=LIMIT)


@pytest.mark.parametrize(("center", "shade"), [(-1e6, 1.0), (1e6, 0.0)])
def test_a_window_beyond_all_values(center: float, shade: float) -> None:
    frame = frame_of((9, 9), np.uint16, 0)
    tensor = frame_to_tensor(frame, GrayscaleTransform.window(center, 100), ResamplePlan((9, 9), (4, 4)))
    np.testing.assert_array_equal(tensor, shade)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_answers(case: dict[str, Any]) -> None:
    frame = np.array(case["frame"], case["dtype"])
    transform = GrayscaleTransform.from_attributes(case["attributes"])
    plan = ResamplePlan(frame.shape[:2], **case["plan"])
    tensor = frame_to_tensor(frame, transform, plan, **case["options"])
    np.testing.assert_allclose(tensor, np.array(case["tensor"]), rtol=0, atol=LIMIT * np.ptp(case["tensor"]))
