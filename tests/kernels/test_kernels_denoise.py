"""Noise filters against their oracles and OpenCV's own answers; and what they promise of their arguments."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import bilateral_filter, median_filter, non_local_means, reference_denoise

INTEGERS = (np.uint8, np.uint16, np.int16)
TYPES = (*INTEGERS, np.float32)
FILTERS = (median_filter, bilateral_filter, non_local_means)
shapes = st.tuples(st.integers(1, 60), st.integers(1, 40))


def noisy(shape: tuple[int, int], dtype: Any, seed: int = 0) -> np.ndarray:
    """An edge, a slope and noise, over much of what the type holds."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = 60 + columns * 1.5 + np.where((rows + columns) % 40 > 20, 60, 0)
    image = np.clip(image + np.random.default_rng(seed).normal(0, 6, shape), 0, 250)
    return (image * unit(dtype) - (12000 if dtype is np.int16 else 0)).astype(dtype)


def unit(dtype: Any) -> float:
    """One of 250 gray levels of `noisy`."""
    return 1.0 if dtype in (np.uint8, np.float32) else 100.0


@settings(max_examples=60, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(TYPES), size=st.sampled_from([3, 5]), seed=st.integers(0, 9))
def test_median_of_any_frame(shape: Any, dtype: Any, size: int, seed: int) -> None:
    frame = noisy(shape, dtype, seed)
    np.testing.assert_array_equal(median_filter(frame, size), reference_denoise.median_filter(frame, size))


@pytest.mark.parametrize("size", [7, 21])
def test_large_medians_of_8_bits(size: int) -> None:
    frame = noisy((90, 70), np.uint8)
    np.testing.assert_array_equal(median_filter(frame, size), reference_denoise.median_filter(frame, size))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(TYPES), diameter=st.sampled_from([3, 7]), seed=st.integers(0, 9))
def test_bilateral_of_any_frame(shape: Any, dtype: Any, diameter: int, seed: int) -> None:
    frame = noisy(shape, dtype, seed)
    sigma = 20.0 * unit(dtype)
    expected = reference_denoise.bilateral_filter(frame, diameter, sigma, 2.0)
    np.testing.assert_allclose(bilateral_filter(frame, diameter, sigma, 2.0), expected, rtol=0, atol=0.53)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(INTEGERS), seed=st.integers(0, 9))
def test_non_local_means_of_any_frame(shape: Any, dtype: Any, seed: int) -> None:
    frame = noisy(shape, dtype, seed)
    strength = 10.0 * unit(dtype)
    expected = reference_denoise.non_local_means(frame, strength, 5, 9, squared=dtype is np.uint8)
    np.testing.assert_allclose(non_local_means(frame, strength, 5, 9), expected, rtol=0, atol=0.55 + 0.05 * strength)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strips_are_not_seen(dtype: Any) -> None:
    """A frame of several strips is bit for bit what OpenCV makes of the whole."""
    frame = noisy((400, 60), dtype)
    norm = cv2.NORM_L2 if dtype is np.uint8 else cv2.NORM_L1
    whole = cv2.fastNlMeansDenoising(frame, [8.0], None, 5, 9, norm)
    np.testing.assert_array_equal(non_local_means(frame, 8.0, 5, 9), whole)
    smooth = np.rint(cv2.bilateralFilter(frame.astype(np.float32), 5, 20, 2))
    np.testing.assert_allclose(bilateral_filter(frame, 5, 20, 2), smooth, rtol=0, atol=1)


@pytest.mark.parametrize("run", FILTERS)
def test_noise_goes_and_the_edge_stays(run: Any) -> None:
    clean = np.full((80, 80), 8000, np.uint16)
    clean[:, 40:] = 30000
    frame = (clean + np.random.default_rng(1).normal(0, 300, clean.shape)).astype(np.uint16)
    options = {median_filter: (5,), bilateral_filter: (9, 2000.0, 3.0), non_local_means: (400.0,)}[run]
    shown = run(frame, *options).astype(float)
    assert shown[10:-10, 5:30].std() < 0.5 * frame[10:-10, 5:30].std()
    assert (shown[10:-10, 42] - shown[10:-10, 37]).min() > 20000


