"""Where a model looked: a heat map to at most three outlines in stored pixel coordinates.

In: the map of one class, as the worker gave it, and how the frame became the tensor. Out: closed polygons, the one
around the map's peak first, or nothing where the map has none. They say "here the score came from", not "here the
disease ends": reports call them the outline of the model's attention, and nothing is ever measured in them.

The map is coarse (18 x 18, say), so it is interpolated first; an outline encloses what hangs together above a level
between the map's median and its highest value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels import Placement, ResamplePlan, component_contours, heatmap_components

Heat = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]
"""(n, 2) of (column, row), corner origin."""
Mask = npt.NDArray[np.bool_]

LEVEL = 0.7
"""Where the outline runs, from the map's median (0) to its highest value (1).

Round planted opacities in validation images: 0.5 outlines three times their area, 0.7 one and a half times, 0.8 just
their area; each holds the centre of all of them.
"""

_FINE = 72
"""Places along the longer side of the interpolated map."""
_LARGEST = 512
_MOST_OUTLINES = 3
_DECIMALS = 2


def outlines(heat: Heat, plan: ResamplePlan | Placement) -> list[tuple[tuple[float, float], ...]]:
    """At most three closed polygons of (column, row) pairs in stored pixels, corner origin; the strongest first.

    Parameters
    ----------
    heat : (rows, columns), finite
        The map; it covers the whole tensor.
    plan : ResamplePlan or Placement
        From the stored frame to the tensor.
    """
    if min(heat.shape) < 2 or max(heat.shape) > _LARGEST:
        return []
    fine = interpolated(heat)
    median, highest = float(np.median(fine)), float(fine.max())
    if not highest > median:
        return []
    size = np.array([plan.out_shape[1] / fine.shape[1], plan.out_shape[0] / fine.shape[0]])
    found = (_stored(cells * size, plan) for cells in boundaries(fine, median + LEVEL * (highest - median)))
    return [points for points in found if points]


def _stored(points: Points, plan: ResamplePlan | Placement) -> tuple[tuple[float, float], ...]:
    stored: Points = np.clip(plan.to_stored(points), 0.0, plan.in_shape[::-1]).round(_DECIMALS)
    if not len(stored) or not np.ptp(stored, axis=0).all():
        return ()  # all of it lies in the padding around the image
    return tuple((float(column), float(row)) for column, row in _without_repeats(stored))


def interpolated(heat: Heat) -> Heat:
    """The map between the centres of its places, bilinearly, on a finer grid over the same extent."""
    factor = max(1, -(-_FINE // max(heat.shape)))
    for axis, length in enumerate(heat.shape):
        at = np.clip((np.arange(length * factor) + 0.5) / factor - 0.5, 0, length - 1)
        low = np.minimum(at.astype(int), length - 2)
        share = np.expand_dims(at - low, 1 - axis)
        heat = heat.take(low, axis) * (1 - share) + heat.take(low + 1, axis) * share
    return heat


def boundaries(heat: Heat, level: float) -> list[Points]:
    """The outer boundaries, clockwise, of what lies above `level` and hangs together (4-connected), strongest first.

    Through the middles of the boundary's unit steps, not its corners: a staircase becomes a slope, and the polygon
    never leaves the region. None where the whole range of the map is less than a float32 can tell.
    """
    found = heatmap_components(heat, level, diagonals=False)
    strongest = found[np.argsort(-found["max"], kind="stable")[:_MOST_OUTLINES]]
    corners = component_contours(heat, level, strongest, diagonals=False)
    return [_without_straight(_middles(each)) for each in corners]


def _middles(corners: npt.NDArray[np.int32]) -> Points:
    """The middle of each unit step along a closed outline whose first corner is repeated at the end."""
    steps = np.diff(corners, axis=0)
    lengths = np.abs(steps).max(axis=1)
    ways = np.repeat(steps / lengths[:, None], lengths, axis=0)
    ends = corners[0] + np.cumsum(ways, axis=0)
    return np.asarray(ends - ways / 2)


def _without_straight(points: Points) -> Points:
    """Only the points at which the direction changes."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns: Mask = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns]


def _without_repeats(points: Points) -> Points:
    """Points that clipping put onto each other count once."""
    moved: Mask = (points != np.roll(points, 1, axis=0)).any(axis=1)
    return points[moved]
