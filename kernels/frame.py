"""`frame_to_tensor`: checks and allocation around the compiled loop.

One pass over the source: grayscale transform, separable resize, normalise, layout. The wrapper only validates,
folds all constants into one clip and one affine map per channel, and fills the padding.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import floor, inf, isfinite
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.grayscale import GrayscaleTransform
from kernels.resample import Box, ResamplePlan, resampler

Layout = Literal["NCHW", "NHWC"]
PerChannel = float | Sequence[float] | NDArray[Any]

_NATIVE = {np.dtype(t): np.iinfo(t) for t in (np.uint8, np.uint16, np.int16)}
_SAMPLES_PER_THREAD = 1 << 18


class _Clip(NamedTuple):
    """Display value = scale * clip(sample - base, low, high) + offset: small numbers, so float32 keeps all digits."""

    base: int
    low: float
    high: float
    scale: float
    offset: float


class _Table(NamedTuple):
    """Display value = table[sample + bias], for every value of the sample type."""

    table: NDArray[np.float32]
    bias: int
    scale: float = 1.0
    offset: float = 0.0


class _Normalisation(NamedTuple):
    """Tensor value = gain * display value + shift, per channel."""

    gain: list[float]
    shift: list[float]


def frame_to_tensor(
    frame: NDArray[Any],
    transform: GrayscaleTransform,
    plan: ResamplePlan,
    *,
    mean: PerChannel = 0.0,
    std: PerChannel = 1.0,
    scale: float = 1.0,
    channels: int = 1,
    layout: Layout = "NCHW",
    pad_value: float = 0.0,
    out: NDArray[np.float32] | None = None,
    num_threads: int = 1,
) -> NDArray[np.float32]:
    """One decoded frame to one model input: (transform(v) * scale - mean) / std, resized before normalising.

    Parameters
    ----------
    frame : (rows, columns) or (rows, columns, 3)
        Stored values, of the plan's `in_shape`. uint8, uint16 and int16 are read as they are, with any row stride
        and read-only; other types and column strides are converted first (that allocates). NaN is shown black.
    transform : GrayscaleTransform
        Stored value to 0..1; applied to each sample of an RGB frame.
    plan : ResamplePlan
    mean, std : float or one per channel
        In units of the scaled display value.
    scale : float
        255 for models trained on 0..255.
    channels : int
        A grayscale frame is repeated; an RGB frame gives 3, or its luminance (ITU-R BT.601) for 1.
    layout : {"NCHW", "NHWC"}
    pad_value : float
        Display value (0..1, before scale and mean) around a letterboxed frame.
    out : float32, C-contiguous, (1, channels, rows, columns) or as the layout says, optional
        Overwritten and returned; without it a new array is made, which costs more than the computation.
    num_threads : int
        At most this many threads share a large frame; the result does not depend on it, bit for bit.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    if not isfinite(pad_value):
        raise ValueError(f"pad_value: {pad_value} must be finite")
    image = np.asarray(frame)
    samples = _samples(image, plan, channels)
    tensor = _output(out, plan, channels, layout)
    planes = tensor[0] if layout == "NCHW" else tensor[0].transpose(2, 0, 1)
    normalisation = _normalisation(mean, std, scale, channels)
    box = plan.target_box
    if plan.mode == "letterbox":
        _pad(planes, box, [pad_value * g + s for g, s in zip(*normalisation, strict=True)])
    top, left, height, width = (int(n) for n in box)
    target = planes[:, top : top + height, left : left + width]
    _compute(image, samples, transform, plan, normalisation, target, num_threads)
    return tensor


