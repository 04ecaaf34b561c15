"""Fused DICOM-frame-to-tensor kernels, without the GIL; NumPy is the only import and `edge` is not needed.

    transform = GrayscaleTransform.from_attributes(attributes)       # stored value -> 0..1 as displayed
    plan = ResamplePlan((3000, 3000), (512, 512), filter="area", mode="letterbox")
    tensor = frame_to_tensor(frame, transform, plan, mean=0.5, std=0.25, out=tensor)

The order is fixed: grayscale transform, then resize, then normalise. Resizing first is another function: it differs
by up to 0.2 of the normalised range at edges. `kernels.reference` is the float64 oracle of everything here.
"""

from kernels.align import Aligned, align
from kernels.alignment import Alignment, Placement
from kernels.colour import colour_to_tensor
from kernels.components import (
    COMPONENT_2D,
    COMPONENT_3D,
    component_contours,
    heatmap_components,
    mask_components,
)
from kernels.denoise import bilateral_filter, median_filter, non_local_means
from kernels.dispatch import build
from kernels.enhance import clahe, equalize_histogram, percentile_window
from kernels.frame import frame_to_tensor
from kernels.grayscale import GrayscaleTransform
from kernels.multiwindow import multiwindow_to_tensor
from kernels.palette import Palette
from kernels.polarity import polarity
from kernels.prepared import FrameKernel
from kernels.resample import ResamplePlan
from kernels.rle import rle_decode
from kernels.volume import VolumeGrid, volume_resample

__all__ = [
    "COMPONENT_2D",
    "COMPONENT_3D",
    "Aligned",
    "Alignment",
    "FrameKernel",
    "GrayscaleTransform",
    "Palette",
    "Placement",
    "ResamplePlan",
    "VolumeGrid",
    "align",
    "bilateral_filter",
    "build",
    "clahe",
    "colour_to_tensor",
    "component_contours",
    "equalize_histogram",
    "frame_to_tensor",
    "heatmap_components",
    "mask_components",
    "median_filter",
    "multiwindow_to_tensor",
    "non_local_means",
    "percentile_window",
    "polarity",
    "rle_decode",
    "volume_resample",
]
