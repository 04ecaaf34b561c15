"""A frame to the tensor that the manifest describes: window, polarity, resize, channels, normalise (DESIGN 9).

Comes in: a decoded frame, its image's attributes, one `Input` of the manifest. Goes out: a float32 tensor. Nothing
is implied: every choice is the signed manifest's, every number the image's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer.header import values
from edge.infer.pixels import Frame
from edge.infer.refusal import Refusal
from edge.packages.manifest import Input, Preprocess, Window
from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor

Tensor = npt.NDArray[np.float32]

_TAKEN = ("MONOCHROME1", "MONOCHROME2", "RGB")
_PLAIN = (
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
    "PresentationLUTShape", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_VOI = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")


def prepare(frame: Frame, dataset: Dataset, entry: Input) -> Tensor:
    """The input tensor of one frame, of `entry.shape`.

    Raises
    ------
    Refusal
        `unsupported-pixels` when the image's pixels cannot become what the manifest describes.
    """
    if frame.photometric_interpretation not in _TAKEN:
        raise Refusal("unsupported-pixels", "the Photometric Interpretation is not taken")
    steps = entry.preprocess
    channels = _extent(entry)[2]
    try:
        attributes = _attributes(frame, dataset)
        shape = (int(frame.array.shape[0]), int(frame.array.shape[1]))
        return frame_to_tensor(
            frame.array, _transform(frame, attributes, steps), resampling(shape, dataset, entry),
            mean=_per_channel(steps.mean, channels), std=_per_channel(steps.std, channels), scale=steps.scale,
            channels=channels, layout=entry.layout, pad_value=steps.pad_value,
        )  # fmt: skip
    except (ValueError, TypeError, LookupError, ArithmeticError):
        raise Refusal("unsupported-pixels", "the image's grayscale attributes cannot be followed") from None


def resampling(shape: tuple[int, int], dataset: Dataset, entry: Input) -> ResamplePlan:
    """How a frame of `shape` (rows, columns) becomes the grid of the tensor. Raises ValueError, and Refusal."""
    rows, columns, _ = _extent(entry)
    resize = entry.preprocess.resize
    aspect = _pixel_aspect_ratio(dataset)
    return ResamplePlan(shape, (rows, columns), filter=resize.filter, mode=resize.mode, pixel_aspect_ratio=aspect)


def statistics(tensor: Tensor) -> dict[str, float]:
    """What the manifest's rules about the input look at (applicability.STATISTICS)."""
    return {
        "InputMean": float(tensor.mean(dtype=np.float64)),
        "InputStandardDeviation": float(tensor.std(dtype=np.float64)),
        "InputMinimum": float(tensor.min()),
        "InputMaximum": float(tensor.max()),
    }


def _extent(entry: Input) -> tuple[int, int, int]:
    """Rows, columns and channels of the tensor."""
    _, a, b, c = entry.shape
    return (b, c, a) if entry.layout == "NCHW" else (a, b, c)


def _per_channel(numbers: tuple[float, ...], channels: int) -> list[float]:
    return list(numbers) * channels if len(numbers) == 1 else list(numbers)


def _attributes(frame: Frame, dataset: Dataset) -> dict[str, Any]:
    """What `kernels` reads, as plain values."""
    attributes: dict[str, Any] = {keyword: list(found) for keyword in _PLAIN if (found := values(dataset, keyword))}
    for keyword in _TABLES:
        if keyword in dataset and dataset[keyword].value:
            item = dataset[keyword].value[0]
            attributes[keyword] = [{name: _plain(item[name].value) for name in ("LUTDescriptor", "LUTData")}]
    attributes["PhotometricInterpretation"] = frame.photometric_interpretation
    return attributes


def _plain(value: Any) -> Any:
    return value if isinstance(value, bytes | int) else [int(each) for each in value]


def _transform(frame: Frame, attributes: Mapping[str, Any], steps: Preprocess) -> GrayscaleTransform:
    polarity: Literal["as displayed", "stored"] = "as displayed" if steps.polarity == "as-displayed" else "stored"
    window = steps.window
    chosen = dict(attributes)
    if window.kind != "voi":
        for keyword in _VOI:
            chosen.pop(keyword, None)
    if window.kind == "fixed":
        chosen |= {"WindowCenter": window.center, "WindowWidth": window.width}
    elif window.kind == "percentile" and frame.photometric_interpretation != "RGB":
        chosen |= _percentile_window(frame, attributes, window)
    return GrayscaleTransform.from_attributes(chosen, polarity)


def _percentile_window(frame: Frame, attributes: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """The two percentiles of the frame, in modality units, become 0 and 1."""
    if "ModalityLUTSequence" in attributes:
        raise Refusal("unsupported-pixels", "percentiles behind a modality table are not offered")
    low, high = np.percentile(frame.array, [window.low or 0.0, 100.0 if window.high is None else window.high])
    slope = float(attributes.get("RescaleSlope", ["1"])[0])
    intercept = float(attributes.get("RescaleIntercept", ["0"])[0])
    ends = sorted((float(low) * slope + intercept, float(high) * slope + intercept))
    # an even frame has no range; the smallest one that a number of this size can carry makes it half or nothing
    width = max(ends[1] - ends[0], 1e-6 * max(1.0, abs(sum(ends))))
    return {"WindowCenter": sum(ends) / 2, "WindowWidth": width, "VOILUTFunction": "LINEAR_EXACT"}


def _pixel_aspect_ratio(dataset: Dataset) -> float:
    """Height of a stored pixel divided by its width; 1 when nothing says otherwise."""
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        found = values(dataset, keyword)
        if len(found) == 2:
            return float(found[0]) / float(found[1])
    return 1.0
