"""Where a score comes from, without looking into the network: cover one place after the other, see what is lost.

A grid of 8 by 8 places, so 64 further runs, only when something is present. A patch covers two places by two and has
the input's mean: what a place is worth is the mean loss of the patches that covered it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.infer.numbers import activated
from edge.infer.runtime import Session
from edge.packages.manifest import Input
from edge.packages.tasks import OCCLUSIONS, Output

_SIDE = int(OCCLUSIONS**0.5)


def heat(
    session: Session, tensor: npt.NDArray[Any], entry: Input, output: Output, raw: npt.NDArray[Any]
) -> npt.NDArray[np.float32] | None:
    """What each class's score loses at each place, (classes, 8, 8); None when none of them is present."""
    scores = activated(raw, output.activation)
    indices = [each.index for each in output.classes]
    if max(indices) >= len(scores) or not any(scores[each.index] >= each.threshold for each in output.classes):
        return None
    rows, columns = (2, 3) if entry.layout == "NCHW" else (1, 2)
    ends = [np.linspace(0, tensor.shape[axis], _SIDE + 1).round().astype(int) for axis in (rows, columns)]
    mean = tensor.mean(axis=(rows, columns), keepdims=True)
    lost = np.zeros((len(indices), _SIDE, _SIDE))
    looks = np.zeros((_SIDE, _SIDE))
    for row in range(_SIDE):
        for column in range(_SIDE):
            down, across = slice(row, min(row + 2, _SIDE)), slice(column, min(column + 2, _SIDE))
            cut: list[slice] = [slice(None)] * 4
            cut[rows] = slice(ends[0][down.start], ends[0][down.stop])
            cut[columns] = slice(ends[1][across.start], ends[1][across.stop])
            covered = tensor.copy()
            covered[tuple(cut)] = mean
            answered = session.run({entry.tensor: covered})[output.tensor].ravel()
            loss = (scores - activated(answered, output.activation))[indices]
            lost[:, down, across] += loss[:, None, None]
            looks[down, across] += 1
    return (lost / looks).astype(np.float32)
