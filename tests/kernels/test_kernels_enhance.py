"""CLAHE, equalisation and percentile windows against their oracle, OpenCV and NumPy."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import GrayscaleTransform, clahe, equalize_histogram, percentile_window, reference_enhance

UNSIGNED = (np.uint8, np.uint16)
shapes = st.tuples(st.integers(1, 90), st.integers(1, 130))


def radiograph(shape: tuple[int, int], dtype: Any, seed: int = 0, top: int = 0) -> np.ndarray:
    """Smooth shapes, an edge and noise, up to `top` (default: all that the type holds)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    most = top or np.iinfo(dtype).max
    smooth = (np.sin(columns / 17 + seed) + np.cos(rows / 23) + 2) / 4 * most * 0.8
    edge = np.where((rows // 20 + columns // 20) % 3 == 0, most * 0.1, 0)
    noise = np.random.default_rng(seed).normal(0, most * 0.02, shape)
    return np.clip(smooth + edge + noise, 0, most).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(
    shape=shapes,
    dtype=st.sampled_from(UNSIGNED),
    tiles=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    clip_limit=st.sampled_from([0.0, 0.5, 2.0, 40.0]),
    bins=st.sampled_from([2, 7, 64, 256, 1000, 65536]),
    seed=st.integers(0, 9),
)
def test_clahe_of_any_frame(shape: Any, dtype: Any, tiles: Any, clip_limit: float, bins: int, seed: int) -> None:
    frame = radiograph(shape, dtype, seed, 4095 if dtype is np.uint16 else 255)
    value_range = (0, 255) if dtype is np.uint8 else (int(frame.min()), int(frame.max()))
    shown = clahe(frame, tiles, clip_limit, bins)
    expected = reference_enhance.clahe(frame, tiles, clip_limit, bins, value_range)
    assert shown.dtype == dtype
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1.51)


@pytest.mark.parametrize("shape", [(512, 512), (500, 512), (333, 517), (61, 53), (8, 8), (3, 700), (1, 1)])
@pytest.mark.parametrize("tiles", [(8, 8), (2, 5)])
@pytest.mark.parametrize("clip_limit", [0.0, 2.0, 4.0])
def test_clahe_of_8_bits_is_opencv_within_one_gray_level(shape: Any, tiles: Any, clip_limit: float) -> None:
    frame = radiograph(shape, np.uint8)
    theirs = cv2.createCLAHE(clip_limit, tiles[::-1]).apply(frame)
    assert np.abs(clahe(frame, tiles, clip_limit).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("shape", [(512, 512), (333, 517)])
def test_clahe_of_16_bits_with_every_bin_is_opencv_within_one_level(shape: Any) -> None:
    frame = radiograph(shape, np.uint16)
    theirs = cv2.createCLAHE(2.0, (8, 8)).apply(frame)
    ours = clahe(frame, (8, 8), 2.0, 65536, value_range=(0, 65535))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_fewer_bins_look_the_same() -> None:
    """Four grey values of a 12-bit image share a bin: on a display of 256 grey levels that is not seen."""
    frame = radiograph((512, 512), np.uint16, top=4095)
    exact, quick = (clahe(frame, (4, 4), 3.0, bins).astype(int) for bins in (4096, 1024))
    assert np.abs(exact - quick).mean() <= 65535 / 256
    assert np.corrcoef(exact.ravel(), quick.ravel())[0, 1] > 0.9999


def test_a_given_range_is_what_the_frame_has() -> None:
    frame = radiograph((100, 120), np.uint16, top=3000)
    given_range = (int(frame.min()), int(frame.max()))
    np.testing.assert_array_equal(clahe(frame, value_range=given_range), clahe(frame))
    clipped = np.clip(frame, 500, 2000)
    np.testing.assert_array_equal(clahe(frame, value_range=(500, 2000)), clahe(clipped, value_range=(500, 2000)))


@settings(max_examples=100, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(UNSIGNED), seed=st.integers(0, 9), top=st.sampled_from([1, 7, 200, 0]))
def test_equalisation_of_any_frame(shape: Any, dtype: Any, seed: int, top: int) -> None:
    frame = radiograph(shape, dtype, seed, top)
    expected = reference_enhance.equalize_histogram(frame)
    np.testing.assert_allclose(equalize_histogram(frame), expected, rtol=0, atol=0.501)


def test_equalisation_of_8_bits_is_opencv() -> None:
    frame = radiograph((333, 517), np.uint8)
    assert np.abs(equalize_histogram(frame).astype(int) - cv2.equalizeHist(frame)).max() <= 1


def test_equalisation_may_overwrite_its_frame() -> None:
    frame = radiograph((60, 70), np.uint16)
    expected = equalize_histogram(frame)
    np.testing.assert_array_equal(equalize_histogram(frame, out=frame), expected)


@settings(max_examples=150, deadline=None)
@given(
    shape=shapes,
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16]),
    seed=st.integers(0, 9),
    low=st.sampled_from([0, 0.5, 1, 33.3, 50]),
    high=st.sampled_from([50, 66.6, 99, 99.9, 100]),
)
def test_percentiles_are_those_of_numpy(shape: Any, dtype: Any, seed: int, low: float, high: float) -> None:
    limits = np.iinfo(dtype)
    frame = np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)
    window = percentile_window(frame, low, high)
    np.testing.assert_allclose(window, reference_enhance.percentile_window(frame, low, high), rtol=1e-12, atol=1e-9)


