"""Libraries that `edge bench kernels` is measured against where they are installed: torch, SimpleITK, scikit-image.

None is a dependency of Edge; `pip install 'edge-imaging[bench]'` brings the versions that the goals were set against.
Each is limited to one thread. A library that is not here has no row.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from kernels import VolumeGrid

Run = Callable[[Any], Any]

NAMES = ("opencv-python-headless", "torch", "SimpleITK", "scikit-image")


def versions() -> dict[str, str]:
    """Of the peers that are here."""
    found = {}
    for name in NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def torch_triangle(
    out_shape: tuple[int, int], clip: tuple[int, int], gain: list[float], offset: list[float]
) -> dict[str, Run]:
    """Clamp, then bilinear with antialias=True, the triangle filter that torch and PIL share; then gain and offset."""
    if not importlib.util.find_spec("torch"):
        return {}
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    resize = torch.nn.functional.interpolate
    slopes, shifts = (torch.tensor(each, dtype=torch.float32).reshape(1, -1, 1, 1) for each in (gain, offset))

    def chain(frame: Any) -> Any:
        with torch.inference_mode():
            image = torch.from_numpy(frame.astype(np.float32))[None, None].clamp_(*clip)
            small = resize(image, size=out_shape, mode="bilinear", antialias=True, align_corners=False)
            return (small * slopes + shifts).numpy()

    return {"torch clamp, interpolate(antialias=True)": chain}


def simpleitk_resample(volume: Any, grid: VolumeGrid) -> dict[str, Run]:
    """Linear interpolation on the same grid; the image is made beforehand, so only the filter is timed."""
    if not importlib.util.find_spec("SimpleITK"):
        return {}
    sitk: Any = importlib.import_module("SimpleITK")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing(grid.spacing[::-1])
    made = sitk.ResampleImageFilter()
    made.SetSize([int(n) for n in grid.out_shape[::-1]])
    made.SetOutputSpacing(grid.new_spacing[::-1])
    made.SetInterpolator(sitk.sitkLinear)
    made.SetOutputPixelType(sitk.sitkFloat32)
    return {"SimpleITK Resample, linear": lambda _: sitk.GetArrayViewFromImage(made.Execute(image))}


def skimage_equalize() -> dict[str, Run]:
    """equalize_hist with all 65536 bins; its 0..1 is scaled to 16 bits outside of what is timed."""
    if not importlib.util.find_spec("skimage"):
        return {}
    exposure: Any = importlib.import_module("skimage.exposure")
    return {"scikit-image equalize_hist": lambda frame: exposure.equalize_hist(frame, nbins=65536)}


def skimage_areas(threshold: float) -> dict[str, Run]:
    """label, then areas and boxes as a table."""
    if not importlib.util.find_spec("skimage"):
        return {}
    measure: Any = importlib.import_module("skimage.measure")

    def run(heat: Any) -> Any:
        labels = measure.label(heat > threshold, connectivity=2)
        return measure.regionprops_table(labels, heat, properties=("area", "bbox", "centroid", "intensity_max"))["area"]

    return {"scikit-image label, regionprops_table": run}
