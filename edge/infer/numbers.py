"""A graph's raw numbers to what they stand for: activation, and one number for all frames. Room and worker share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.infer.refusal import Refusal
from edge.packages.fields import Over

Numbers = npt.NDArray[np.float64]


def activated(numbers: npt.NDArray[Any], activation: str, axis: int = -1) -> Numbers:
    """The scores of raw numbers; of `softmax`, along `axis`. Raises Refusal (`bad-output`) for what is no number."""
    found = np.asarray(numbers, np.float64)
    if not np.isfinite(found).all():
        raise Refusal("bad-output", "an output is not a number")
    if activation == "sigmoid":
        return 1.0 / (1.0 + np.exp(-np.clip(found, -700.0, 700.0)))
    if activation == "softmax":
        powers = np.exp(found - found.max(axis=axis, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(axis=axis, keepdims=True))
    return found


def together(frames: Numbers, over: Over) -> Numbers:
    """(frames, numbers) to (numbers,)."""
    if over == "median":
        return np.asarray(np.median(frames, axis=0))
    return np.asarray(frames.mean(axis=0) if over == "mean" else frames.max(axis=0))
