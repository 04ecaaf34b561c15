"""Where a model looked: a class-activation map to one outline in stored pixel coordinates.

In: the map of one class, as the worker gave it, and how the frame became the tensor. Out: a closed polygon around
the map's peak, or nothing where the map has none. It says "here the score came from", not "here the disease ends":
reports call it the outline of the model's attention, and nothing is ever measured in it.

The map is coarse (18 x 18, say), so it is interpolated first; the outline encloses all that hangs together with the
peak and lies above a level between the map's median and its highest value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels import ResamplePlan

Heat = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Point = tuple[int, int]

LEVEL = 0.7
"""Where the outline runs, from the map's median (0) to its highest value (1).

Round planted opacities in validation images: 0.5 outlines three times their area, 0.7 one and a half times, 0.8 just
their area; each holds the centre of all of them.
"""

_FINE = 72
"""Places along the longer side of the interpolated map."""
_LARGEST = 512
_DECIMALS = 2


def outline(heat: Heat, plan: ResamplePlan) -> tuple[tuple[float, float], ...]:
    """A closed polygon of (column, row) pairs in stored pixels, corner origin; empty where there is no peak.

    Parameters
    ----------
    heat : (rows, columns), finite
        The class-activation map; it covers the whole tensor.
    plan : ResamplePlan
        From the stored frame to the tensor.
    """
    if min(heat.shape) < 2 or max(heat.shape) > _LARGEST:
        return ()
    fine = interpolated(heat)
    median, highest = float(np.median(fine)), float(fine.max())
    if not highest > median:
        return ()
    region = around_peak(fine, median + LEVEL * (highest - median))
    cells = np.array(boundary(region), np.float64)
    size = np.array([plan.out_shape[1] / fine.shape[1], plan.out_shape[0] / fine.shape[0]])
    stored: Heat = np.clip(plan.to_stored(cells * size), 0.0, plan.in_shape[::-1]).round(_DECIMALS)
    if not np.ptp(stored, axis=0).all():
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


def around_peak(heat: Heat, level: float) -> Mask:
    """What is at `level` or above and hangs together (4-connected) with the highest place."""
    allowed = heat >= level
    region = np.zeros_like(allowed)
    region.flat[int(heat.argmax())] = True
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= allowed
        if np.array_equal(grown, region):
            return region
        region = grown


def boundary(region: Mask) -> list[tuple[float, float]]:
    """The outer boundary of a 4-connected region, clockwise, through the middles of its cells' edges.

    Middles, not corners: a staircase becomes a slope, and the polygon never leaves the region.
    """
    steps = _edges(region)
    row, column = (int(n) for n in np.argwhere(region)[0])
    start: Point = (column, row)
    here, heading = start, (1, 0)
    points: list[tuple[float, float]] = []
    while not points or (here, heading) != (start, (1, 0)):
        points.append((here[0] + heading[0] / 2, here[1] + heading[1] / 2))
        here = (here[0] + heading[0], here[1] + heading[1])
        # where two ways lead on, two cells meet at a corner only: turning right stays with the cell that is followed
        heading = next(way for way in _by_turn(heading) if (here, way) in steps)
    return _without_straight(points)


def _edges(region: Mask) -> frozenset[tuple[Point, Point]]:
    """The cells' edges on the boundary as (corner, direction), the region to the right of each."""
    padded = np.pad(region, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    )
    return frozenset(
        ((int(column) + corner[0], int(row) + corner[1]), way)
        for neighbour, corner, way in sides
        for row, column in np.argwhere(inside & ~neighbour)
    )


def _by_turn(heading: Point) -> tuple[Point, Point, Point]:
    """Right, straight on, left; rows grow downwards."""
    across, down = heading
    return (-down, across), heading, (down, -across)


def _without_straight(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Only the points at which the direction changes."""
    kept = []
    for before, point, after in zip([points[-1], *points], points, [*points[1:], points[0]], strict=False):
        turn = (point[0] - before[0]) * (after[1] - point[1]) - (point[1] - before[1]) * (after[0] - point[0])
        if turn:
            kept.append(point)
    return kept


def _without_repeats(points: Heat) -> Heat:
    """Points that clipping put onto each other count once."""
    moved: Mask = (points != np.roll(points, 1, axis=0)).any(axis=1)
    return points[moved]
