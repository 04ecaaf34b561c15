"""`rle_decode`: an RLE Lossless frame (PS3.5 annex G) to samples.

Safe on hostile bytes: a frame decodes to exactly the samples asked for, or is refused; nothing outside `data` is read
and nothing outside the samples is written, whatever the bytes say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels.dispatch import compiled

_COMPILED = compiled("_rle")
_HEADER_BYTES = 64
_MOST_SEGMENTS = 15


def rle_decode(
    data: bytes | bytearray | memoryview | NDArray[np.uint8],
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    out: NDArray[Any] | None = None,
    num_threads: int = 1,
) -> NDArray[Any]:
    """One RLE frame to an array, colour by pixel.

    Parameters
    ----------
    data : bytes-like
        The frame without its item header: the segment header of 64 bytes, then the segments.
    shape : (rows, columns) or (rows, columns, samples)
    dtype : integer type of 1, 2 or 4 bytes
        As BitsAllocated and PixelRepresentation say.
    out : of that shape and type, C-contiguous, optional
        Overwritten and returned; undefined when the frame is refused.
    num_threads : int
        Accepted like everywhere; a segment can only be read from its start, so more than one are not used.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit; `data` too, where it is no such frame or ends too early. What
        a segment holds beyond the frame is ignored.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    sizes = tuple(int(n) for n in shape)
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise ValueError(f"shape: {sizes} is not (rows, columns) or (rows, columns, samples), each at least 1")
    kind = np.dtype(dtype)
    if kind.kind not in "iu" or kind.itemsize not in (1, 2, 4) or not kind.isnative:
        raise ValueError(f"dtype: {kind} is not a native integer type of 1, 2 or 4 bytes")
    samples = sizes[2] if len(sizes) == 3 else 1
    stored = np.frombuffer(data, np.uint8)
    bounds = _bounds(stored, samples * kind.itemsize)
    frame = _output(out, sizes, kind)
    short = _COMPILED.rle(stored, bounds, samples, kind.itemsize, frame.reshape(-1).view(np.int8))
    if short >= 0:
        raise ValueError(f"data: segment {short + 1} of {len(bounds)} ends before the frame is full")
    return frame


def _bounds(stored: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    """Begin and end of each segment, inside the data."""
    if count > _MOST_SEGMENTS:
        raise ValueError(f"shape: an RLE frame has at most {_MOST_SEGMENTS} segments, {count} are asked for")
    if len(stored) < _HEADER_BYTES:
        raise ValueError("data: shorter than the header of an RLE frame")
    header = stored[:_HEADER_BYTES].view("<u4").astype(np.int64)
    if header[0] != count:
        raise ValueError(f"data: has {header[0]} segments, the shape and type need {count}")
    bounds = np.column_stack([header[1 : count + 1], np.append(header[2 : count + 1], len(stored))]).astype(np.intp)
    if bounds[0, 0] < _HEADER_BYTES or (bounds[:, 0] > bounds[:, 1]).any() or bounds.max() > len(stored):
        raise ValueError("data: the segments do not follow each other inside the frame")
    return np.ascontiguousarray(bounds)


def _output(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        raise ValueError(f"out: must be a {dtype} array of shape {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: must be C-contiguous, aligned and writable")
    return out
