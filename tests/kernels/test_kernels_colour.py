"""Colour frames against the oracle and pydicom: equations, subsampling, palettes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from kernels import Palette, ResamplePlan, colour_to_tensor, reference

LIMIT = 2e-6
BLUE = "BluePaletteColorLookupTableData"
shapes = st.tuples(st.integers(1, 40), st.integers(1, 60))


def as_is(frame: np.ndarray, colour: Any) -> np.ndarray:
    """What one frame becomes without resizing, 0..255 (rows, columns, 3)."""
    plan = ResamplePlan(frame.shape[:2], frame.shape[:2])
    return colour_to_tensor(frame, colour, plan, scale=255, layout="NHWC")[0]


def random_palette(count: int, bits: int, first: int = 0, seed: int = 0) -> Palette:
    return Palette(np.random.default_rng(seed).integers(0, 1 << bits, (count, 3)), first, bits)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), shape=shapes, out_shape=shapes, seed=st.integers(0, 9))
def test_any_colour_any_plan(data: st.DataObject, shape: Any, out_shape: Any, seed: int) -> None:
    kind = data.draw(st.sampled_from(["RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE"]))
    random, channels = np.random.default_rng(seed), data.draw(st.sampled_from([1, 3]))
    colour: Any = kind
    if kind == "PALETTE":
        dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
        colour = random_palette(data.draw(st.integers(1, 300)), data.draw(st.sampled_from([8, 16])), seed - 4)
        frame = random.integers(0, 400 if dtype is np.uint16 else 256, shape).astype(dtype)
        shown = reference.palette_to_rgb(frame, colour.entries, colour.first, colour.bits)
    elif kind == "YBR_FULL_422":
        shape = (shape[0], 2 * shape[1])
        frame = random.integers(0, 256, (*shape, 2), np.uint8)
        shown = reference.ybr_to_rgb(reference.ybr_422_to_ybr(frame)) / 255
    else:
        frame = random.integers(0, 256, (*shape, 3), np.uint8)
        shown = (frame if kind == "RGB" else reference.ybr_to_rgb(frame)) / 255
    options: Any = {"channels": channels, "layout": data.draw(st.sampled_from(["NCHW", "NHWC"])), "mean": 0.4}
    kind, mode = (
        data.draw(st.sampled_from(["area", "triangle", "linear"])),
        data.draw(st.sampled_from(["squash", "letterbox"])),
    )
    tensor = colour_to_tensor(frame, colour, ResamplePlan(shape, out_shape, kind, mode), **options)
    expected = reference.frame_to_tensor(shown, out_shape, kind, mode, **options)
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=LIMIT)


def test_every_ybr_colour_is_that_of_pydicom() -> None:
    """All of Y by a grid of Cb and Cr; pydicom computes in single precision and may differ at a half."""
    steps = np.r_[0:256:5, 255]
    ybr = (
        np.stack(np.meshgrid(np.arange(256), steps, steps, indexing="ij"), axis=-1).astype(np.uint8).reshape(256, -1, 3)
    )
    shown, theirs = as_is(ybr, "YBR_FULL"), convert_color_space(ybr, "YBR_FULL", "RGB")
    off = np.abs(np.rint(shown) - theirs)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-5
    np.testing.assert_allclose(shown, reference.ybr_to_rgb(ybr), atol=1)
    assert (np.rint(shown) != reference.ybr_to_rgb(ybr)).mean() < 1e-5


def test_subsampled_pairs_are_those_of_pydicom() -> None:
    stored = np.random.default_rng(1).integers(0, 256, (7, 12, 2), np.uint8)
    theirs = convert_color_space(reference.ybr_422_to_ybr(stored), "YBR_FULL_422", "RGB")
    np.testing.assert_allclose(as_is(stored, "YBR_FULL_422"), theirs, atol=1e-3)


@pytest.mark.parametrize(("bits", "first"), [(8, 0), (16, 0), (16, 100)])
def test_a_palette_is_that_of_pydicom(bits: int, first: int) -> None:
    entries = np.random.default_rng(2).integers(0, 1 << bits, (200, 3))
    dataset, attributes = Dataset(), {}
    for name, plane in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        keyword = f"{name}PaletteColorLookupTable"
        attributes[f"{keyword}Descriptor"] = [200, first, bits]
        attributes[f"{keyword}Data"] = plane.astype("<u2").tobytes()
    for keyword, value in attributes.items():
        dataset.add_new(keyword, "US" if keyword.endswith("Descriptor") else "OW", value)
    indices = np.arange(400, dtype=np.uint16).reshape(20, 20)
    palette = Palette.from_attributes(attributes)
    theirs = apply_color_lut(indices, dataset) / ((1 << bits) - 1)
    np.testing.assert_allclose(as_is(indices, palette) / 255, theirs, atol=1e-6)


def test_segments_are_expanded_as_the_standard_says() -> None:
    # Discrete 10 20; a line of four to 60; both once more: C.7.9.2.
    segments = [0, 2, 10, 20, 1, 4, 60, 2, 2, 0, 0]
    attributes: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [12, 0, 16]
        attributes[f"Segmented{name}PaletteColorLookupTableData"] = segments
    entries = Palette.from_attributes(attributes).entries[:, 0].tolist()
    assert entries == [10, 20, 30, 40, 50, 60, 10, 20, 30, 40, 50, 60]


def test_planes_are_read_where_they_are() -> None:
    planes = np.random.default_rng(3).integers(0, 256, (3, 30, 41), np.uint8)
    interleaved = np.ascontiguousarray(planes.transpose(1, 2, 0))
    for colour in ("RGB", "YBR_FULL"):
        np.testing.assert_array_equal(as_is(planes.transpose(1, 2, 0), colour), as_is(interleaved, colour))


@pytest.mark.parametrize(
    ("name", "frame", "colour"),
    [
        ("colour", np.zeros((4, 4, 3), np.uint8), "YBR_PARTIAL_420"),
        ("frame", np.zeros((4, 4, 3), np.uint16), "YBR_FULL"),
        ("colour", np.zeros((4, 5, 2), np.uint8), "YBR_FULL_422"),
        ("frame", np.zeros((4, 4, 3), np.float32), "RGB"),
        ("frame", np.zeros((4, 4, 3), np.uint8), "YBR_FULL_422"),
        ("frame", np.zeros((4, 4, 3), np.uint8), random_palette(4, 8)),
    ],
)
def test_a_wrong_argument_is_named(name: str, frame: np.ndarray, colour: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        as_is(frame, colour)


@pytest.mark.parametrize(
    ("keyword", "change"),
    [
        ("RedPaletteColorLookupTableDescriptor", {"RedPaletteColorLookupTableDescriptor": [4, 0]}),
        ("RedPaletteColorLookupTableDescriptor", {"RedPaletteColorLookupTableDescriptor": [4, 0, 12]}),
        ("RedPaletteColorLookupTableDescriptor", {"RedPaletteColorLookupTableDescriptor": [2, 0, 8]}),
        ("GreenPaletteColorLookupTableData", {"GreenPaletteColorLookupTableData": [1, 2, 3]}),
        ("GreenPaletteColorLookupTableData", {"GreenPaletteColorLookupTableData": [1, 2, 3, 256]}),
        ("SegmentedBluePalette", {f"{BLUE}": None, f"Segmented{BLUE}": [1, 4, 9]}),
        ("SegmentedBluePalette", {f"{BLUE}": None, f"Segmented{BLUE}": [0, 1, 9, 2, 9, 0, 0]}),
    ],
)
def test_a_broken_palette_names_the_keyword(keyword: str, change: dict[str, Any]) -> None:
    attributes: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        attributes[f"{name}PaletteColorLookupTableData"] = [1, 2, 3, 4]
    with pytest.raises(ValueError, match=rf"^{keyword}"):
        Palette.from_attributes(attributes | change)
