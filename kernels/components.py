"""What stands out in a heat map or a mask: boxes, areas, centroids, values, outlines.

Coordinates are those of SCOORD, corner origin: (column, row), in volumes (column, row, slice); the first pixel spans 0
to 1. So a box is the rectangle to report, and a centroid or an outline goes through `to_stored` as it is.
"""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import arguments
from kernels.dispatch import compiled

Records = NDArray[np.void]


def _record(axes: int) -> np.dtype[np.void]:
    fields: list[tuple[Any, ...]] = [
        ("centroid", np.float64, axes),
        ("mean", np.float64),
        ("area", np.int64),
        ("box", np.int32, 2 * axes),
        ("seed", np.int32, axes),
        ("max", np.float32),
    ]
    return np.dtype(fields, align=True)


COMPONENT_2D = _record(2)
"""box: left, top, right, bottom; area in pixels; seed: the topmost, then leftmost pixel, (column, row)."""
COMPONENT_3D = _record(3)
"""box: left, top, front, right, bottom, back; area in voxels; centroid and seed are (column, row, slice)."""

_COMPILED = compiled("_components")
_FIRST_GUESS = 256


def heatmap_components(
    heatmap: NDArray[Any],
    threshold: float,
    *,
    diagonals: bool = True,
    labels: NDArray[np.int32] | None = None,
    out: Records | None = None,
    num_threads: int = 1,
) -> Records:
    """Connected regions where the map is above the threshold, as records in order of their first pixel.

    Parameters
    ----------
    heatmap : (rows, columns) or (slices, rows, columns)
        Any numeric type, any strides, read-only; float32 with columns side by side is read fastest. NaN is above
        nothing.
    threshold : float
        As float32.
    diagonals : bool
        Whether touching corners connect (8 neighbours, in volumes 26), else edges only (4, in volumes faces: 6).
    labels : int32, C-contiguous, of the map's shape, optional
        Overwritten: 0 outside, else 1 + the index of the record. `mask_components(labels[k] == n)` gives the pieces of
        a component in one slice, for outlines in that image.
    out : COMPONENT_2D or COMPONENT_3D records, C-contiguous, optional
        Overwritten from the start; what is returned is the part of it that was filled.
    num_threads : int
        Accepted like everywhere; one pass on one thread is as fast as memory, so more are not used.

    Returns
    -------
    COMPONENT_2D or COMPONENT_3D records; `mean` and `max` are of the map's values.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    array = _numeric("heatmap", heatmap)
    if isnan(threshold):
        raise ValueError("threshold: must be a number")
    return _find(array, array, "heatmap", threshold, diagonals, labels, out, num_threads)


def mask_components(
    mask: NDArray[Any],
    values: NDArray[Any] | None = None,
    *,
    diagonals: bool = True,
    labels: NDArray[np.int32] | None = None,
    out: Records | None = None,
    num_threads: int = 1,
) -> Records:
    """Connected regions where the mask is not 0, as records in order of their first pixel.

    Parameters
    ----------
    mask : (rows, columns) or (slices, rows, columns)
        bool and uint8 are read fastest; see `heatmap_components` for all else.
    values : of the mask's shape, optional
        What `mean` and `max` are of, as float32; without it both are 1.
    """
    array = _numeric("mask", mask)
    measured = None
    if values is not None:
        measured = _numeric("values", values)
        if measured.shape != array.shape:
            raise ValueError(f"values: shape {measured.shape} is not the mask's {array.shape}")
    return _find(array, measured, "mask", None, diagonals, labels, out, num_threads)


def component_contours(
    image: NDArray[Any], threshold: float, components: Records, *, diagonals: bool = True
) -> list[NDArray[np.int32]]:
    """The outer outline of each component: a closed polygon along pixel edges, as SCOORD POLYLINE wants it.

    Parameters
    ----------
    image : (rows, columns)
        The heat map or, with threshold 0, the mask that the components were found in.
    threshold, diagonals
        Those that the components were found with.
    components : COMPONENT_2D records

    Returns
    -------
    One int32 (n, 2) array per component: (column, row), corner origin, clockwise as displayed, the first point
    repeated at the end. Holes are not outlined. With `diagonals` an outline may touch itself in a point.
    """
    array = _numeric("image", image)
    if array.ndim != 2:
        raise ValueError(f"image: shape {array.shape} is not (rows, columns)")
    if components.dtype != COMPONENT_2D:
        raise ValueError("components: must be COMPONENT_2D records")
    return [_outline(array, threshold, each["seed"].tolist(), diagonals) for each in components]


def _outline(samples: NDArray[Any], threshold: float, seed: list[int], diagonals: bool) -> NDArray[np.int32]:
    column, row = seed
    inside = 0 <= column < samples.shape[1] and 0 <= row < samples.shape[0]
    if not inside or not np.float32(samples[row, column]) > np.float32(threshold):
        raise ValueError("components: one of them was not found in this image with this threshold")
    points = np.empty((_FIRST_GUESS, 2), np.int32)
    count = _COMPILED.trace(samples, _type(samples, 4), threshold, column, row, diagonals, points)
    if count > len(points):
        points = np.empty((count, 2), np.int32)
        _COMPILED.trace(samples, _type(samples, 4), threshold, column, row, diagonals, points)
    return points[:count].copy()


def _find(
    samples: NDArray[Any],
    values: NDArray[Any] | None,
    name: str,
    threshold: float | None,
    diagonals: bool,
    labels: NDArray[np.int32] | None,
    out: Records | None,
    num_threads: int,
) -> Records:
    """Run the compiled scan; an image is a volume of one row per slice to it. Without a threshold, inside is not 0."""
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    if samples.ndim not in (2, 3) or samples.size == 0 or max(samples.shape) >= 1 << 31:
        raise ValueError(f"{name}: shape {samples.shape} is not (rows, columns) or (slices, rows, columns)")
    flat = samples.ndim == 2
    if labels is not None:
        _check("labels", labels, np.dtype(np.int32))
        if labels.shape != samples.shape:
            raise ValueError(f"labels: must be of shape {samples.shape}")
    if out is not None:
        _check("out", out, COMPONENT_2D if flat else COMPONENT_3D)
    as_volume = (slice(None), None) if flat else ()
    found = _COMPILED.Components(
        samples[as_volume],
        _type(samples, 1 if threshold is None else 4),
        threshold is not None,
        threshold or 0.0,
        None if values is None else values[as_volume],
        None if values is None else _type(values, 4),
        None if labels is None else labels[as_volume],
        diagonals,
    )
    if out is None:
        out = np.empty(found.count, COMPONENT_2D if flat else COMPONENT_3D)
    elif out.ndim != 1 or len(out) < found.count:
        raise ValueError(f"out: has room for {out.size} components, {found.count} were found")
    found.write(out.view(np.int8), flat)
    return out[: found.count]


def _numeric(name: str, array: ArrayLike) -> NDArray[Any]:
    numbers = np.asarray(array)
    if numbers.dtype.kind not in "buif":
        raise ValueError(f"{name}: {numbers.dtype} is not a numeric type")
    return numbers if numbers.dtype.kind != "f" or numbers.dtype.itemsize in (4, 8) else numbers.astype(np.float32)


def _type(samples: NDArray[Any], size: int) -> tuple[bool, str, bool]:
    """(plain, kind, swapped): whether rows are read as they are, float32 (size 4) or bytes (1); else what they hold."""
    kind, swapped = arguments.sample_type(samples.dtype)
    same = samples.itemsize == size and (size == 1 or kind == "f") and not swapped and samples.flags.aligned
    return same and samples.strides[-1] == samples.itemsize, kind, swapped


def _check(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise ValueError(f"{name}: must be an array of {dtype}")
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        raise ValueError(f"{name}: must be C-contiguous, aligned and writable")
