"""`volume_resample` against its oracle, and `VolumeGrid`'s way there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import VolumeGrid, reference_volume, volume_resample

DTYPES = (np.uint8, np.uint16, np.int16, np.float32)
AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
FEET_FIRST, OBLIQUE, SLICES_SIDEWAYS = (-1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0, 1, 0, 1, 0)
ORIENTATIONS = (None, AXIAL, CORONAL, SAGITTAL, FEET_FIRST, OBLIQUE, SLICES_SIDEWAYS)

sides = st.integers(1, 40)
lengths = st.sampled_from([0.31, 0.5, 0.7, 1.0, 1.5, 3.0])


def volume_of(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if dtype is np.float32:
        return random.normal(0, 500, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def ct(shape: tuple[int, int, int]) -> np.ndarray:
    """A phantom in HU: air, soft tissue, lung, bone, noise."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    distance = np.hypot(y - shape[1] / 2, x - shape[2] / 2) * 512 / max(shape)
    body = np.where(distance < 190, 40, -1000) + np.where(distance < 60, -750, 0)
    bone = np.where(np.abs(distance - 150) < 6, 600, 0)
    noise = np.random.default_rng(1).normal(0, 25, shape)
    return np.clip(body + bone + 30 * np.sin(z / 9) * np.sin(x / 20) + noise, -1024, 3071).astype(np.int16)


@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(sides, sides, st.integers(1, 90)),
    dtype=st.sampled_from(DTYPES),
    spacing=st.tuples(lengths, lengths, lengths),
    new_spacing=st.tuples(lengths, lengths, lengths),
    orientation=st.sampled_from(ORIENTATIONS),
    rescale=st.sampled_from([(1.0, 0.0), (1.0, -1024.0), (-0.5, 3.0)]),
)
def test_any_volume_any_grid(
    shape: Any, dtype: Any, spacing: Any, new_spacing: Any, orientation: Any, rescale: Any
) -> None:
    volume = volume_of(shape, dtype)
    slope, intercept = rescale
    options = {"orientation": orientation, "slope": slope, "intercept": intercept}
    resampled = volume_resample(volume, spacing, new_spacing, **options)
    expected = reference_volume.volume_resample(volume, spacing, new_spacing, **options)
    assert resampled.shape == VolumeGrid(shape, spacing, new_spacing, orientation).out_shape
    limit = 4e-7 * (np.ptp(volume.astype(np.float64)) * abs(slope) + np.abs(expected).max())
    np.testing.assert_allclose(resampled, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("intercept", [0, -1024])
def test_a_ct_keeps_its_hounsfield_units(intercept: int) -> None:
    volume = ct((40, 256, 256))
    stored = volume if intercept == 0 else (volume - intercept).astype(np.uint16)
    resampled = volume_resample(stored, (1.5, 0.7, 0.7), (1, 1, 1), intercept=intercept)
    expected = reference_volume.volume_resample(volume, (1.5, 0.7, 0.7), (1, 1, 1))
    assert np.abs(resampled - expected).max() <= 1.2e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 65])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.4, 1.9, 2.1, 5.0])
def test_every_length_of_a_row(dtype: Any, size: int, ratio: float) -> None:
    volume = volume_of((3, 4, size), dtype)
    resampled = volume_resample(volume, (1, 1, 1), (1, 1, ratio))
    expected = reference_volume.volume_resample(volume, (1, 1, 1), (1, 1, ratio))
    np.testing.assert_allclose(resampled, expected, rtol=0, atol=4e-7 * np.ptp(volume.astype(np.float64)) + 1e-3)


