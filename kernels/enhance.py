"""Contrast from histograms: `clahe`, `equalize_histogram`, `percentile_window`; stored values in, 8 or 16 bits.

What OpenCV computes for 8 bits, also for 16, where OpenCV is slow (CLAHE) or silent (equalisation).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.dispatch import compiled

if TYPE_CHECKING:
    from kernels._enhance import Clahe

_COMPILED = compiled("_enhance")
_UNSIGNED = (np.dtype(np.uint8), np.dtype(np.uint16))
_STORED = (*_UNSIGNED, np.dtype(np.int16))
_SAMPLES_PER_THREAD = 1 << 18
_PART = 4096


class Window(NamedTuple):
    """A window for the function LINEAR_EXACT (PS3.3 C.11.2.1.3.2), in stored values."""

    center: float
    width: float


def clahe(
    frame: NDArray[Any],
    tiles: tuple[int, int] = (8, 8),
    clip_limit: float = 2.0,
    bins: int | None = None,
    *,
    value_range: tuple[int, int] | None = None,
    out: NDArray[Any] | None = None,
    num_threads: int = 1,
) -> NDArray[Any]:
    """Contrast limited adaptive histogram equalisation, over the whole range of the frame's type.

    Parameters
    ----------
    frame : (rows, columns), uint8 or uint16
        Any row stride, read-only; strided columns are copied first (that allocates).
    tiles : (down, across)
    clip_limit : float
        As OpenCV's: how many times its even share a bin may hold; 0 does not limit.
    bins : int, optional
        At most this many, default 256 for uint8 and 1024 for uint16. Values share a bin that differ only in their
        lowest bits: as few of these as `value_range` allows. With 65536 the result is OpenCV's for uint16.
    value_range : (low, high), optional
        What the bins cover, beyond it values count as the nearest; default 0 to 255 for uint8, the frame's least and
        largest value for uint16 (knowing it saves a pass).
    out : of the frame's shape and type, C-contiguous, optional
        Overwritten and returned; must not be the frame.
    num_threads : int
        At most this many threads share a large frame; the result does not depend on it, bit for bit.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = _frame(frame, _UNSIGNED)
    top = int(np.iinfo(image.dtype).max)
    count = (256 if top == 255 else 1024) if bins is None else bins
    if not 2 <= count <= 65536:
        raise ValueError(f"bins: {count} is not between 2 and 65536")
    if not isfinite(clip_limit) or clip_limit < 0:
        raise ValueError(f"clip_limit: {clip_limit} must be finite and not below 0")
    if len(tiles) != 2 or min(tiles) < 1 or max(tiles) > 1024:
        raise ValueError(f"tiles: {tiles} is not (down, across), each from 1 to 1024")
    low, high = _range(image, value_range, top)
    shift = max(0, (high - low).bit_length() - (count - 1).bit_length())
    while ((high - low) >> shift) + 1 > count:
        shift += 1
    loop, area = _tiling(image.shape[0], image.shape[1], *tiles)
    share = clip_limit * area / (((high - low) >> shift) + 1)
    limit = max(1, min(int(share), area)) if clip_limit else 0
    shown = _output(out, image)
    if np.may_share_memory(shown, image):
        raise ValueError("out: must not share memory with the frame")

    def run(begin: int, end: int) -> None:
        loop.run(image, shown, low, high - low, shift, limit, top, begin, end)

    _in_parts(run, tiles[0] + 1, image.size, num_threads)
    return shown


def equalize_histogram(frame: NDArray[Any], *, out: NDArray[Any] | None = None, num_threads: int = 1) -> NDArray[Any]:
    """Each value to its rank, over the whole range of the frame's type; a frame of one value stays as it is.

    Parameters
    ----------
    frame : (rows, columns), uint8 or uint16
        Any row stride, read-only; strided columns are copied first (that allocates).
    out, num_threads
        See `clahe`; `out` may be the frame.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = _frame(frame, _UNSIGNED)
    shown = _output(out, image)
    low, counts = _histogram(image)
    least, top = int(counts[0]), int(np.iinfo(image.dtype).max)
    table = np.full(len(counts), low, image.dtype)
    if image.size > least:
        below = np.cumsum(counts, out=counts)
        for i in range(0, len(table), _PART):  # in parts, for double precision takes much room
            part = slice(i, i + _PART)
            table[part] = np.rint((below[part] - least) * (top / (image.size - least)))

    def run(begin: int, end: int) -> None:
        _COMPILED.look_up(image, table, low, shown, begin, end)

    _in_parts(run, image.shape[0], image.size, num_threads)
    return shown


def percentile_window(frame: NDArray[Any], low: float = 1.0, high: float = 99.0, *, num_threads: int = 1) -> Window:
    """The window between two percentiles of the stored values: `GrayscaleTransform.window(*w, "LINEAR_EXACT")`.

    Parameters
    ----------
    frame : (rows, columns), uint8, uint16 or int16
        Any row stride, read-only; strided columns are copied first (that allocates).
    low, high : float
        Percentiles, 0 to 100, interpolated as NumPy's default. Where they coincide the width is 1.
    num_threads : int
        Accepted like everywhere; one pass on one thread is used.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    if not 0 <= low <= 100:
        raise ValueError(f"low: {low} is not between 0 and 100")
    if not low <= high <= 100:
        raise ValueError(f"high: {high} is not between low and 100")
    image = _frame(frame, _STORED)
    least, counts = _histogram(image)
    below = np.cumsum(counts, out=counts)
    first, last = (_ranked(below, percent / 100 * (image.size - 1)) + least for percent in (low, high))
    return Window((first + last) / 2, last - first if last > first else 1.0)


