"""The oracle of `heatmap_components`, `mask_components` and `component_contours`: flood filling, voxel by voxel."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray


def labels(inside: NDArray[np.bool_], diagonals: bool = True) -> NDArray[np.int32]:
    """0 outside, else the number of the component, counted from 1 in the order of first pixels."""
    found = np.zeros(inside.shape, np.int32)
    steps = [s for s in product((-1, 0, 1), repeat=inside.ndim) if any(s) and (diagonals or sum(map(abs, s)) == 1)]
    number = 0
    for start in map(tuple, np.argwhere(inside)):
        if found[start]:
            continue
        number += 1
        found[start] = number
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for step in steps:
                there = tuple(a + b for a, b in zip(here, step, strict=True))
                if all(0 <= a < n for a, n in zip(there, inside.shape, strict=True)) and inside[there]:
                    if not found[there]:
                        waiting.append(there)
                    found[there] = number
    return found


def components(inside: NDArray[np.bool_], values: NDArray[Any], diagonals: bool = True) -> list[dict[str, Any]]:
    """What the records must say; axes are column, row (, slice)."""
    numbered = labels(inside, diagonals)
    described = []
    for number in range(1, int(numbered.max(initial=0)) + 1):
        where = np.argwhere(numbered == number)[:, ::-1]
        of = np.asarray(values, np.float64)[numbered == number]
        described.append(
            {
                "centroid": (where + 0.5).mean(axis=0),
                "mean": of.mean(),
                "max": of.max(),
                "area": len(where),
                "box": [*where.min(axis=0), *(where.max(axis=0) + 1)],
                "seed": where[0],
            }
        )
    return described


def without_holes(component: NDArray[np.bool_], diagonals: bool = True) -> NDArray[np.bool_]:
    """The component and all that it encloses; where corners join the component, they do not join its outside."""
    outside = labels(np.pad(~component, 1, constant_values=True), not diagonals)
    return np.asarray((outside != outside[0, 0])[1:-1, 1:-1])


def covered(polygon: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside a closed polygon along pixel edges, by the even-odd rule."""
    crossings = np.zeros(shape, np.int64)
    for (x, y0), (x1, y1) in pairwise(polygon):
        if x == x1:
            crossings[min(y0, y1) : max(y0, y1), x:] += 1
    return np.asarray(crossings % 2 == 1)