def test_the_same_spacing_gives_the_same_voxels() -> None:
    volume = volume_of((7, 33, 70), np.int16)
    np.testing.assert_array_equal(volume_resample(volume, (2, 1, 1), (2, 1, 1)), volume.astype(np.float32))


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, FEET_FIRST, SLICES_SIDEWAYS])
def test_one_patient_looks_the_same_however_it_was_cut(orientation: Any) -> None:
    """A body given by head, back and left is cut into slices along `orientation`; resampling finds it again."""
    body = volume_of((12, 10, 8), np.int16)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    stored = body
    order = []
    for direction in (np.cross(row, column), column, row):
        axis = 2 - int(np.abs(direction).argmax())
        order.append(axis)
        if direction.sum() < 0:
            stored = np.flip(stored, axis)
    found = volume_resample(stored.transpose(order), (1, 1, 1), (1, 1, 1), orientation=orientation)
    np.testing.assert_array_equal(found, body)


@given(
    shape=st.tuples(sides, sides, sides),
    spacing=st.tuples(lengths, lengths, lengths),
    new_spacing=st.tuples(lengths, lengths, lengths),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_points_come_back(shape: Any, spacing: Any, new_spacing: Any, orientation: Any) -> None:
    grid = VolumeGrid(shape, spacing, new_spacing, orientation)
    points = np.random.default_rng(0).uniform(-5, 50, (6, 3))
    np.testing.assert_allclose(grid.to_resampled(grid.to_stored(points)), points, atol=1e-9)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_bright_voxel_is_found_where_it_was_stored(orientation: Any) -> None:
    volume = np.zeros((20, 30, 40), np.uint16)
    volume[13, 9, 27] = 1000
    grid = VolumeGrid(volume.shape, (2, 1, 1), (0.7, 0.7, 0.7), orientation)
    resampled = volume_resample(volume, (2, 1, 1), (0.7, 0.7, 0.7), orientation=orientation)
    z, y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in resampled.shape), indexing="ij")
    centre = [float((resampled * axis).sum() / resampled.sum()) for axis in (x, y, z)]
    np.testing.assert_allclose(grid.to_stored(centre), [27.5, 9.5, 13.5], atol=0.2)


def test_nan_reaches_the_next_voxel_and_no_other() -> None:
    volume = volume_of((9, 40, 80), np.float32)
    volume[4, 20, 40] = np.nan
    lost = np.argwhere(np.isnan(volume_resample(volume, (1, 1, 1), (1, 1, 1))))
    assert np.abs(lost - [4, 20, 40]).max() <= 1
    assert [4, 20, 40] in lost.tolist()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("volume", {"volume": np.zeros((4, 5), np.int16)}),
        ("volume", {"volume": np.zeros((0, 4, 5), np.int16)}),
        ("volume", {"volume": np.zeros((3, 4, 5), np.complex64)}),
        ("spacing", {"spacing": (1, 0, 1)}),
        ("spacing", {"spacing": (1, 1)}),
        ("new_spacing", {"new_spacing": (1, float("nan"), 1)}),
        ("orientation", {"orientation": (1, 0, 0, 1, 0, 0)}),
        ("orientation", {"orientation": (2, 0, 0, 0, 1, 0)}),
        ("orientation", {"orientation": (1, 0, 0)}),
        ("orientation", {"orientation": (1, 0, 0, 0, float("nan"), 0)}),
        ("slope", {"slope": 0}),
        ("intercept", {"intercept": float("inf")}),
        ("num_threads", {"num_threads": 0}),
        ("out", {"out": np.zeros((3, 4, 5))}),
    ],
)
def test_volume_resample_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    given = {"volume": np.zeros((3, 4, 5), np.int16), "spacing": (1, 1, 1), "new_spacing": (1, 1, 1), **arguments}
    with pytest.raises(ValueError, match=rf"^{name}: "):
        volume_resample(**given)


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0, 2.0, 3.0, 4.0]]])
def test_points_must_be_triples(points: Any) -> None:
    with pytest.raises(ValueError, match=r"^points: "):
        VolumeGrid((3, 4, 5), (1, 1, 1), (1, 1, 1)).to_stored(points)
