"""The steps of a manifest beyond window and resize: align, denoise, contrast; and the way back of what was aligned.

The worker aligns, for only it has pixels; it answers with the record of each frame (`told`), from which the room lays
what was found onto the stored image (`placed`). A record from a worker can shift an outline, as any map of its can,
but not say anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer.header import values
from edge.infer.refusal import Refusal
from edge.packages.steps import Align, Contrast, Denoise
from kernels import (
    Aligned,
    Alignment,
    GrayscaleTransform,
    align,
    bilateral_filter,
    clahe,
    equalize_histogram,
    median_filter,
    non_local_means,
    percentile_window,
)

Pixels = npt.NDArray[Any]

_ORIENTATION = (
    "PatientOrientation", "ImageOrientationPatient", "FieldOfViewRotation", "FieldOfViewHorizontalFlip",
)  # fmt: skip
_ROWS_AT_ONCE = 64
_MOST_STRETCH = 1e-3


def aligned(frame: Pixels, dataset: Dataset, step: Align, pixel_aspect_ratio: float) -> Aligned:
    """The frame in the view that the package wants. Raises Refusal (`unsupported-pixels`) and ValueError."""
    attributes = {keyword: list(values(dataset, keyword)) for keyword in _ORIENTATION}
    rest: dict[str, Any] = {
        "crop": step.crop == "collimation", "deskew": step.deskew_degrees, "pixel_aspect_ratio": pixel_aspect_ratio,
    }  # fmt: skip
    try:
        return align(frame, attributes, orientation=step.orientation, view=step.view, **rest)
    except ValueError:
        if step.orientation == "none" or step.unknown == "refuse":
            raise Refusal("unsupported-pixels", "the image cannot be brought to the package's view") from None
        return align(frame, **rest)


def denoised(frame: Pixels, step: Denoise) -> Pixels:
    """The frame without so much noise. Raises ValueError where the filter does not take such pixels."""
    if step.method == "none":
        return frame
    if step.method == "median":
        return median_filter(frame, step.size)
    strength = step.strength * percentile_window(frame).width
    if step.method == "bilateral":
        return bilateral_filter(frame, step.size, strength, step.size / 2)
    return non_local_means(frame, strength, search=step.size)


def contrasted(frame: Pixels, transform: GrayscaleTransform, step: Contrast) -> tuple[Pixels, GrayscaleTransform]:
    """The displayed picture with more contrast, 16 bits, and how it is shown. Raises ValueError for colours."""
    if step.method == "none":
        return frame, transform
    shown = np.empty(frame.shape, np.uint16)
    for begin in range(0, len(frame), _ROWS_AT_ONCE):
        part = slice(begin, begin + _ROWS_AT_ONCE)
        np.rint(transform.apply(frame[part]) * 65535, out=shown[part], casting="unsafe")
    if step.method == "clahe":
        return clahe(shown, step.tiles, step.clip_limit), GrayscaleTransform.full_range(16)
    return equalize_histogram(shown, out=shown), GrayscaleTransform.full_range(16)


def told(alignment: Alignment) -> tuple[float, ...]:
    """The record as numbers: rows and columns of the aligned frame, then its matrix."""
    return (*map(float, alignment.out_shape), *alignment.matrix)


def placed(numbers: Sequence[float], in_shape: tuple[int, int]) -> Alignment:
    """The record of numbers that a worker told, on a stored frame of `in_shape`. Raises Refusal (`bad-output`)."""
    try:
        rows, columns, *matrix = numbers
        a, b, c, d, e, f = matrix
        record = Alignment(in_shape, (int(rows), int(columns)), (a, b, c, d, e, f))
    except (ValueError, OverflowError):
        raise Refusal("bad-output", "how the frame was aligned is no record") from None
    if abs(abs(a * e - b * d) - 1) > _MOST_STRETCH or max(record.out_shape) > max(in_shape):
        raise Refusal("bad-output", "aligning stretches nothing")
    return record
