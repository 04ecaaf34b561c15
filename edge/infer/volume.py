"""The slices of a unit as one volume for a model, and what the model found in it back on the slices.

Comes in: decoded frames, where they lie, a `Volume` of the manifest. Goes out: tiles of the resampled volume; then,
for each frame, a map of each class in its stored pixels. Tiles overlap; where they do, the nearer one weighs more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.infer.projection import along, sample
from edge.infer.refusal import Refusal
from edge.infer.slices import Stack
from edge.packages.tasks import Volume
from kernels import VolumeGrid, volume_resample

Floats = npt.NDArray[np.float32]
Place = tuple[int, int, int]
"""Where a tile begins in the resampled volume: depth, row, column; below 0 where it begins in the padding."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Rescale Slope and Intercept of a frame (PS3.3 C.11.1)."""

    slope: float
    intercept: float


def grid(stack: Stack, rows: int, columns: int, entry: Volume) -> VolumeGrid:
    """How the stored volume becomes the one that the model sees. Raises Refusal (`uneven-slices`)."""
    shape = (len(stack.order), rows, columns)
    orientation = stack.orientation if entry.axes == "patient" else None
    try:
        if entry.fit != "squash":
            depth, height, width = entry.spacing
            return VolumeGrid(shape, stack.spacing, (depth, height, width), orientation)
        axes = VolumeGrid(shape, stack.spacing, stack.spacing, orientation).axes
        fitted = [shape[s] * stack.spacing[s] / size for s, size in zip(axes, entry.extent, strict=True)]
        return VolumeGrid(shape, stack.spacing, (fitted[0], fitted[1], fitted[2]), orientation)
    except ValueError:
        raise Refusal("uneven-slices", "the volume cannot be resampled") from None


def resampled(stored: npt.NDArray[Any], slopes: Sequence[Slope], grid: VolumeGrid, entry: Volume) -> Floats:
    """The volume in the model's numbers, on its grid. `stored` and `slopes` are in the order of the slices."""
    if len(set(slopes)) == 1:
        slope, intercept = slopes[0].slope, slopes[0].intercept
    else:
        # each slice has its own (PET): into modality units first
        slope, intercept = 1.0, 0.0
        factors = np.array([[each.slope, each.intercept] for each in slopes], np.float32)
        stored = stored * factors[:, 0, None, None] + factors[:, 1, None, None]
    try:
        values = volume_resample(
            stored, grid.spacing, grid.new_spacing, orientation=grid.orientation, slope=slope, intercept=intercept
        )
    except ValueError:
        raise Refusal("unsupported-pixels", "the slices' rescale cannot be followed") from None
    values -= np.float32(entry.low)
    values *= np.float32(1.0 / (entry.high - entry.low))
    np.clip(values, 0.0, 1.0, out=values)
    return values


def places(shape: tuple[int, ...], entry: Volume) -> list[Place]:
    """Where tiles begin. One in the middle, unless the whole volume is to be covered."""
    starts = [
        _starts(length, size, entry.overlap if entry.fit == "tile" else 1.0)
        for length, size in zip(shape, entry.extent, strict=True)
    ]
    return [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]


def _starts(length: int, size: int, overlap: float) -> list[int]:
    if length <= size or overlap >= 1.0:
        return [(length - size) // 2]
    step = max(1, int(size * (1.0 - overlap)))
    return [*range(0, length - size, step), length - size]


def tile(values: Floats, place: Place, entry: Volume) -> Floats:
    """The input tensor that begins at `place`."""
    cut = np.full(entry.extent, entry.pad_value, np.float32)
    here, there = _overlap(place, entry.extent, values.shape)
    cut[here] = values[there]
    tensor = (cut * np.float32(entry.scale) - np.float32(entry.mean)) / np.float32(entry.std)
    return np.ascontiguousarray(tensor[None, None] if entry.layout == "NCDHW" else tensor[None, ..., None])


class Blend:
    """What the model said of each tile, put together: (classes, depth, rows, columns) of the resampled volume."""

    def __init__(self, shape: tuple[int, ...], classes: int, extent: tuple[int, int, int]) -> None:
        self._sum = np.zeros((classes, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)
        sides = [np.minimum(np.arange(n) + 1, np.arange(n, 0, -1)).astype(np.float32) for n in extent]
        self._tile = sides[0][:, None, None] * sides[1][:, None] * sides[2]

    def add(self, place: Place, scores: npt.NDArray[Any]) -> None:
        """`scores` (classes, depth, rows, columns) of the tile at `place`."""
        here, there = _overlap(place, scores.shape[1:], self._weight.shape)
        self._sum[(slice(None), *there)] += scores[(slice(None), *here)] * self._tile[here]
        self._weight[there] += self._tile[here]

    def scores(self) -> Floats:
        """The weighted means; 0 where the model did not look."""
        np.maximum(self._weight, 1e-20, out=self._weight)
        self._sum /= self._weight
        return self._sum


def on_slices(scores: Floats, grid: VolumeGrid) -> Iterator[Floats]:
    """The scores (classes, rows, columns) in the stored pixels of each slice, in order of the slices."""
    axes = grid.axes
    stored = scores.transpose(0, *(1 + axes.index(s) for s in range(3)))
    depth, rows, columns = (_positions(grid, s) for s in range(3))
    for at in depth:
        low, share, _ = along(np.array([at]), stored.shape[1])
        high = min(int(low[0]) + 1, stored.shape[1] - 1)
        between = stored[:, low[0]] * (1 - share[0]) + stored[:, high] * share[0]
        yield sample(between, rows, columns)


def _positions(grid: VolumeGrid, stored_axis: int) -> npt.NDArray[np.float64]:
    """Where the centres of the stored voxels along one axis lie in the resampled volume, in its voxels' indices."""
    points = np.full((grid.shape[stored_axis], 3), 0.5)
    points[:, 2 - stored_axis] = np.arange(grid.shape[stored_axis]) + 0.5
    return grid.to_resampled(points)[:, 2 - grid.axes.index(stored_axis)] - 0.5


def _overlap(
    place: Sequence[int], extent: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What a tile at `place` and a volume of `shape` have in common: in the tile, in the volume."""
    ends = [(max(0, at), min(length, at + size)) for at, size, length in zip(place, extent, shape, strict=True)]
    there = tuple(slice(begin, end) for begin, end in ends)
    here = tuple(slice(begin - at, end - at) for (begin, end), at in zip(ends, place, strict=True))
    return here, there
