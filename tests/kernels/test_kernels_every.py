"""One contract for every kernel: layouts, edges of shapes and values, `out=`, threads, refusals, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernels
from kernels import GrayscaleTransform, ResamplePlan

U8, U16, S16, F32 = np.uint8, np.uint16, np.int16, np.float32
STORED, ANY = (U8, U16, S16), (U8, U16, S16, np.int32, np.uint32, F32, np.float64)
WINDOWS = [GrayscaleTransform.window(100, 180), GrayscaleTransform.window(100, 180, "SIGMOID", signed=True)]


@dataclass(frozen=True)
class Every:
    """A kernel as the contract sees it: `run(array, **more)` gives arrays or numbers."""

    run: Callable[..., Any]
    dtypes: tuple[Any, ...]
    axes: int = 2
    out: Callable[[np.ndarray], np.ndarray] | None = None
    prepare: Callable[[np.ndarray], Any] = lambda array: array
    copies_columns: bool = False  # strided columns are copied first, and documented to be


def plan(array: np.ndarray) -> ResamplePlan:
    return ResamplePlan(array.shape[-2:], (24, 17))


def rle(array: np.ndarray) -> tuple[bytes, tuple[int, ...], Any]:
    """A frame in literal runs (PS3.5 annex G), most significant bytes first."""
    planes = np.ascontiguousarray(array).view(U8).reshape(-1, array.itemsize).T[::-1]
    segments = [
        b"".join(bytes([len(part) - 1]) + part for part in (p[i : i + 128] for i in range(0, len(p), 128)))
        for p in (plane.tobytes() for plane in planes)
    ]
    starts = np.zeros(16, "<u4")
    starts[0], starts[1 : len(segments) + 1] = len(segments), 64 + np.cumsum([0, *map(len, segments[:-1])])
    return starts.tobytes() + b"".join(segments), array.shape, array.dtype


def like(array: np.ndarray) -> np.ndarray:
    return np.empty(array.shape, array.dtype)


def tensor(*shape: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.empty(shape, F32)


EVERY = {
    "frame_to_tensor": Every(
        lambda a, **k: kernels.frame_to_tensor(a, WINDOWS[0], plan(a), **k), ANY, out=tensor(1, 1, 24, 17)
    ),
    "frame_to_tensor, table": Every(
        lambda a, **k: kernels.frame_to_tensor(a, WINDOWS[1], plan(a), **k), ANY, out=tensor(1, 1, 24, 17)
    ),
    "multiwindow_to_tensor": Every(
        lambda a, **k: kernels.multiwindow_to_tensor(a, WINDOWS, plan(a), **k),
        ANY,
        3,
        lambda a: np.empty((len(a), 2, 24, 17), F32),
    ),
    "colour_to_tensor": Every(
        lambda a, **k: kernels.colour_to_tensor(a, kernels.Palette(np.arange(768).reshape(256, 3) % 256), plan(a), **k),
        (U8, U16),
        out=tensor(1, 3, 24, 17),
    ),
    "volume_resample": Every(
        lambda a, **k: kernels.volume_resample(a, (1, 1, 1), (2, 1.6, 1.3), **k),
        ANY,
        3,
        lambda a: np.empty(kernels.VolumeGrid(a.shape, (1, 1, 1), (2, 1.6, 1.3)).out_shape, F32),
    ),
    "heatmap_components": Every(lambda a, **k: kernels.heatmap_components(a, 240, **k), ANY),
    "heatmap_components, 3D": Every(lambda a, **k: kernels.heatmap_components(a, 240, **k), ANY, 3),
    "mask_components": Every(lambda a, **k: kernels.mask_components(a, a, **k), ANY),
    "component_contours": Every(
        lambda a: np.concatenate(kernels.component_contours(a, 240, kernels.heatmap_components(a, 240)) or [a[:0]]), ANY
    ),
    "clahe": Every(kernels.clahe, (U8, U16), out=like, copies_columns=True),
    "equalize_histogram": Every(kernels.equalize_histogram, (U8, U16), out=like, copies_columns=True),
    "percentile_window": Every(kernels.percentile_window, STORED, copies_columns=True),
    "median_filter": Every(kernels.median_filter, (*STORED, F32), out=like, copies_columns=True),
    "bilateral_filter": Every(kernels.bilateral_filter, (*STORED, F32), out=like, copies_columns=True),
    "align": Every(lambda a, **k: kernels.align(a, crop=True, **k).frame, STORED, copies_columns=True),
    "polarity": Every(lambda a, **k: kernels.polarity(a, WINDOWS[0], **k), STORED, copies_columns=True),
    "rle_decode": Every(lambda a, **k: kernels.rle_decode(*a, **k), STORED, out=like, prepare=rle),
}
ELSEWHERE = {
    "build",  # no kernel
    "non_local_means",  # too slow for this table: test_kernels_denoise
}
CASES = [pytest.param(name, dtype, id=f"{name} {np.dtype(dtype)}") for name, e in EVERY.items() for dtype in e.dtypes]
NAMES = pytest.mark.parametrize("name", EVERY)


def image(name: str, dtype: Any, shape: tuple[int, ...] = (53, 61)) -> np.ndarray:
    shape = (3, *shape) if EVERY[name].axes == 3 else shape
    return np.random.default_rng(5).integers(0, 250, shape).astype(dtype)


def run(name: str, array: np.ndarray, **more: Any) -> np.ndarray:
    every = EVERY[name]
    return np.asarray(every.run(every.prepare(array), **more))


def unaligned(array: np.ndarray) -> np.ndarray:
    return np.ndarray(array.shape, array.dtype, np.frombuffer(b"\0" + array.tobytes(), U8), 1)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "crop": lambda big: big[..., 3:50, 2:55],
    "every second": lambda big: big[..., ::2, ::2],
    "upside down": lambda big: big[..., ::-1, :],
    "mirrored": lambda big: big[..., ::-1],
    "turned": lambda big: np.ascontiguousarray(big.swapaxes(-1, -2)).swapaxes(-1, -2),
    "unaligned": unaligned,
    "other byte order": lambda big: big.astype(big.dtype.newbyteorder()),
}


def test_every_public_kernel_is_here() -> None:
    public = {name for name in kernels.__all__ if name.islower()}
    assert public == {name.partition(",")[0] for name in EVERY} | ELSEWHERE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_layout_does_not_matter_and_nothing_is_written(name: str, dtype: Any, layout: str) -> None:
    array = LAYOUTS[layout](image(name, dtype))
    plain = np.array(array, dtype, order="C")
    array.setflags(write=False)
    if name == "rle_decode":
        array = plain  # bytes have no layout
    if name == "colour_to_tensor" and not array.dtype.isnative:
        with pytest.raises(ValueError, match=r"^frame: "):
            run(name, array)
        return
    # Samples of another byte order become display values one by one, and columns backwards have the other weight.
    same = array.dtype.isnative and not (name == "volume_resample" and layout == "mirrored")
    shown, expected = run(name, array), run(name, plain)
    if same or shown.dtype.kind == "V":
        np.testing.assert_array_equal(shown, expected)
    else:
        np.testing.assert_allclose(shown, expected, rtol=0, atol=2e-6 if name != "volume_resample" else 1e-4)
    np.testing.assert_array_equal(array, plain)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_thin_frames_and_extreme_values(name: str, dtype: Any, shape: tuple[int, int]) -> None:
    array = image(name, dtype, shape)
    if np.dtype(dtype).kind in "iu" and name != "colour_to_tensor":
        limits = np.iinfo(dtype)
        array.reshape(-1)[::2], array.reshape(-1)[1::3] = limits.max, limits.min
    shown = run(name, array)
    assert shown.dtype.kind == "V" or np.isfinite(shown).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
@NAMES
def test_an_empty_frame_is_refused_by_name(name: str, shape: tuple[int, int]) -> None:
    array = image(name, EVERY[name].dtypes[0], shape)
    with pytest.raises(ValueError, match=r"^(in_shape|frame|heatmap|mask|volume|image|shape|data): "):
        run(name, array)


@pytest.mark.parametrize("dtype", [np.complex64, "U3", "M8[s]"])
@NAMES
def test_what_is_no_number_is_refused_by_name(name: str, dtype: Any) -> None:
    array = np.zeros((3, 9, 8) if EVERY[name].axes == 3 else (9, 8), dtype)
    with pytest.raises(ValueError, match=r"^(frame|heatmap|mask|volume|image|dtype|data): "):
        run(name, array)


@pytest.mark.parametrize(("name", "dtype"), [case for case in CASES if np.dtype(case.values[1]).kind == "f"])
def test_nan_and_infinity_are_shown_or_refused_by_name(name: str, dtype: Any) -> None:
    array = image(name, dtype)
    array[..., 3, 4], array[..., 5, 6], array[..., 7, 8] = np.nan, np.inf, -np.inf
    try:
        first = run(name, array)
    except ValueError as refused:
        assert str(refused).startswith("frame: ")  # noqa: PT017 - either answer keeps the promise
        return
    assert first.tobytes() == run(name, array).tobytes()
    if name.startswith(("frame", "multi")):
        assert np.isfinite(first).all()


@pytest.mark.parametrize(("name", "dtype"), [case for case in CASES if EVERY[case.values[0]].out])
def test_out_is_overwritten_and_returned(name: str, dtype: Any) -> None:
    every, array = EVERY[name], image(name, dtype)
    assert every.out is not None
    out = every.out(array)
    out[...] = 77
    assert every.run(every.prepare(array), out=out) is out
    np.testing.assert_array_equal(out, run(name, array))
    for unfit in (out[..., :-1], out.astype(np.complex64), np.asfortranarray(out) if out.ndim > 1 else out[::2]):
        with pytest.raises(ValueError, match=r"^out: "):
            every.run(every.prepare(array), out=unfit)
    out.setflags(write=False)
    with pytest.raises(ValueError, match=r"^out: "):
        every.run(every.prepare(array), out=out)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "component_contours"])
def test_threads_change_no_bit(name: str) -> None:
    array = image(name, EVERY[name].dtypes[0], (1100, 900) if EVERY[name].axes == 2 else (700, 500))
    np.testing.assert_array_equal(run(name, array, num_threads=3), run(name, array))
    with pytest.raises(ValueError, match=r"^num_threads: "):
        run(name, array, num_threads=0)


def _peaks() -> dict[str, float]:
    """Of each kernel and type, in a process of its own: most memory in use at once beyond inputs and `out`, as a share
    of the input. Of everything that asks for pages, whoever asks."""

    def resident(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024

    shares = {}
    for name, every in EVERY.items():
        for dtype in every.dtypes:
            array = image(name, dtype, (3000, 2600) if every.axes == 2 else (1600, 1600))
            array[array > 240] = 100  # a mask of noise would be all records
            array[..., 100:300, 200:500] = 249
            given, out = every.prepare(array), {}
            if every.out is not None:
                out["out"] = every.out(array)
                out["out"][...] = 1
            small = image(name, dtype)
            every.run(every.prepare(small))
            for layout in ("plain",) if name == "rle_decode" or every.copies_columns else ("plain", "mirrored"):
                view = given if layout == "plain" else given[..., ::-1]
                Path("/proc/self/clear_refs").write_text("5")
                before = resident("VmRSS")
                every.run(view, **out)
                shares[f"{name} {np.dtype(dtype)} {layout}"] = (resident("VmHWM") - before) / array.nbytes
    return shares


@pytest.mark.slow
def test_peak_memory_is_less_than_a_twentieth_of_the_input() -> None:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not tell a process its own peak")
    code = (
        "import sys, json; sys.path[:0] = ['tests/kernels']; import test_kernels_every as t; "
        "print(json.dumps(t._peaks()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False,
        cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    over = {name: round(share, 3) for name, share in json.loads(done.stdout).items() if share >= 0.05}
    assert not over
