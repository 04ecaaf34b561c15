"""The float64 oracle of `clahe`, `equalize_histogram` and `percentile_window`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def clahe(
    frame: NDArray[Any],
    tiles: tuple[int, int] = (8, 8),
    clip_limit: float = 2.0,
    bins: int = 256,
    value_range: tuple[int, int] = (0, 255),
) -> Float64:
    """Before the last rounding: histograms of tiles, clipped, as tables; each pixel between four of them."""
    low, high = value_range
    top = np.iinfo(frame.dtype).max
    shift = 0
    while ((high - low) >> shift) + 1 > bins:
        shift += 1
    count = ((high - low) >> shift) + 1
    numbers = (np.clip(frame.astype(np.int64), low, high) - low) >> shift
    sides = [n // t for n, t in zip(frame.shape, tiles, strict=True)]
    if any(n % t for n, t in zip(frame.shape, tiles, strict=True)):
        sides = [side + 1 for side in sides]
    added = [(0, side * t - n) for side, t, n in zip(sides, tiles, frame.shape, strict=True)]
    whole = np.pad(numbers, added, mode="reflect") if any(map(any, added)) else numbers
    area = sides[0] * sides[1]
    tables = np.empty((*tiles, count))
    for down in range(tiles[0]):
        for across in range(tiles[1]):
            tile = whole[down * sides[0] : (down + 1) * sides[0], across * sides[1] : (across + 1) * sides[1]]
            counts = _clipped(np.bincount(tile.ravel(), minlength=count), clip_limit, area)
            tables[down, across] = np.rint(np.minimum(np.cumsum(counts) * (top / area), top))
    return _between(tables, numbers, sides)


def _clipped(counts: NDArray[Any], clip_limit: float, area: int) -> NDArray[Any]:
    if not clip_limit:
        return counts
    limit = max(1, min(int(clip_limit * area / len(counts)), area))
    cut = int(np.maximum(counts - limit, 0).sum())
    counts = np.minimum(counts, limit) + cut // len(counts)
    rest = cut % len(counts)
    if rest:
        counts[: rest * (len(counts) // rest) : len(counts) // rest] += 1
    return counts


def _between(tables: Float64, numbers: NDArray[Any], sides: list[int]) -> Float64:
    """Bilinear between the tables of the four tiles around each pixel, positions as OpenCV's."""
    lower, upper, way = [], [], []
    for n, side, tiles in zip(numbers.shape, sides, tables.shape, strict=False):
        position = np.arange(n) / side - 0.5
        first = np.floor(position).astype(int)
        lower.append(np.clip(first, 0, tiles - 1))
        upper.append(np.clip(first + 1, 0, tiles - 1))
        way.append(position - first)
    rows, columns = way[0][:, None], way[1][None, :]
    corners = [tables[y[:, None], x[None, :], numbers] for y in (lower[0], upper[0]) for x in (lower[1], upper[1])]
    above = corners[0] * (1 - columns) + corners[1] * columns
    below = corners[2] * (1 - columns) + corners[3] * columns
    return np.asarray(above * (1 - rows) + below * rows)


def equalize_histogram(frame: NDArray[Any]) -> Float64:
    """Before the last rounding: the share of samples up to each value, those of the least value not counted."""
    values, counts = np.unique(frame, return_counts=True)
    if len(values) == 1:
        return frame.astype(np.float64)
    below = np.cumsum(counts) - counts[0]
    return np.asarray((below * np.iinfo(frame.dtype).max / below[-1])[np.searchsorted(values, frame)])


def percentile_window(frame: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """Centre and width of what lies between two of NumPy's percentiles."""
    first, last = np.percentile(frame.astype(np.float64), (low, high))
    return float(first + last) / 2, float(last - first) if last > first else 1.0
