"""The straight edges of the collimated field: where a radiograph begins to be one.

Outside the field a frame is even: shuttered, or hardly exposed. From each side of the frame every line is followed
inwards until it leaves the level of that side for good; where most of these places lie on one straight line, the
side has a collimation edge. A body's outline is not straight, and an image that reaches to its border leaves the
level at once: then there is no edge on that side, and nothing is cut off.

Works on a picture of at most 256 x 256 places: an edge is found to one place, on the outer side of it.
"""

from __future__ import annotations

from math import atan, ceil, degrees
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.frame import frame_to_tensor
from kernels.grayscale import GrayscaleTransform
from kernels.resample import ResamplePlan

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PLACES = 256
_TOLERANCE = 0.06
"""How far from the level of its side a place still counts as even, in shares of the frame's range (1 to 99 %)."""

_LASTING = 4
"""So many places in a row must have left the level: a lead marker or a speck of dust is no edge."""

_STEEPEST = 0.36
"""Slope of an edge that is still a side of the field: 20 degrees."""

_NEARER = (5.0, 2.5, 1.5)
"""Places from the line, one after the other, within which most must lie."""

_LEAST_SHARE = 0.6
_LEAST_LINES = 0.2
_AGREEING_DEGREES = 0.75


class Edge(NamedTuple):
    """One side of the field: position = offset + slope * (coordinate along the side), in stored pixels.

    The position of a left or right edge is a column and its slope is per row; of a top or bottom edge the other way.
    """

    offset: float
    slope: float

    def at(self, along: float) -> float:
        """The position there."""
        return self.offset + self.slope * along


class Field(NamedTuple):
    """The collimation edges of a frame; None where there is none."""

    top: Edge | None
    bottom: Edge | None
    left: Edge | None
    right: Edge | None

    def skew_degrees(self, pixel_aspect_ratio: float = 1.0) -> float:
        """How far the field is turned clockwise; 0 unless two edges agree on it within 0.75 degrees."""
        uprights = [degrees(atan(-edge.slope / pixel_aspect_ratio)) for edge in (self.left, self.right) if edge]
        levels = [degrees(atan(edge.slope * pixel_aspect_ratio)) for edge in (self.top, self.bottom) if edge]
        angles = np.array(uprights + levels)
        agreeing = [angles[np.abs(angles - angle) <= _AGREEING_DEGREES] for angle in angles]
        most = max(agreeing, key=len, default=angles)
        return float(most.mean()) if len(most) >= 2 else 0.0


def collimated_field(frame: NDArray[Any]) -> Field:
    """The edges of the collimated field of a decoded frame (rows, columns) or (rows, columns, 3), any numeric type."""
    image = np.asarray(frame)
    picture = _picture(image)
    low, high = np.percentile(picture, (1, 99))
    if picture.shape[0] < 2 * _LASTING or picture.shape[1] < 2 * _LASTING or not high > low:
        return Field(None, None, None, None)
    tolerance = float(high - low) * _TOLERANCE
    rows, columns = image.shape[:2]
    y, x = rows / picture.shape[0], columns / picture.shape[1]
    return Field(
        _scaled(_edge(picture.T, tolerance), y, x, 0),
        _scaled(_edge(picture.T[:, ::-1], tolerance), y, x, rows),
        _scaled(_edge(picture, tolerance), x, y, 0),
        _scaled(_edge(picture[:, ::-1], tolerance), x, y, columns),
    )


def _picture(image: NDArray[Any]) -> Float32:
    """The frame's values as 0..1 on few places."""
    rows, columns = image.shape[:2]
    shrink = max(1.0, max(rows, columns) / _PLACES)
    plan = ResamplePlan((rows, columns), (max(1, ceil(rows / shrink)), max(1, ceil(columns / shrink))))
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    if not 0 < high - low < np.inf:
        return np.zeros(plan.out_shape, np.float32)
    transform = GrayscaleTransform(low, high, 1 / (high - low), -low / (high - low))
    picture: Float32 = frame_to_tensor(image, transform, plan)[0, 0]
    return picture


def _edge(lines: Float32, tolerance: float) -> Edge | None:
    """The edge that is met from the left, as column by line, in places of the picture."""
    border = lines[:, 0]
    level = float(np.median(border))
    if np.percentile(np.abs(border - level), 90) > tolerance:
        return None
    away = lines - np.float32(level)
    left: Mask = np.abs(away, out=away) > tolerance
    lasting: Mask = np.all(np.lib.stride_tricks.sliding_window_view(left, _LASTING, axis=1), axis=2)
    where = np.flatnonzero(lasting.any(axis=1))
    if len(where) < _LEAST_LINES * len(lines):
        return None
    return _straight(where.astype(np.float64) + 0.5, lasting[where].argmax(axis=1).astype(np.float64))


def _straight(along: Float64, position: Float64) -> Edge | None:
    """The line on which most of the places lie, if there is one away from the border."""
    apart = len(along) // 4
    if apart < _LASTING:
        return None
    slope = float(np.median((position[apart:] - position[:-apart]) / (along[apart:] - along[:-apart])))
    offset = float(np.median(position - slope * along))
    for tolerance in _NEARER:
        near = np.abs(position - offset - slope * along) <= tolerance
        if near.mean() < _LEAST_SHARE:
            return None
        slope, offset = (float(n) for n in np.polyfit(along[near], position[near], 1))
    middle = offset + slope * float(along.mean())
    return Edge(offset, slope) if abs(slope) <= _STEEPEST and middle >= 1 else None


def _scaled(edge: Edge | None, across: float, along: float, far: int) -> Edge | None:
    """In stored pixels; `far` is where the side is from which the edge was met, 0 for left and top."""
    if edge is None:
        return None
    offset, slope = edge.offset * across, edge.slope * across / along
    return Edge(far - offset, -slope) if far else Edge(offset, slope)
