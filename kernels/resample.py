"""Where each tensor pixel looks in the stored frame: boxes, weights, and the way back for coordinates.

A plan is a value: two plans with the same fields are the same plan, and the weights that belong to it are computed
once (the last 64 plans are kept).

Coordinates are (column, row) with the origin at the top left corner of the first pixel, so that the centre of that
pixel is (0.5, 0.5): the convention of SCOORD, PS3.3 C.10.5.1.2 and C.18.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.dispatch import resampler_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kernels._frame import Resampler

Filter = Literal["area", "triangle", "linear"]
Mode = Literal["squash", "letterbox", "centre-crop"]

_X_TAPS_MULTIPLE = 8


class Box(NamedTuple):
    """A rectangle in pixels, corner origin: of the stored frame (may be fractional) or of the tensor (whole)."""

    top: float
    left: float
    height: float
    width: float


class Taps(NamedTuple):
    """One axis of a plan: output i is the sum over k < extent[i] of weights[i, k] * input[start[i] + k].

    start, extent : int32[n]; weights : float32[n, K], each row sums to 1 and is padded with zeros.
    """

    start: NDArray[np.int32]
    extent: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class ResamplePlan:
    """How a stored frame becomes the grid of a tensor.

    Parameters
    ----------
    in_shape, out_shape : (rows, columns)
        Of the stored frame and of the tensor, in pixels, at least 1.
    filter : {"area", "triangle", "linear"}
        "area": mean over the footprint of the output pixel (exact, fractional edges weighted).
        "triangle": antialiased bilinear, support scaled when shrinking (what torch and PIL do).
        "linear": two taps, no antialiasing; enlarging, or models trained that way.
    mode : {"squash", "letterbox", "centre-crop"}
        "squash": the whole frame fills the tensor, proportions change.
        "letterbox": the whole frame in proportion, centred, the rest is padding.
        "centre-crop": the tensor is filled in proportion, what does not fit is cut off evenly on both sides.
    pixel_aspect_ratio : float
        Height of a stored pixel divided by its width (PixelAspectRatio, or PixelSpacing[0] / PixelSpacing[1]);
        "squash" does not need it.

    Raises
    ------
    ValueError
        An argument, named in the message, is out of its range.
    """

    in_shape: tuple[int, int]
    out_shape: tuple[int, int]
    filter: Filter = "area"
    mode: Mode = "squash"
    pixel_aspect_ratio: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_shape", _shape("in_shape", self.in_shape))
        object.__setattr__(self, "out_shape", _shape("out_shape", self.out_shape))
        if self.filter not in get_args(Filter):
            raise ValueError(f"filter: {self.filter!r} is not one of {', '.join(get_args(Filter))}")
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode: {self.mode!r} is not one of {', '.join(get_args(Mode))}")
        if not 0 < self.pixel_aspect_ratio < np.inf:
            raise ValueError(f"pixel_aspect_ratio: {self.pixel_aspect_ratio} is not a positive number")

    @property
    def source_box(self) -> Box:
        """The part of the stored frame that the tensor shows, in stored pixels."""
        rows, columns = self.in_shape
        if self.mode != "centre-crop":
            return Box(0, 0, rows, columns)
        shrink = self._shrink()
        factor = min(shrink)
        height, width = rows * factor / shrink[0], columns * factor / shrink[1]
        return Box((rows - height) / 2, (columns - width) / 2, height, width)

    @property
    def target_box(self) -> Box:
        """The part of the tensor that shows the frame, in whole tensor pixels; the rest is padding."""
        rows, columns = self.out_shape
        if self.mode != "letterbox":
            return Box(0, 0, rows, columns)
        shrink = self._shrink()
        factor = max(shrink)
        height, width = (_whole(n * s / factor) for n, s in zip(self.out_shape, shrink, strict=True))
        return Box((rows - height) // 2, (columns - width) // 2, height, width)

    def to_stored(self, points: ArrayLike) -> NDArray[np.float64]:
        """Tensor coordinates to stored pixel coordinates; (..., 2) of (column, row), corner origin."""
        return _map(points, self.target_box, self.source_box)

    def to_tensor(self, points: ArrayLike) -> NDArray[np.float64]:
        """Stored pixel coordinates to tensor coordinates; (..., 2) of (column, row), corner origin."""
        return _map(points, self.source_box, self.target_box)

    def _shrink(self) -> tuple[float, float]:
        """Shown stored length per tensor pixel of (rows, columns) when squashed, in widths of a stored pixel."""
        return (
            self.in_shape[0] * self.pixel_aspect_ratio / self.out_shape[0],
            self.in_shape[1] / self.out_shape[1],
        )


def axis_taps(n_in: int, n_out: int, start: float, length: float, kind: Filter) -> Taps:
    """Weights of one axis: n_out outputs that divide [start, start + length) of n_in inputs evenly."""
    step = length / n_out
    left = start + np.arange(n_out) * step
    support = 1.0 if kind == "linear" else max(step, 1.0)
    centre = left + step / 2
    if kind == "area":
        low, high = np.floor(left + 1e-9), np.ceil(left + step - 1e-9)
    else:
        # Outputs beyond the outermost centres repeat the edge pixel, so the linear filter never extrapolates.
        centre = np.clip(centre, 0.5, n_in - 0.5) if kind == "linear" else centre
        low, high = np.floor(centre - support + 0.5), np.ceil(centre + support - 0.5)
    first = np.clip(low, 0, n_in - 1).astype(np.int64)
    count = np.clip(np.minimum(high, n_in).astype(np.int64) - first, 1, None)
    position = first[:, None] + np.arange(int(count.max()))
    if kind == "area":
        right = (left + step)[:, None]
        weights = np.minimum(position + 1, right) - np.maximum(position, left[:, None])
    else:
        weights = 1 - np.abs(position + 0.5 - centre[:, None]) / support
    weights = np.where(np.arange(weights.shape[1]) < count[:, None], np.clip(weights, 0, None), 0.0)
    weights[weights.sum(axis=1) <= 0, 0] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(first.astype(np.int32), count.astype(np.int32), weights.astype(np.float32))


def _row_taps(plan: ResamplePlan) -> Taps:
    source, target = plan.source_box, plan.target_box
    return axis_taps(plan.in_shape[0], int(target.height), source.top, source.height, plan.filter)


@lru_cache(maxsize=64)
def resampler(plan: ResamplePlan) -> Resampler:
    """The compiled taps of a plan; the last 64 plans are kept."""
    source, target = plan.source_box, plan.target_box
    y = _row_taps(plan)
    x = axis_taps(plan.in_shape[1], int(target.width), source.left, source.width, plan.filter)
    return resampler_class()(y.start, y.extent, y.weights, x.start, _padded(x.weights), plan.in_shape[1])


def _padded(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns to 4 or a multiple of 8: what the horizontal pass takes at once."""
    taps = weights.shape[1]
    extra = 4 - taps if taps <= 4 else -taps % _X_TAPS_MULTIPLE
    return np.ascontiguousarray(np.pad(weights, ((0, 0), (0, extra))))


def _map(points: ArrayLike, source: Box, target: Box) -> NDArray[np.float64]:
    array = np.asarray(points, dtype=np.float64)
    if array.shape[-1:] != (2,):
        raise ValueError(f"points: shape {array.shape} does not end in 2 (column, row)")
    scale = np.array([target.width / source.width, target.height / source.height])
    moved: NDArray[np.float64] = (array - [source.left, source.top]) * scale + [target.left, target.top]
    return moved


def _whole(length: float) -> int:
    """The nearest whole length of at least 1; halves go down, whichever way the last bit of a float fell."""
    return max(1, ceil(length - 0.5 - 1e-9))


def _shape(name: str, value: tuple[int, int]) -> tuple[int, int]:
    shape = tuple(int(n) for n in value)
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"{name}: {tuple(value)} is not (rows, columns), each at least 1")
    return shape[0], shape[1]
