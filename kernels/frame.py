"""`frame_to_tensor`: one frame, all in one call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.grayscale import GrayscaleTransform
from kernels.prepared import FrameKernel, Layout, PerChannel
from kernels.resample import ResamplePlan


def frame_to_tensor(
    frame: NDArray[Any],
    transform: GrayscaleTransform,
    plan: ResamplePlan,
    *,
    mean: PerChannel = 0.0,
    std: PerChannel = 1.0,
    scale: float = 1.0,
    channels: int = 1,
    layout: Layout = "NCHW",
    pad_value: float = 0.0,
    out: NDArray[np.float32] | None = None,
    num_threads: int = 1,
) -> NDArray[np.float32]:
    """One decoded frame to one model input: (transform(v) * scale - mean) / std, resized before normalising.

    The last 8 kinds of calls are kept prepared, with their scratch rows; a `FrameKernel` of your own saves the search.

    Parameters
    ----------
    frame : (rows, columns) or (rows, columns, 3)
        Stored values, of the plan's `in_shape`. uint8, uint16 and int16 are read as they are, with any strides and
        read-only, fastest; other numeric types, byte orders and floats too. NaN is shown black.
    transform : GrayscaleTransform
        Stored value to 0..1; applied to each sample of an RGB frame.
    plan : ResamplePlan
    mean, std : float or one per channel
        In units of the scaled display value.
    scale : float
        255 for models trained on 0..255.
    channels : int
        A grayscale frame is repeated; an RGB frame gives 3, or its luminance (ITU-R BT.601) for 1.
    layout : {"NCHW", "NHWC"}
    pad_value : float
        Display value (0..1, before scale and mean) around a letterboxed frame.
    out : float32, C-contiguous, (1, channels, rows, columns) or as the layout says, optional
        Overwritten and returned; without it a new array is made, which costs more than the computation.
    num_threads : int
        At most this many threads share a large frame; the result does not depend on it, bit for bit.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = np.asarray(frame)
    samples = 3 if image.ndim == 3 and image.shape[2] == 3 else 1
    if image.shape[:2] != plan.in_shape or image.ndim != (2 if samples == 1 else 3):
        raise ValueError(
            f"frame: shape {image.shape} is not the plan's in_shape {plan.in_shape}, or that with 3 samples"
        )
    kernel = _kernel(
        transform, plan, image.dtype, samples, _hashable(mean), _hashable(std), scale, channels, layout, pad_value
    )
    return kernel(image, out, num_threads)


@lru_cache(maxsize=8)
def _kernel(
    transform: GrayscaleTransform,
    plan: ResamplePlan,
    dtype: np.dtype[Any],
    samples: int,
    mean: PerChannel,
    std: PerChannel,
    scale: float,
    channels: int,
    layout: Layout,
    pad_value: float,
) -> FrameKernel:
    return FrameKernel(
        transform, plan, dtype, samples=samples, mean=mean, std=std, scale=scale, channels=channels, layout=layout,
        pad_value=pad_value,
    )  # fmt: skip


def _hashable(value: PerChannel) -> float | tuple[float, ...]:
    return value if isinstance(value, (int, float)) else tuple(np.ravel(value).tolist())
