"""The float64 oracle of `volume_resample`: each output voxel from the definition, in patient directions."""

from __future__ import annotations

from itertools import permutations, product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def oriented(
    volume: NDArray[Any], spacing: tuple[float, ...], orientation: tuple[float, ...] | None
) -> tuple[NDArray[Any], list[float]]:
    """The volume turned so that its axes run to head, back and left, as nearly as turning by right angles can."""
    if orientation is None:
        return volume, list(spacing)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    stored = (np.cross(row, column), column, row)
    patient = (np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1, 0, 0]))
    order = max(permutations(range(3)), key=lambda p: sum(abs(stored[s] @ patient[o]) for o, s in enumerate(p)))
    turned = np.transpose(volume, order)
    for axis, s in enumerate(order):
        if stored[s] @ patient[axis] < 0:
            turned = np.flip(turned, axis)
    return turned, [spacing[s] for s in order]


def volume_resample(
    volume: NDArray[Any],
    spacing: tuple[float, ...],
    new_spacing: tuple[float, ...],
    orientation: tuple[float, ...] | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> Float64:
    """Trilinear between the eight voxels around each output position; the edge is repeated."""
    turned, steps = oriented(np.asarray(volume, np.float64), spacing, orientation)
    corners, weights = [], []
    for n_in, step, new in zip(turned.shape, steps, new_spacing, strict=True):
        n_out = max(1, ceil(n_in * step / new - 0.5 - 1e-9))
        position = np.minimum(np.arange(n_out) * (new / step), n_in - 1)
        below = np.minimum(position.astype(int), max(n_in - 2, 0))
        corners.append((below, np.minimum(below + 1, n_in - 1)))
        weights.append((1 - (position - below), position - below))
    total = np.zeros([len(c[0]) for c in corners])
    for z, y, x in product((0, 1), repeat=3):
        weight = weights[0][z][:, None, None] * weights[1][y][None, :, None] * weights[2][x][None, None, :]
        total += weight * turned[np.ix_(corners[0][z], corners[1][y], corners[2][x])]
    return slope * total + intercept
