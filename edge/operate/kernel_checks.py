"""Every compiled kernel on a small input of its own, beside the float64 oracle of what it must give.

For `edge doctor`: a build or a processor that computes wrongly shows here before any image meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from kernels import (
    reference,
    reference_components,
    reference_denoise,
    reference_enhance,
    reference_rle,
    reference_volume,
)

Array = npt.NDArray[Any]


def errors() -> dict[str, float]:
    """By kernel, its largest error in shares of what is allowed: above 1 is wrong, and so is what is not a number."""
    return {name: check() for name, check in CHECKS.items()}


def _share(ours: Any, oracle: Any, allowed: float) -> float:
    ours, oracle = np.asarray(ours, np.float64), np.asarray(oracle, np.float64)
    return float(np.abs(ours - oracle).max()) / allowed if ours.shape == oracle.shape else float("inf")


def _stored(shape: tuple[int, ...], top: int = 4096) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(7).integers(0, top, shape, np.uint16)


def _frame() -> float:
    frame = _stored((301, 233))
    plan = kernels.ResamplePlan((301, 233), (96, 96), filter="area", mode="letterbox")
    transform = kernels.GrayscaleTransform.window(2000.0, 3000.0)
    ours = kernels.frame_to_tensor(frame, transform, plan, mean=0.5, std=0.25)
    shown = reference.window(frame, 2000.0, 3000.0)
    oracle = reference.frame_to_tensor(shown, (96, 96), mode="letterbox", mean=0.5, std=0.25)
    return _share(ours, oracle, 2e-6 * float(np.ptp(oracle)))


def _windows() -> float:
    volume = (_stored((3, 70, 90)).astype(np.int16) - 1000).astype(np.int16)
    centers = ((-600.0, 1500.0), (40.0, 400.0))
    transforms = [kernels.GrayscaleTransform.window(*each, signed=True) for each in centers]
    ours = kernels.multiwindow_to_tensor(volume, transforms, kernels.ResamplePlan((70, 90), (32, 40)))
    oracle = reference.multiwindow(volume, [{"center": c, "width": w} for c, w in centers], (32, 40))
    return _share(ours, oracle, 2e-6)


def _volume() -> float:
    volume = _stored((9, 40, 50))
    spacing, even = (2.0, 0.7, 0.7), (1.0, 1.0, 1.0)
    ours = kernels.volume_resample(volume, spacing, even, intercept=-1024.0)
    oracle = reference_volume.volume_resample(volume, spacing, even, intercept=-1024.0)
    return _share(ours, oracle, 1e-3)


def _clahe() -> float:
    frame = _stored((96, 128))
    extent = (int(frame.min()), int(frame.max()))
    oracle = reference_enhance.clahe(frame, (8, 8), 2.0, 1024, extent)
    return _share(kernels.clahe(frame, (8, 8), 2.0, 1024), oracle, 1.51)


def _equalize() -> float:
    frame = _stored((96, 128))
    return _share(kernels.equalize_histogram(frame), reference_enhance.equalize_histogram(frame), 0.51)


def _components() -> float:
    heat = np.random.default_rng(7).random((60, 70), np.float32)
    ours = kernels.heatmap_components(heat, 0.7)
    oracle = reference_components.components(heat > 0.7, heat)
    return max(
        _share(ours["area"], [each["area"] for each in oracle], 0.5),
        _share(ours["max"], [each["max"] for each in oracle], 1e-6),
    )


def _rle() -> float:
    planes = [bytes([129, 5, 3, 1, 2, 3, 4, 129, 9, 129, 7]), bytes([129, 0, 3, 9, 8, 7, 6, 129, 1, 129, 2])]
    offsets = [64, 64 + len(planes[0]) + 1]
    header = np.array([2, *offsets, *[0] * 13], "<u4").tobytes()
    data = header + planes[0] + b"\0" + planes[1] + b"\0"
    oracle = reference_rle.decode(data, 388, 1, 2)
    if oracle is None:
        return float("inf")
    return _share(kernels.rle_decode(data, (97, 4), np.uint16).ravel(), oracle.ravel(), 0.5)


def _median() -> float:
    frame = _stored((50, 60))
    return _share(kernels.median_filter(frame, 5), reference_denoise.median_filter(frame, 5), 0.5)


CHECKS: Mapping[str, Callable[[], float]] = MappingProxyType(
    {
        "frame_to_tensor": _frame,
        "multiwindow_to_tensor": _windows,
        "volume_resample": _volume,
        "clahe": _clahe,
        "equalize_histogram": _equalize,
        "heatmap_components": _components,
        "rle_decode": _rle,
        "median_filter": _median,
    }
)