def test_a_percentile_window_shows_what_lies_between() -> None:
    frame = np.random.default_rng(0).normal(20000, 3000, (300, 300)).astype(np.uint16)
    shown = GrayscaleTransform.window(*percentile_window(frame, 1, 99), "LINEAR_EXACT").apply(frame)
    assert (shown <= 0).mean() == pytest.approx(0.01, abs=0.001)
    assert (shown >= 1).mean() == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_frame_of_one_value(value: int) -> None:
    frame = np.full((9, 11), value, np.uint16)
    np.testing.assert_array_equal(equalize_histogram(frame), frame)
    assert percentile_window(frame) == (value, 1.0)
    assert np.ptp(clahe(frame)) == 0


FRAME = radiograph((20, 30), np.uint16)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame", {"frame": np.zeros((3, 4), np.int16)}),
        ("frame", {"frame": np.zeros((3, 4), np.float32)}),
        ("frame", {"frame": np.zeros((3, 0), np.uint8)}),
        ("frame", {"frame": np.zeros((3, 4, 3), np.uint8)}),
        ("tiles", {"tiles": (0, 8)}),
        ("tiles", {"tiles": (8, 4000)}),
        ("tiles", {"tiles": (8,)}),
        ("clip_limit", {"clip_limit": -1.0}),
        ("clip_limit", {"clip_limit": float("nan")}),
        ("bins", {"bins": 1}),
        ("bins", {"bins": 65537}),
        ("value_range", {"value_range": (5, 4)}),
        ("value_range", {"value_range": (-1, 4)}),
        ("value_range", {"value_range": (0, 65536)}),
        ("out", {"out": np.zeros((20, 30), np.uint8)}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_clahe_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        clahe(**{"frame": FRAME, **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame", {"frame": np.zeros((3, 4), np.float64)}),
        ("low", {"low": -1}),
        ("low", {"low": float("nan")}),
        ("high", {"low": 50, "high": 49}),
        ("high", {"high": 101}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_percentile_window_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        percentile_window(**{"frame": FRAME, **arguments})


def test_a_wrong_frame_or_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"^frame: "):
        equalize_histogram(FRAME.astype(np.int32))
    with pytest.raises(ValueError, match=r"^out: "):
        clahe(FRAME, out=FRAME)
    with pytest.raises(ValueError, match=r"^out: "):
        equalize_histogram(FRAME, out=np.zeros((20, 60), np.uint16)[:, ::2])
