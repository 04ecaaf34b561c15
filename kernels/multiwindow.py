"""`multiwindow_to_tensor`: several windows of the same slices as channels, read once.

The usual input of a network on CT: lung, soft tissue and bone window of one slice as three channels. Each row of the
volume is taken through all windows while it is in the first level cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.grayscale import GrayscaleTransform
from kernels.prepared import FrameKernel, Layout, PerChannel
from kernels.resample import ResamplePlan


def multiwindow_to_tensor(
    volume: NDArray[Any],
    windows: Sequence[GrayscaleTransform],
    plan: ResamplePlan,
    *,
    mean: PerChannel = 0.0,
    std: PerChannel = 1.0,
    scale: float = 1.0,
    layout: Layout = "NCHW",
    pad_value: float = 0.0,
    out: NDArray[np.float32] | None = None,
    num_threads: int = 1,
) -> NDArray[np.float32]:
    """Slices through `windows`, resized and normalised: (slices, windows, rows, columns), or channels last.

    Parameters
    ----------
    volume : (slices, rows, columns)
        Stored values, of the plan's `in_shape`; types, strides and NaN as in `frame_to_tensor`.
    windows : GrayscaleTransform
        One per channel, as `GrayscaleTransform.window(-600, 1500, slope=slope, intercept=intercept)`.
    plan, mean, std, scale, layout, pad_value, out, num_threads
        As in `frame_to_tensor`; threads share the slices.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    array = np.asarray(volume)
    if array.ndim != 3 or array.shape[1:] != plan.in_shape:
        raise ValueError(f"volume: shape {array.shape} is not (slices, *{plan.in_shape})")
    transforms = list(windows)
    if not transforms:
        raise ValueError("windows: at least one is needed")
    kernel = FrameKernel(
        transforms, plan, array.dtype, mean=mean, std=std, scale=scale, channels=len(transforms), layout=layout,
        pad_value=pad_value,
    )  # fmt: skip
    return kernel(array, out, num_threads)