def _compute(
    image: NDArray[Any],
    samples: int,
    transform: GrayscaleTransform,
    plan: ResamplePlan,
    normalisation: _Normalisation,
    target: NDArray[np.float32],
    num_threads: int,
) -> None:
    """Run the compiled loop on all rows of `target`, in as many bands as threads pay."""
    loop = resampler(plan)
    source, step = _step(image, transform)
    scale = array("f", [g * step.scale for g in normalisation.gain])
    offset = array("f", [g * step.offset + s for g, s in zip(*normalisation, strict=True)])

    def band(begin: int, end: int) -> None:
        if isinstance(step, _Table):
            loop.table(source, samples, step.table, step.bias, scale, offset, target, begin, end)
        else:
            loop.clip(source, samples, step.base, step.low, step.high, scale, offset, target, begin, end)

    bands = max(1, min(num_threads, loop.rows, image.size // _SAMPLES_PER_THREAD))
    if bands == 1:
        band(0, loop.rows)
        return
    edges = [loop.rows * i // bands for i in range(bands + 1)]
    with ThreadPoolExecutor(bands) as pool:
        list(pool.map(band, edges[:-1], edges[1:]))


def _step(image: NDArray[Any], transform: GrayscaleTransform) -> tuple[NDArray[Any], _Clip | _Table]:
    """What the loop reads, and how: native samples with the transform, or display values made here."""
    limits = _NATIVE.get(image.dtype)
    if limits is None:
        shown = transform.apply(image).astype(np.float32)
        return np.ascontiguousarray(shown), _Clip(0, 0.0, 1.0, 1.0, 0.0)
    packed = image.strides[-1] == image.itemsize and (image.ndim == 2 or image.strides[1] == 3 * image.itemsize)
    source = image if packed and image.flags.aligned else np.array(image, order="C")
    fold = _clip if transform.lut is None else _table
    return source, fold(transform, int(limits.min), int(limits.max))


def _clip(transform: GrayscaleTransform, least: int, most: int) -> _Clip:
    """The affine form with its clip inside what the sample type can hold."""
    lo, hi, a, b = transform.lo, transform.hi, transform.a, transform.b
    if hi <= least or lo >= most:
        return _Clip(0, 0.0, 0.0, 0.0, a * (hi if hi <= least else lo) + b)
    lo, hi = max(lo, least), min(hi, most)
    base = floor(lo)
    return _Clip(base, lo - base, hi - base, a, a * base + b)


def _table(transform: GrayscaleTransform, least: int, most: int) -> _Table:
    """The table form with an entry for every value that the sample type can hold: the loop does not check."""
    assert transform.lut is not None
    lut = transform.lut
    if transform.bias != -least or len(lut) != most - least + 1:
        lut = lut[np.clip(np.arange(least, most + 1) + transform.bias, 0, len(lut) - 1)]
    return _Table(lut, -least)


def _samples(image: NDArray[Any], plan: ResamplePlan, channels: int) -> int:
    """1 for a grayscale frame, 3 for RGB."""
    samples = 3 if image.ndim == 3 and image.shape[2] == 3 else 1
    if image.shape[:2] != plan.in_shape or image.ndim != (2 if samples == 1 else 3):
        raise ValueError(
            f"frame: shape {image.shape} is not the plan's in_shape {plan.in_shape}, or that with 3 samples"
        )
    if image.dtype.kind not in "buif":
        raise ValueError(f"frame: {image.dtype} is not a numeric type")
    if channels < 1 or (samples == 3 and channels not in (1, 3)):
        raise ValueError(f"channels: {channels} is not possible for {samples} sample(s) per pixel")
    return samples


def _output(out: NDArray[np.float32] | None, plan: ResamplePlan, channels: int, layout: Layout) -> NDArray[np.float32]:
    if layout not in get_args(Layout):
        raise ValueError(f"layout: {layout!r} is not one of {', '.join(get_args(Layout))}")
    shape = (1, channels, *plan.out_shape) if layout == "NCHW" else (1, *plan.out_shape, channels)
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
    values = [float(value)] * channels if isinstance(value, (int, float)) else [float(v) for v in np.ravel(value)]
    if len(values) != channels:
        raise ValueError(f"{name}: {len(values)} values for {channels} channel(s)")
    return values


def _pad(planes: NDArray[np.float32], box: Box, values: list[float]) -> None:
    """Fill what lies outside `box`, channel by channel."""
    top, left, height, width = (int(n) for n in box)
    for plane, value in zip(planes, values, strict=True):
        plane[:top], plane[top + height :] = value, value
        plane[top : top + height, :left], plane[top : top + height, left + width :] = value, value
