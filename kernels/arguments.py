"""What kernels of whole frames ask of their arrays: read as they are where the loop can, refused by name where not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def gray(frame: NDArray[Any], types: tuple[np.dtype[Any], ...]) -> NDArray[Any]:
    """A frame (rows, columns) of one of `types`, its rows without gaps between samples; copied only where they have.

    Raises ValueError that begins with `frame:`.
    """
    image = np.asarray(frame)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"frame: shape {image.shape} is not (rows, columns), each at least 1")
    native = image.dtype.newbyteorder("=")
    if native not in types:
        raise ValueError(f"frame: {image.dtype} is not one of {', '.join(str(t) for t in types)}")
    if native.kind == "f" and not (np.isfinite(image.min()) and np.isfinite(image.max())):
        raise ValueError("frame: holds NaN or infinity; try: numpy.nan_to_num(frame)")
    if image.dtype.isnative and image.flags.aligned and image.strides[1] == image.itemsize:
        return image
    return np.array(image, native, order="C")


def output(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any], frame: NDArray[Any]) -> NDArray[Any]:
    """`out` if it can be written to while `frame` is read, a new array if it is None.

    Raises ValueError that begins with `out:`.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        raise ValueError(f"out: must be a {dtype} array of shape {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: must be C-contiguous, aligned and writable")
    if np.may_share_memory(out, frame):
        raise ValueError("out: must not share memory with the frame")
    return out


def threads(num_threads: int) -> int:
    """`num_threads` if it is at least 1. Raises ValueError that begins with `num_threads:`."""
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    return num_threads


def sample_type(dtype: np.dtype[Any]) -> tuple[str, bool]:
    """The kind of a numeric type, "i", "u" or "f", and whether it is in the other byte order."""
    return dtype.kind.replace("b", "u"), not dtype.isnative
