"""What every kernel promises, whatever it computes: inputs left alone, any memory layout, `out=`, threads, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor, multiwindow_to_tensor

DTYPES = (np.uint8, np.uint16, np.int16)
WINDOW = GrayscaleTransform.window(100, 180)
SIGMOID = GrayscaleTransform.window(100, 180, "SIGMOID", signed=True)


@dataclass(frozen=True)
class Kernel:
    """One kernel as the contract sees it."""

    run: Callable[..., np.ndarray]
    frame: Callable[[tuple[int, int], Any], np.ndarray]
    out_shape: tuple[int, ...]


def gray(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 250, shape).astype(dtype)


def colour(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    return np.random.default_rng(6).integers(0, 250, (*shape, 3)).astype(dtype)


def unaligned(frame: np.ndarray) -> np.ndarray:
    """The same frame one byte past an even address."""
    data = np.frombuffer(b"\0" + frame.tobytes(), np.uint8)
    return np.ndarray(frame.shape, frame.dtype, buffer=data, offset=1)


def resized(transform: GrayscaleTransform, **options: Any) -> Callable[..., np.ndarray]:
    def run(frame: np.ndarray, **more: Any) -> np.ndarray:
        plan = ResamplePlan(frame.shape[:2], (24, 17), filter="area", mode="letterbox")
        return frame_to_tensor(frame, transform, plan, mean=0.4, std=0.3, **options, **more)

    return run


def windowed(frame: np.ndarray, **more: Any) -> np.ndarray:
    """One slice through a window and a table, as two channels."""
    plan = ResamplePlan(frame.shape[:2], (24, 17), filter="area", mode="letterbox")
    return multiwindow_to_tensor(frame[None], [WINDOW, SIGMOID], plan, mean=0.4, std=0.3, **more)


KERNELS = {
    "clip": Kernel(resized(WINDOW), gray, (1, 1, 24, 17)),
    "table": Kernel(resized(SIGMOID), gray, (1, 1, 24, 17)),
    "repeated": Kernel(resized(WINDOW, channels=3), gray, (1, 3, 24, 17)),
    "interleaved": Kernel(resized(WINDOW, channels=3, layout="NHWC"), gray, (1, 24, 17, 3)),
    "colour": Kernel(resized(WINDOW, channels=3), colour, (1, 3, 24, 17)),
    "colour table": Kernel(resized(SIGMOID, channels=3, layout="NHWC"), colour, (1, 24, 17, 3)),
    "luminance": Kernel(resized(WINDOW), colour, (1, 1, 24, 17)),
    "windows": Kernel(windowed, gray, (1, 2, 24, 17)),
}


@pytest.fixture(params=KERNELS, ids=lambda name: name.replace(" ", "-"))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return KERNELS[request.param]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gives_the_declared_tensor(kernel: Kernel, dtype: Any) -> None:
    tensor = kernel.run(kernel.frame((61, 53), dtype))
    assert tensor.dtype == np.float32
    assert tensor.shape == kernel.out_shape
    assert tensor.flags.c_contiguous
    assert np.isfinite(tensor).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint32, np.float32, np.float64, ">u2", np.bool_])
def test_other_types_are_converted_not_reinterpreted(kernel: Kernel, dtype: Any) -> None:
    frame = (kernel.frame((61, 53), np.int16) % 2).astype(dtype)
    np.testing.assert_allclose(kernel.run(frame), kernel.run(frame.astype(np.int16)), atol=4e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "view",
    [
        lambda big: big[3:64, 2:55],
        lambda big: big[::2, ::2][:61, :53],
        lambda big: big[60::-1, :53],
        lambda big: big[:61, 52::-1],
        lambda big: big.swapaxes(0, 1)[:61, :53],
        lambda big: unaligned(big[:61, :53]),
    ],
    ids=["crop", "every-second", "upside-down", "mirrored", "transposed", "unaligned"],
)
def test_memory_layout_does_not_matter(kernel: Kernel, dtype: Any, view: Callable[[np.ndarray], np.ndarray]) -> None:
    frame = view(kernel.frame((130, 130), dtype))
    np.testing.assert_array_equal(kernel.run(frame), kernel.run(np.array(frame, order="C")))


def test_reads_a_read_only_frame_and_leaves_it_alone(kernel: Kernel) -> None:
    frame = kernel.frame((61, 53), np.uint16)
    before = frame.copy()
    frame.setflags(write=False)
    kernel.run(frame)
    np.testing.assert_array_equal(frame, before)


def test_out_is_overwritten_and_returned(kernel: Kernel) -> None:
    frame = kernel.frame((61, 53), np.uint16)
    out = np.full(kernel.out_shape, np.nan, np.float32)
    assert kernel.run(frame, out=out) is out
    np.testing.assert_array_equal(out, kernel.run(frame))


@pytest.mark.parametrize("fault", ["shape", "dtype", "order", "read-only"])
def test_an_unfit_out_is_refused_by_name(kernel: Kernel, fault: str) -> None:
    out = np.zeros(kernel.out_shape, np.float32)
    if fault == "shape":
        out = np.zeros((2, *kernel.out_shape[1:]), np.float32)
    elif fault == "dtype":
        out = out.astype(np.float64)
    elif fault == "order":
        out = np.zeros((*kernel.out_shape[:2], *kernel.out_shape[2:][::-1]), np.float32).swapaxes(2, 3)
    else:
        out.setflags(write=False)
    with pytest.raises(ValueError, match=r"^out: "):
        kernel.run(kernel.frame((61, 53), np.uint16), out=out)


@pytest.mark.parametrize("num_threads", [2, 3, 64])
def test_threads_give_the_same_bits(kernel: Kernel, num_threads: int) -> None:
    frame = kernel.frame((1100, 900), np.uint16)
    np.testing.assert_array_equal(kernel.run(frame, num_threads=num_threads), kernel.run(frame))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_pixel_fills_the_box(kernel: Kernel, dtype: Any) -> None:
    frame = np.full_like(kernel.frame((1, 1), dtype), 130)
    tensor = kernel.run(frame)
    planes = tensor if tensor.shape[1] == 24 else tensor.transpose(0, 2, 3, 1)
    inside = planes[0, 3:20, :, :]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[0, 0], inside.shape), atol=1e-6)
    assert inside[0, 0, 0] > planes[0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_frame_is_refused_by_name(kernel: Kernel, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^in_shape: "):
        kernel.run(kernel.frame(shape, np.uint16))


def test_nan_is_shown_black_and_reaches_no_neighbour_beyond_the_filter(kernel: Kernel) -> None:
    frame = kernel.frame((61, 53), np.float32)
    black = frame.copy()
    frame[30, 20], black[30, 20] = np.nan, -1e6
    tensor = kernel.run(frame)
    assert np.isfinite(tensor).all()
    np.testing.assert_allclose(tensor, kernel.run(black), atol=2e-5)