def _ranked(below: NDArray[np.uint32], rank: float) -> float:
    """The sample of a fractional rank, between its two neighbours."""
    at = int(rank)
    neighbours = np.array((at, min(at + 1, int(below[-1]) - 1)), below.dtype)
    lower, upper = (int(n) for n in np.searchsorted(below, neighbours, side="right"))
    return float(lower + (rank - at) * (upper - lower))


def _histogram(image: NDArray[Any]) -> tuple[int, NDArray[np.uint32]]:
    """The least value, and how often it and each value up to the largest occurs."""
    low, high = _COMPILED.extent(image)
    size = high - low + 1
    counts = np.empty(_COMPILED.tables * size, np.uint32)
    _COMPILED.histogram(image, low, counts)
    return low, counts[:size]


@lru_cache(maxsize=16)
def _tiling(rows: int, columns: int, down: int, across: int) -> tuple[Clahe, int]:
    """The compiled loop of a geometry, and the area of a tile; the last 16 are kept.

    Where either side is no multiple of its tiles, both go on mirrored until they are, as OpenCV has it.
    """
    even = rows % down == 0 and columns % across == 0
    height, width = (rows // down, columns // across) if even else (rows // down + 1, columns // across + 1)
    y_edges, y_way = _cells(rows, down, height)
    x_edges, x_way = _cells(columns, across, width)
    loop: Clahe = _COMPILED.Clahe(y_edges, x_edges, y_way, x_way, height, width)
    return loop, height * width


def _cells(length: int, tiles: int, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Where each cell between tile centres begins, and how far each sample is on its way through its cell."""
    position = np.arange(length) / size - 0.5
    cell = np.floor(position)
    edges = np.searchsorted(cell, np.arange(-1, tiles + 1))
    return edges.astype(np.int32), (position - cell).astype(np.float32)


def _range(image: NDArray[Any], value_range: tuple[int, int] | None, top: int) -> tuple[int, int]:
    if value_range is None:
        return (0, top) if top == 255 else _COMPILED.extent(image)
    low, high = (int(v) for v in value_range)
    if not 0 <= low <= high <= top:
        raise ValueError(f"value_range: {(low, high)} is not (low, high) between 0 and {top}")
    return low, high


def _frame(frame: NDArray[Any], types: tuple[np.dtype[Any], ...]) -> NDArray[Any]:
    """The frame as the loops read it."""
    image = np.asarray(frame)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"frame: shape {image.shape} is not (rows, columns), each at least 1")
    native = image.dtype.newbyteorder("=")
    if native not in types:
        raise ValueError(f"frame: {image.dtype} is not one of {', '.join(str(t) for t in types)}")
    if image.dtype.isnative and image.flags.aligned and image.strides[1] == image.itemsize:
        return image
    return np.array(image, native, order="C")


def _output(out: NDArray[Any] | None, image: NDArray[Any]) -> NDArray[Any]:
    if out is None:
        return np.empty(image.shape, image.dtype)
    if not isinstance(out, np.ndarray) or out.dtype != image.dtype or out.shape != image.shape:
        raise ValueError(f"out: must be a {image.dtype} array of shape {image.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: must be C-contiguous, aligned and writable")
    return out


def _in_parts(run: Callable[[int, int], None], length: int, samples: int, num_threads: int) -> None:
    """`run(begin, end)` over `length`, in as many parts as threads pay."""
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    parts = max(1, min(num_threads, length, samples // _SAMPLES_PER_THREAD))
    if parts == 1:
        run(0, length)
        return
    edges = [length * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(run, edges[:-1], edges[1:]))