@pytest.mark.parametrize("run", FILTERS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_threads_give_the_same_bits(run: Any, dtype: Any) -> None:
    frame = noisy((300, 40), dtype)
    np.testing.assert_array_equal(run(frame, num_threads=5), run(frame))


@pytest.mark.parametrize("run", FILTERS)
@pytest.mark.parametrize(
    "view",
    [
        lambda big: big[3:64, 2:42],
        lambda big: big[::2, ::2],
        lambda big: big[::-1],
        lambda big: big[:, ::-1],
        lambda big: big.T,
        lambda big: big.astype(big.dtype.newbyteorder()),
    ],
    ids=["window", "every-second", "upside-down", "mirrored", "transposed", "other-endian"],
)
def test_any_layout_gives_the_same_and_the_frame_is_left_alone(run: Any, view: Any) -> None:
    frame = view(noisy((130, 84), np.uint16))
    frame.setflags(write=False)
    before = frame.copy()
    np.testing.assert_array_equal(run(frame), run(np.array(frame, np.uint16, order="C")))
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("run", FILTERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_frames(run: Any, shape: tuple[int, int]) -> None:
    assert (run(np.full(shape, 7, np.uint16)) == 7).all()


@pytest.mark.parametrize("run", FILTERS)
def test_out_is_overwritten_and_returned(run: Any) -> None:
    frame = noisy((61, 53), np.uint16)
    out = np.zeros_like(frame)
    assert run(frame, out=out) is out
    np.testing.assert_array_equal(out, run(frame))


@pytest.mark.parametrize("run", FILTERS)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame", {"frame": np.zeros((0, 4), np.uint8)}),
        ("frame", {"frame": np.zeros((3, 4, 3), np.uint8)}),
        ("frame", {"frame": np.zeros((3, 4), np.float64)}),
        ("frame", {"frame": np.zeros((3, 4), np.int32)}),
        ("out", {"out": np.zeros((4, 4), np.uint16)}),
        ("out", {"out": np.zeros((3, 4), np.uint8)}),
        ("out", {"out": np.zeros((3, 8), np.uint16)[:, ::2]}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_every_filter_names_the_argument(run: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        run(**{"frame": np.zeros((3, 4), np.uint16), **arguments})


@pytest.mark.parametrize(
    ("run", "name", "arguments"),
    [
        (median_filter, "size", {"size": 4}),
        (median_filter, "size", {"size": 1}),
        (median_filter, "size", {"size": 7}),  # uint16
        (median_filter, "frame", {"frame": np.full((3, 3), np.nan, np.float32)}),
        (bilateral_filter, "frame", {"frame": np.full((3, 3), np.inf, np.float32)}),
        (bilateral_filter, "diameter", {"diameter": 8}),
        (bilateral_filter, "sigma_value", {"sigma_value": 0.0}),
        (bilateral_filter, "sigma_space", {"sigma_space": float("nan")}),
        (non_local_means, "frame", {"frame": np.zeros((3, 3), np.float32)}),
        (non_local_means, "strength", {"strength": -1.0}),
        (non_local_means, "patch", {"patch": 2}),
        (non_local_means, "search", {"search": 65}),
    ],
)
def test_each_filter_names_its_own_argument(run: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        run(**{"frame": np.zeros((3, 4), np.uint16), **arguments})


@pytest.mark.parametrize("run", FILTERS)
def test_a_frame_is_not_its_own_output(run: Any) -> None:
    frame = noisy((20, 20), np.uint16)
    with pytest.raises(ValueError, match=r"^out: "):
        run(frame, out=frame)
