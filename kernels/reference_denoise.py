"""Float64 oracles of the noise filters, from their definitions; slow, and share nothing with the fast path."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_LEAST_WEIGHT = 1e-3


def median_filter(frame: NDArray[Any], size: int) -> Float64:
    """The median of each square; edges repeat."""
    padded = np.pad(np.asarray(frame, np.float64), size // 2, mode="edge")
    squares = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    middle: Float64 = np.median(squares, axis=(2, 3))
    return middle


def bilateral_filter(frame: NDArray[Any], diameter: int, sigma_value: float, sigma_space: float) -> Float64:
    """Weights exp(-d^2 / 2 sigma_space^2 - (difference)^2 / 2 sigma_value^2) within the circle; edges are mirrored."""
    image, reach = np.asarray(frame, np.float64), diameter // 2
    padded = np.pad(image, reach, mode="reflect")
    total, weights = np.zeros_like(image), np.zeros_like(image)
    for down, across in np.argwhere(np.ones((diameter, diameter))):
        squared = (down - reach) ** 2 + (across - reach) ** 2
        if squared > reach**2:
            continue
        other = padded[down : down + image.shape[0], across : across + image.shape[1]]
        weight = np.exp(-squared / (2 * sigma_space**2) - (other - image) ** 2 / (2 * sigma_value**2))
        total += weight * other
        weights += weight
    return total / weights


def non_local_means(frame: NDArray[Any], strength: float, patch: int, search: int, *, squared: bool) -> Float64:
    """Weights exp(-distance / strength^2), the distance of two patches being the mean of their squared differences.

    Without `squared` it is the square of the mean of their absolute differences. Weights below a thousandth count as
    nothing. Edges are mirrored.
    """
    image, near, far = np.asarray(frame, np.float64), patch // 2, search // 2
    padded = np.pad(image, near + far, mode="reflect")
    rows, columns = image.shape
    centre = padded[far : far + rows + 2 * near, far : far + columns + 2 * near]
    total, weights = np.zeros_like(image), np.zeros_like(image)
    for down, across in np.argwhere(np.ones((search, search))):
        other = padded[down : down + rows + 2 * near, across : across + columns + 2 * near]
        difference = (other - centre) ** 2 if squared else np.abs(other - centre)
        mean = np.lib.stride_tricks.sliding_window_view(difference, (patch, patch)).mean(axis=(2, 3))
        weight = np.exp(-(mean if squared else mean**2) / strength**2)
        weight[weight < _LEAST_WEIGHT] = 0.0
        total += weight * other[near : near + rows, near : near + columns]
        weights += weight
    return total / weights
