"""Colour frames to tensors: RGB, YBR_FULL, YBR_FULL_422 and PALETTE COLOR, turned into RGB row by row on the way.

The words are those of PhotometricInterpretation (PS3.3 C.7.6.3.1.2). YBR is ITU-R BT.601 over the full range of 8 bits;
results are rounded to 8 bits, so it does not matter whether the decoder or this kernel turned a frame into RGB. No
grayscale transform applies to colour: 0..1 is the full range.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.grayscale import GrayscaleTransform
from kernels.palette import Palette
from kernels.prepared import FrameKernel, Layout, PerChannel
from kernels.resample import ResamplePlan

Photometric = Literal["RGB", "YBR_FULL", "YBR_FULL_422"]


def colour_to_tensor(
    frame: NDArray[Any],
    colour: Photometric | Palette,
    plan: ResamplePlan,
    *,
    mean: PerChannel = 0.0,
    std: PerChannel = 1.0,
    scale: float = 1.0,
    channels: int = 3,
    layout: Layout = "NCHW",
    pad_value: float = 0.0,
    out: NDArray[np.float32] | None = None,
    num_threads: int = 1,
) -> NDArray[np.float32]:
    """One colour frame, or a stack of them, to RGB (or, for `channels=1`, luminance) of 0..1, resized, normalised.

    Parameters
    ----------
    frame : (rows, columns, 3), for YBR_FULL_422 (rows, columns, 2), for a palette (rows, columns)
        Any strides, so planes (PlanarConfiguration 1) as `planes.transpose(1, 2, 0)`. uint8; RGB and palette indices
        may be uint16. YBR_FULL_422 as it is stored without compression: Y Y Cb Cr for two pixels.
    colour : "RGB", "YBR_FULL", "YBR_FULL_422" or Palette
    plan, mean, std, scale, layout, pad_value, out, num_threads
        As in `frame_to_tensor`.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    array = np.asarray(frame)
    if not isinstance(colour, Palette) and colour not in get_args(Photometric):
        raise ValueError(f"colour: neither {', '.join(get_args(Photometric))} nor a Palette")
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ValueError(f"frame: {array.dtype} is neither uint8 nor uint16")
    bits = colour.bits if isinstance(colour, Palette) else 8 * array.itemsize
    kernel = FrameKernel(
        GrayscaleTransform.full_range(bits), plan, array.dtype, samples=3, colour=colour, mean=mean, std=std,
        scale=scale, channels=channels, layout=layout, pad_value=pad_value,
    )  # fmt: skip
    return kernel(array, out, num_threads)
