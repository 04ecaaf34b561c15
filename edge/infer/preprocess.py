"""A frame to the tensor that the manifest describes: align, denoise, window, polarity, contrast, resize, normalise.

Comes in: a decoded frame, its image's attributes, one `Input` of the manifest. Goes out: a float32 tensor, and how it
lies on the stored frame. Nothing is implied: every choice is the signed manifest's, every number the image's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer import steps
from edge.infer.header import number, values
from edge.infer.pixels import Frame
from edge.infer.refusal import Refusal
from edge.packages.manifest import Input, Preprocess, Window
from kernels import Aligned, Alignment, GrayscaleTransform, Placement, ResamplePlan, frame_to_tensor, polarity

Tensor = npt.NDArray[np.float32]

_TAKEN = ("MONOCHROME1", "MONOCHROME2", "RGB")
_PLAIN = (
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
    "PresentationLUTShape", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_VOI = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An input tensor, and how the stored frame was aligned before it was resized."""

    tensor: Tensor
    alignment: Alignment


def prepare(frame: Frame, dataset: Dataset, entry: Input) -> Tensor:
    """The input tensor of one frame, of `entry.shape`; raises as `prepared`."""
    return prepared(frame, dataset, entry).tensor


def prepared(frame: Frame, dataset: Dataset, entry: Input) -> Prepared:
    """The input tensor of one frame, of `entry.shape`, with the way back to the stored pixels.

    Raises
    ------
    Refusal
        `unsupported-pixels` when the image's pixels cannot become what the manifest describes.
    """
    if frame.photometric_interpretation not in _TAKEN:
        raise Refusal("unsupported-pixels", "the Photometric Interpretation is not taken")
    wanted = entry.preprocess
    channels = _extent(entry)[2]
    try:
        attributes = _attributes(frame, dataset)
        upright, alignment = _aligned(frame, dataset, wanted)
        _check_filters(attributes, wanted)
        clean = Frame(steps.denoised(upright, wanted.denoise), frame.photometric_interpretation)
        shown, transform = steps.contrasted(clean.array, _transform(clean, attributes, wanted), wanted.contrast)
        tensor = frame_to_tensor(
            shown, transform, resampling(alignment, dataset, entry),
            mean=_per_channel(wanted.mean, channels), std=_per_channel(wanted.std, channels), scale=wanted.scale,
            channels=channels, layout=entry.layout, pad_value=wanted.pad_value,
        )  # fmt: skip
        return Prepared(tensor, alignment)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        raise Refusal("unsupported-pixels", "the image's pixels or attributes cannot be followed") from None


def resampling(aligned: Alignment | tuple[int, int], dataset: Dataset, entry: Input) -> ResamplePlan:
    """How an aligned frame, or a stored one of a shape (rows, columns), becomes the grid of the tensor.

    Raises ValueError, and Refusal.
    """
    if isinstance(aligned, tuple):
        aligned = Alignment(aligned, aligned)
    rows, columns, _ = _extent(entry)
    resize = entry.preprocess.resize
    aspect = _pixel_aspect_ratio(dataset)
    return ResamplePlan(
        aligned.out_shape, (rows, columns), filter=resize.filter, mode=resize.mode,
        pixel_aspect_ratio=1 / aspect if aligned.is_transposed else aspect,
    )  # fmt: skip


def placement(dataset: Dataset, entry: Input, told: Sequence[float] = ()) -> Placement:
    """How the tensor of `entry` lies on the stored image; `told`: how the worker aligned it, where it was asked to.

    Raises Refusal (`bad-output`) where that is missing or no record.
    """
    shape = (number(dataset, "Rows", 0), number(dataset, "Columns", 0))
    try:
        alignment = Alignment(shape, shape) if entry.preprocess.align.is_off else steps.placed(told, shape)
        return Placement(alignment, resampling(alignment, dataset, entry))
    except ValueError:
        raise Refusal("bad-output", "what was found cannot be laid over the image") from None


def polarity_of(frame: Frame, dataset: Dataset) -> float:
    """The statistic `Polarity`: 1 dark corners, as it should be, to -1 bright ones, as the header has it displayed.

    Raises Refusal (`unsupported-pixels`).
    """
    try:
        return polarity(frame.array, GrayscaleTransform.from_attributes(_attributes(frame, dataset)))
    except (ValueError, TypeError, LookupError, ArithmeticError):
        raise Refusal("unsupported-pixels", "the image's grayscale attributes cannot be followed") from None


def statistics(tensor: Tensor) -> dict[str, float]:
    """What the manifest's rules about the input look at (applicability.STATISTICS); `Polarity` is `polarity_of`."""
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


def _aligned(frame: Frame, dataset: Dataset, wanted: Preprocess) -> Aligned:
    shape = (int(frame.array.shape[0]), int(frame.array.shape[1]))
    if wanted.align.is_off:
        return Aligned(frame.array, Alignment(shape, shape))
    return steps.aligned(frame.array, dataset, wanted.align, _pixel_aspect_ratio(dataset))


def _check_filters(attributes: Mapping[str, Any], wanted: Preprocess) -> None:
    """Raises ValueError where bits that are not the value's lie in the word: a filter would smear them into it."""
    stored = int(attributes.get("BitsStored", attributes.get("BitsAllocated", ["16"]))[0])
    if wanted.denoise.method != "none" and int(attributes.get("HighBit", [stored - 1])[0]) != stored - 1:
        raise ValueError("HighBit: the value does not end at the lowest bit")


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


def _transform(frame: Frame, attributes: Mapping[str, Any], wanted: Preprocess) -> GrayscaleTransform:
    polarity: Literal["as displayed", "stored"] = "as displayed" if wanted.polarity == "as-displayed" else "stored"
    window = wanted.window
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
