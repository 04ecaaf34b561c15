"""`FrameKernel` and `multiwindow_to_tensor`: prepared once, called often, by many, with little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import (
    FrameKernel,
    GrayscaleTransform,
    Palette,
    ResamplePlan,
    colour_to_tensor,
    frame_to_tensor,
    multiwindow_to_tensor,
    reference,
)

WINDOW = GrayscaleTransform.window(2000, 3000)
SIGMOID = GrayscaleTransform.window(2000, 3000, "SIGMOID")


def frames(count: int, shape: tuple[int, ...], dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4000 if dtype != np.uint8 else 255, (count, *shape)).astype(dtype)


@pytest.mark.parametrize("transform", [WINDOW, SIGMOID], ids=["clip", "table"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.int64, np.longlong, ">u2", ">f8"])
def test_a_prepared_kernel_gives_the_same_bits(transform: GrayscaleTransform, dtype: Any) -> None:
    stack, plan = frames(5, (90, 70), dtype), ResamplePlan((90, 70), (31, 29), mode="letterbox")
    options: dict[str, Any] = {"mean": 0.5, "std": 0.25, "channels": 3, "pad_value": 0.1}
    kernel = FrameKernel(transform, plan, dtype, **options)
    out = np.empty((1, 3, 31, 29), np.float32)
    for frame in stack:
        assert kernel(frame, out) is out
        np.testing.assert_array_equal(out, frame_to_tensor(frame, transform, plan, **options))
    together = kernel(stack)
    np.testing.assert_array_equal(together[3], kernel(stack[3])[0])
    np.testing.assert_array_equal(kernel(stack, num_threads=3), together)


def test_one_kernel_may_be_called_by_many_threads_at_once() -> None:
    stack, plan = frames(24, (400, 300)), ResamplePlan((400, 300), (64, 64))
    kernel = FrameKernel(WINDOW, plan)
    expected = [kernel(frame) for frame in stack]
    with ThreadPoolExecutor(8) as pool:
        for tensor, one in zip(pool.map(kernel, stack), expected, strict=True):
            np.testing.assert_array_equal(tensor, one)


@pytest.mark.parametrize(
    ("name", "frame", "out"),
    [
        ("frame", np.zeros((8, 9), np.uint16), None),
        ("frame", np.zeros((9, 8), np.uint8), None),
        ("frame", np.zeros((2, 2, 9, 8), np.uint16), None),
        ("out", np.zeros((9, 8), np.uint16), np.empty((2, 1, 4, 4), np.float32)),
        ("out", np.zeros((2, 9, 8), np.uint16), np.empty((1, 1, 4, 4), np.float32)),
    ],
)
def test_a_call_names_the_argument(name: str, frame: np.ndarray, out: np.ndarray | None) -> None:
    kernel = FrameKernel(WINDOW, ResamplePlan((9, 8), (4, 4)))
    with pytest.raises(ValueError, match=rf"^{name}: "):
        kernel(frame, out)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 50), st.integers(1, 90)),
    out_shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    windows=st.lists(st.tuples(st.integers(-500, 500), st.integers(2, 2000)), min_size=1, max_size=4),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    kind=st.sampled_from(["area", "triangle", "linear"]),
    dtype=st.sampled_from([np.int16, np.uint16, np.uint8, np.int32, ">i2"]),
)
def test_windows_are_those_of_the_oracle(
    shape: Any, out_shape: Any, windows: Any, function: Any, kind: Any, dtype: Any
) -> None:
    limits = np.iinfo(np.int16 if np.dtype(dtype).kind == "i" else dtype)
    volume = np.random.default_rng(2).integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    arguments = [{"center": c, "width": w, "function": function, "intercept": -1024.0} for c, w in windows]
    signed = limits.min < 0
    transforms = [GrayscaleTransform.window(**each, signed=signed) for each in arguments]
    means = [0.1 * n for n in range(len(windows))]
    tensor = multiwindow_to_tensor(volume, transforms, ResamplePlan(shape[1:], out_shape, kind), mean=means)
    expected = reference.multiwindow(volume, arguments, out_shape, kind=kind)
    np.testing.assert_allclose(tensor, expected - np.reshape(means, (1, -1, 1, 1)), rtol=0, atol=2e-6)


def test_windows_golden() -> None:
    volume = np.array([[[-1000, -200], [40, 400]]], np.int16)
    windows = [GrayscaleTransform.window(*w, signed=True) for w in ((-600, 1500), (40, 400), (300, 1500))]
    tensor = multiwindow_to_tensor(volume, windows, ResamplePlan((2, 2), (2, 2)))
    expected = [[0.233489, 0.767178, 0.927285, 1], [0, 0, 0.501253, 1], [0, 0.166778, 0.326885, 0.567045]]
    np.testing.assert_allclose(tensor.reshape(3, 4), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("volume", {"volume": np.zeros((4, 4), np.int16)}),
        ("volume", {"volume": np.zeros((2, 4, 5), np.int16)}),
        ("windows", {"windows": []}),
        ("mean", {"mean": [0.1, 0.2, 0.3]}),
        ("out", {"out": np.empty((2, 1, 2, 2), np.float32)}),
    ],
)
def test_multiwindow_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    given_ = {
        "volume": np.zeros((2, 4, 4), np.int16),
        "windows": [WINDOW, WINDOW],
        "plan": ResamplePlan((4, 4), (2, 2)),
    }
    with pytest.raises(ValueError, match=rf"^{name}: "):
        multiwindow_to_tensor(**{**given_, **arguments})


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call held at once beyond what there was before."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda frame: frame,
    "crop": lambda frame: frame[3:, 5:],
    "mirrored": lambda frame: frame[:, ::-1],
    "upside down": lambda frame: frame[::-1],
    "turned": lambda frame: frame.swapaxes(0, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float64])
@pytest.mark.parametrize("out_shape", [(128, 128), (1, 1)])
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_little_memory_beyond_the_input(layout: str, dtype: Any, out_shape: Any, function: Any) -> None:
    transform = GrayscaleTransform.window(2000, 3000, function, signed=np.dtype(dtype).kind == "i")
    frame = LAYOUTS[layout](frames(1, (2000, 2000), dtype)[0])
    plan = ResamplePlan(frame.shape, out_shape)
    out = np.empty((1, 1, *out_shape), np.float32)
    assert peak(lambda: frame_to_tensor(frame, transform, plan, out=out)) < 0.05 * frame.nbytes


@pytest.mark.parametrize("colour", ["YBR_FULL", "PALETTE", "RGB"])
def test_colour_takes_little_memory_too(colour: str) -> None:
    shape = (2500, 2500) if colour == "PALETTE" else (2500, 2500, 3)
    frame = frames(1, shape, np.uint8)[0]
    turn: Any = Palette(np.zeros((256, 3))) if colour == "PALETTE" else colour
    plan, out = ResamplePlan((2500, 2500), (64, 64)), np.empty((1, 3, 64, 64), np.float32)
    assert peak(lambda: colour_to_tensor(frame, turn, plan, out=out)) < 0.05 * frame.nbytes
