"""Noise removal: `median_filter`, `bilateral_filter`, `non_local_means`; stored values in, the same type out.

OpenCV computes them; here is what it leaves to its callers: any strides, integers rounded by the bilateral filter,
signed 16 bits for non-local means, threads that change no bit, scratch memory of a few rows, errors that
name the argument.
What it cannot compute is refused, never converted to 8 bits in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import arguments

Array = NDArray[Any]

_U8, _U16, _S16, _F32 = (np.dtype(kind) for kind in (np.uint8, np.uint16, np.int16, np.float32))
_ALL = (_U8, _U16, _S16, _F32)
_SIGN = _U16.type(0x8000)
_MOST_SIDE = 255
_MOST_SEARCH = 63


def median_filter(frame: Array, size: int = 3, *, out: Array | None = None, num_threads: int = 1) -> Array:
    """The median of the square around each sample; at the edges the outermost samples are repeated.

    Parameters
    ----------
    frame : (rows, columns), uint8, uint16, int16 or float32
        Any row stride, read-only; strided columns are copied first (that allocates).
    size : int
        Side of the square in samples: 3 or 5; for uint8 any odd number up to 255.
    out : of the frame's shape and type, C-contiguous, optional
        Overwritten and returned; must not share memory with the frame.
    num_threads : int
        At most this many threads share a large frame; the result does not depend on it, bit for bit.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = arguments.gray(frame, _ALL)
    _check_odd("size", size, 3, _MOST_SIDE)
    if size > 5 and image.dtype != _U8:
        raise ValueError(f"size: {size} is offered for uint8 only, not for {image.dtype}; try: 3 or 5")
    shown = arguments.output(out, image.shape, image.dtype, image)
    from kernels import _opencv

    if arguments.threads(num_threads) == 1:
        _opencv.median(image, size, shown)
        return shown

    def run(part: Array) -> Array:
        made = np.empty_like(part)
        _opencv.median(part, size, made)
        return made

    _in_strips(run, image, shown, size // 2, num_threads)
    return shown


def bilateral_filter(
    frame: Array,
    diameter: int = 5,
    sigma_value: float = 30.0,
    sigma_space: float = 3.0,
    *,
    out: Array | None = None,
    num_threads: int = 1,
) -> Array:
    """A mean weighted by distance and by difference of value (both Gaussian): smooths areas, keeps edges.

    Integers go through float32 a few rows at a time and are rounded to the nearest: OpenCV's own filter of uint8 cuts
    off in narrow frames, and has no 16 bits.

    Parameters
    ----------
    frame : (rows, columns), uint8, uint16, int16 or float32
        See `median_filter`; mirrored at its edges.
    diameter : int
        Of the circle that is looked at, in samples; odd, 3 to 63.
    sigma_value : float
        In units of the frame's values: differences well above it count as edges.
    sigma_space : float
        In samples.
    out, num_threads
        See `median_filter`.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = arguments.gray(frame, _ALL)
    _check_odd("diameter", diameter, 3, _MOST_SEARCH)
    _check_positive("sigma_value", sigma_value)
    _check_positive("sigma_space", sigma_space)
    shown = arguments.output(out, image.shape, image.dtype, image)
    from kernels import _opencv

    def run(part: Array) -> Array:
        smooth = np.empty(part.shape, _F32)
        _opencv.bilateral(part.astype(_F32, copy=False), diameter, sigma_value, sigma_space, smooth)
        return smooth if part.dtype == _F32 else np.rint(smooth, out=smooth)

    _in_strips(run, image, shown, diameter // 2, num_threads)
    return shown


def non_local_means(
    frame: Array,
    strength: float = 10.0,
    patch: int = 7,
    search: int = 21,
    *,
    out: Array | None = None,
    num_threads: int = 1,
) -> Array:
    """A mean over samples whose surroundings look alike (non-local means). Slow: about 150 ms for 512 x 512.

    Surroundings are compared by mean squared differences for uint8, by mean absolute differences for 16 bits.

    Parameters
    ----------
    frame : (rows, columns), uint8, uint16 or int16
        See `median_filter`; float32 is refused, for OpenCV has no such filter.
    strength : float
        In units of the frame's values: about the standard deviation of the noise.
    patch, search : int
        Sides of what is compared and of where it is looked for, in samples; odd, 3 to 63.
    out, num_threads
        See `median_filter`.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    image = arguments.gray(frame, (_U8, _U16, _S16))
    _check_positive("strength", strength)
    _check_odd("patch", patch, 3, _MOST_SEARCH)
    _check_odd("search", search, 3, _MOST_SEARCH)
    shown = arguments.output(out, image.shape, image.dtype, image)
    from kernels import _opencv

    def run(part: Array) -> Array:
        # turning the sign bit keeps order and differences
        words = part.view(_U16) ^ _SIGN if part.dtype == _S16 else part
        made = np.empty(part.shape, words.dtype)
        _opencv.non_local_means(words, strength, patch, search, made)
        return (made ^ _SIGN).view(_S16) if part.dtype == _S16 else made

    _in_strips(run, image, shown, search // 2 + patch // 2, num_threads)
    return shown


def _in_strips(run: Callable[[Array], Array], image: Array, shown: Array, reach: int, num_threads: int) -> None:
    """`run` over strips that overlap by as many rows as a sample looks at, so that what is kept never sees a cut.

    The strips depend on the frame alone: threads change no bit.
    """
    rows = image.shape[0]
    height = max(16, 8 * reach)

    def strip(begin: int) -> None:
        end = min(begin + height, rows)
        first, last = max(0, begin - reach), min(rows, end + reach)
        np.copyto(shown[begin:end], run(image[first:last])[begin - first : end - first], casting="unsafe")

    begins = range(0, rows, height)
    workers = min(arguments.threads(num_threads), len(begins))
    if workers == 1:
        for begin in begins:
            strip(begin)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(strip, begins))


def _check_odd(name: str, value: int, least: int, most: int) -> None:
    if not (isinstance(value, int) and least <= value <= most and value % 2):
        raise ValueError(f"{name}: {value} is not an odd number from {least} to {most}")


def _check_positive(name: str, value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value} must be finite and above 0")
