"""Maps of scores onto other pixels, bilinearly: rows and columns of the target as places in the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import ResamplePlan

Places = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def along(at: Places, length: int) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.bool_]]:
    """For places along an axis: the sample before, the share of the one after, and whether they lie on the axis."""
    within = (at > -0.5 - 1e-9) & (at < length - 0.5 + 1e-9)
    held = np.clip(at, 0, length - 1)
    low = np.minimum(held.astype(np.int64), max(length - 2, 0))
    return low, (held - low).astype(np.float32), within


def sample(scores: npt.NDArray[Any], rows: Places, columns: Places) -> Floats:
    """`scores` (classes, rows, columns) at these places, (classes, rows, columns); 0 outside of it."""
    low, share, down = along(rows, scores.shape[1])
    high = np.minimum(low + 1, scores.shape[1] - 1)
    lines = scores[:, low] * (1 - share)[:, None] + scores[:, high] * share[:, None]
    low, share, across = along(columns, scores.shape[2])
    high = np.minimum(low + 1, scores.shape[2] - 1)
    found = lines[:, :, low] * (1 - share) + lines[:, :, high] * share
    found *= down[:, None] & across
    return np.asarray(found, np.float32)


def onto_frame(scores: npt.NDArray[Any], plan: ResamplePlan) -> Floats:
    """Scores over the whole tensor, (classes, any rows, any columns), in the frame's stored pixels."""
    sizes = [n / m for n, m in zip(scores.shape[1:], plan.out_shape, strict=True)]
    rows, columns = (_centres(plan, axis) * sizes[axis] - 0.5 for axis in (0, 1))
    return sample(scores, rows, columns)


def _centres(plan: ResamplePlan, axis: int) -> Places:
    """Where the centres of the frame's rows (0) or columns (1) lie in the tensor, corner origin."""
    points = np.full((plan.in_shape[axis], 2), 0.5)
    points[:, 1 - axis] = np.arange(plan.in_shape[axis]) + 0.5
    return np.asarray(plan.to_tensor(points)[:, 1 - axis])
