"""`FrameKernel`: checks and preparation around the compiled loop; all kernels of frames are made of it.

One pass over the source: grayscale transform, separable resize, normalise, layout. Preparing validates and folds all
constants into one clip or table per transform and one affine map per channel; a call only hands two arrays over.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil, floor, inf, isfinite
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels import arguments
from kernels.dispatch import compiled
from kernels.grayscale import GrayscaleTransform
from kernels.palette import Palette
from kernels.resample import ResamplePlan, resampler

Layout = Literal["NCHW", "NHWC"]
Colour = Literal["RGB", "YBR_FULL", "YBR_FULL_422"] | Palette
PerChannel = float | Sequence[float] | NDArray[Any]

_NATIVE = {np.dtype(t): np.iinfo(t) for t in (np.uint8, np.uint16, np.int16)}
_SAMPLES_PER_THREAD = 1 << 18


class _Step(NamedTuple):
    """Display value = scale * x + offset, where x is what the loop makes of a sample with `numbers`.

    numbers: (base, range, low, high) for clip(sample - base, low, high), small numbers so that float32 keeps all
    digits; or (table, bias) for table[sample + bias], for every value of the sample type; or of other types the whole
    transform (low, high, a, b, table or None, bias).
    """

    numbers: tuple[Any, ...]
    scale: float
    offset: float


class _Normalisation(NamedTuple):
    """Tensor value = gain * display value + shift, per channel."""

    gain: list[float]
    shift: list[float]


class FrameKernel:
    """A transform, a plan and a normalisation, prepared for frames of one type: `tensor = kernel(frame, out)`.

    Parameters
    ----------
    transform : GrayscaleTransform, or several
        Stored value to 0..1; applied to each sample of an RGB frame. Of several, each makes `channels` / n channels.
    plan : ResamplePlan
    dtype : uint8, uint16, int16 or another numeric type
        Of the frames. Samples of other types are turned into display values one by one, which is slower.
    samples : {1, 3}
        Per pixel, as the transform sees it.
    colour : {"RGB", "YBR_FULL", "YBR_FULL_422"} or Palette
        How stored pixels become RGB, where samples are 3; `colour_to_tensor` says more.
    mean, std, scale, channels, layout, pad_value
        As in `frame_to_tensor`.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """

    __slots__ = ("_loop", "_rows", "dtype", "in_shape", "out_shape", "plan")

    def __init__(
        self,
        transform: GrayscaleTransform | Sequence[GrayscaleTransform],
        plan: ResamplePlan,
        dtype: DTypeLike = np.uint16,
        *,
        samples: int = 1,
        colour: Colour = "RGB",
        mean: PerChannel = 0.0,
        std: PerChannel = 1.0,
        scale: float = 1.0,
        channels: int = 1,
        layout: Layout = "NCHW",
        pad_value: float = 0.0,
    ) -> None:
        transforms = [transform] if isinstance(transform, GrayscaleTransform) else list(transform)
        self.plan, self.dtype = plan, np.dtype(dtype)
        stored = 2 if colour == "YBR_FULL_422" else 1 if isinstance(colour, Palette) else samples
        self.in_shape = plan.in_shape if stored == 1 else (*plan.in_shape, stored)
        _check(self.dtype, samples, channels, layout, pad_value, len(transforms))
        _check_colour(colour, self.dtype, samples, plan)
        rows, columns = plan.out_shape
        self.out_shape = (channels, rows, columns) if layout == "NCHW" else (rows, columns, channels)
        self._rows = resampler(plan)
        normalisation = _normalisation(mean, std, scale, channels)
        looped = np.dtype(np.uint16) if isinstance(colour, Palette) else self.dtype
        steps = [_step(looped, each) for each in transforms]
        by_channel = [step for step in steps for _ in range(channels // len(steps))]
        pairs = list(zip(*normalisation, by_channel, strict=True))
        self._loop = compiled("_frame").Loop(
            self._rows,
            np.empty(0, self.dtype).data.format[-1],
            samples,
            [step.numbers for step in steps],
            plan.in_shape[0],
            (channels, rows, columns),
            (int(plan.target_box.top), int(plan.target_box.left)),
            layout == "NHWC",
            array("f", [gain * step.scale for gain, _, step in pairs]),
            array("f", [gain * step.offset + shift for gain, shift, step in pairs]),
            array("f", [pad_value * gain + shift for gain, shift, _ in pairs]),
            (colour.entries, colour.first) if isinstance(colour, Palette) else colour,
            None if self.dtype in _NATIVE else arguments.sample_type(self.dtype),
        )

    def __call__(
        self, frame: NDArray[Any], out: NDArray[np.float32] | None = None, num_threads: int = 1
    ) -> NDArray[np.float32]:
        """The tensor of one frame (rows, columns[, 3]), or of a stack of them: (frames, *out_shape), float32.

        With `out` (C-contiguous) nothing is allocated. `num_threads` share one large frame or the stack.
        Raises ValueError naming the argument that does not fit.
        """
        if out is not None and num_threads == 1 and self._loop.run(frame, out, 0, self._rows.rows):
            return out
        return self._with_care(np.asarray(frame), out, num_threads)

    def _with_care(self, frame: NDArray[Any], out: NDArray[np.float32] | None, num_threads: int) -> NDArray[np.float32]:
        if num_threads < 1:
            raise ValueError(f"num_threads: {num_threads} must be at least 1")
        stacked = frame.ndim > len(self.in_shape)
        if frame.shape[int(stacked) :] != self.in_shape:
            raise ValueError(f"frame: shape {frame.shape} is not {self.in_shape}, or a stack of these")
        if frame.dtype != self.dtype:
            raise ValueError(f"frame: {frame.dtype} is not {self.dtype}, for which the kernel was prepared")
        frames = (frame if stacked else frame[None]).view(self.dtype)  # of types that are alike the very one
        tensor = _output(out, (len(frames), *self.out_shape))
        if not _in_parallel(self._loop.run, frames, tensor, num_threads, self._rows.rows):
            raise ValueError("frame: its memory cannot be read; try: numpy.ascontiguousarray(frame)")
        return tensor


def _in_parallel(run: Any, frames: NDArray[Any], tensor: NDArray[np.float32], num_threads: int, rows: int) -> bool:
    """`run` on all rows of all frames, in as many parts as threads pay: bands of one frame, or shares of a stack."""
    pieces = rows if len(frames) == 1 else len(frames)
    parts = max(1, min(num_threads, pieces, frames.size // _SAMPLES_PER_THREAD))
    if parts == 1:
        return bool(run(frames, tensor, 0, rows))
    edges = [pieces * i // parts for i in range(parts + 1)]

    def part(begin: int, end: int) -> bool:
        if len(frames) == 1:
            return bool(run(frames, tensor, begin, end))
        return bool(run(frames[begin:end], tensor[begin:end], 0, rows))

    with ThreadPoolExecutor(parts) as pool:
        return all(list(pool.map(part, edges[:-1], edges[1:])))


def _step(dtype: np.dtype[Any], transform: GrayscaleTransform) -> _Step:
    """What the loop does with native samples; of others it makes display values one by one."""
    limits = _NATIVE.get(dtype)
    if limits is None:
        numbers = (transform.lo, transform.hi, transform.a, transform.b, transform.lut, transform.bias)
        return _Step(numbers, 1.0, 0.0)
    least, most = int(limits.min), int(limits.max)
    return (
        _clip(transform, least, most) if transform.lut is None else _table(transform.lut, transform.bias, least, most)
    )


def _clip(transform: GrayscaleTransform, least: int, most: int) -> _Step:
    """The affine form with its clip inside what the sample type can hold, and the type moved up to begin at 0."""
    lo, hi, a, b = transform.lo, transform.hi, transform.a, transform.b
    if hi <= least or lo >= most:
        return _Step((0, 0, 0.0, 0.0), 0.0, a * (hi if hi <= least else lo) + b)
    lo, hi = max(lo, least), min(hi, most)
    base, shift = floor(lo), min(least, 0)
    return _Step((base - shift, ceil(hi) - base, lo - base, hi - base), a, a * base + b)


def _table(lut: NDArray[np.float32], bias: int, least: int, most: int) -> _Step:
    """The table form with an entry for every value that the sample type can hold: the loop does not check."""
    if bias != -least or len(lut) != most - least + 1:
        index = np.arange(least + bias, most + bias + 1, dtype=np.int32)
        lut = lut[np.clip(index, 0, len(lut) - 1, out=index)]
    return _Step((lut, -least), 1.0, 0.0)


def _check(dtype: np.dtype[Any], samples: int, channels: int, layout: str, pad_value: float, transforms: int) -> None:
    if dtype.kind not in "buif" or dtype.itemsize > 8 or (dtype.kind == "f" and dtype.itemsize < 4):
        raise ValueError(f"frame: {dtype} is neither a whole number nor a float of 32 or 64 bits")
    if samples not in (1, 3):
        raise ValueError(f"samples: {samples} is neither 1 nor 3")
    if transforms < 1:
        raise ValueError("transform: at least one is needed")
    if channels < 1 or channels % transforms or (samples == 3 and channels // transforms not in (1, 3)):
        raise ValueError(f"channels: {channels} is not possible for {transforms} x {samples} sample(s) per pixel")
    if layout not in get_args(Layout):
        raise ValueError(f"layout: {layout!r} is not one of {', '.join(get_args(Layout))}")
    if not isfinite(pad_value):
        raise ValueError(f"pad_value: {pad_value} must be finite")


def _check_colour(colour: Colour, dtype: np.dtype[Any], samples: int, plan: ResamplePlan) -> None:
    if isinstance(colour, str) and colour == "RGB":
        return
    if samples != 3:
        raise ValueError(f"samples: {samples} is not 3, what colour becomes")
    if isinstance(colour, Palette):
        if dtype not in (np.uint8, np.uint16):
            raise ValueError(f"frame: {dtype} cannot index a palette; try: uint8 or uint16")
    elif colour not in get_args(get_args(Colour)[0]):
        raise ValueError(f"colour: neither {', '.join(get_args(get_args(Colour)[0]))} nor a Palette")
    elif dtype != np.uint8:
        raise ValueError(f"frame: {dtype} is not uint8, as {colour} is")
    elif colour == "YBR_FULL_422" and plan.in_shape[1] % 2:
        raise ValueError(f"colour: YBR_FULL_422 needs an even number of columns, not {plan.in_shape[1]}")


def _output(out: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """`out` if it fits, or a new array."""
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        raise ValueError(f"out: must be a float32 array of shape {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: must be C-contiguous, aligned and writable")
    return out


def _normalisation(mean: PerChannel, std: PerChannel, scale: float, channels: int) -> _Normalisation:
    """Per channel gain and shift of (shown * scale - mean) / std."""
    means, stds = _per_channel("mean", mean, channels), _per_channel("std", std, channels)
    if not all(isfinite(m) for m in means):
        raise ValueError(f"mean: {mean} must be finite")
    if not all(0 < s < inf for s in stds):
        raise ValueError(f"std: {std} must be above 0")
    if not isfinite(scale):
        raise ValueError(f"scale: {scale} must be finite")
    return _Normalisation([scale / s for s in stds], [-m / s for m, s in zip(means, stds, strict=True)])


def _per_channel(name: str, value: PerChannel, channels: int) -> list[float]:
    """One number for each channel."""
    values = [float(value)] * channels if isinstance(value, (int, float)) else [float(v) for v in np.ravel(value)]
    if len(values) != channels:
        raise ValueError(f"{name}: {len(values)} values for {channels} channel(s)")
    return values
