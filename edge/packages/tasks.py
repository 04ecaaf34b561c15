"""What a graph's numbers mean, by task: classes, boxes, segments, measurements, heat maps.

Read with `manifest.py`. Nothing is implied: a layout, a unit or a code that is not written down is not assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from edge.packages.fields import AboveZero, Closed, CodeEntry, Index, Name, Over, Positive, ShortText, Unit01

OCCLUSIONS = 64
"""How often `cam = "occlusion"` runs the model again when something is present: a grid of 8 by 8 places."""


class FlagRate(Closed, frozen=True, kw_only=True):
    """The share of units that the vendor expects to be flagged, over the last `window` of them."""

    min: Unit01
    max: Unit01
    window: Annotated[int, msgspec.Meta(ge=20, le=10_000)]


class FindingClass(Closed, frozen=True, kw_only=True):
    """One class of a classifier or detector: where its score is, its code, and what the score may be called."""

    index: Index
    name: Name
    code: CodeEntry
    threshold: Unit01
    calibrated: bool
    rule_out: bool
    urgent: bool
    flag_rate: FlagRate | None = None


class Suppression(Closed, frozen=True, kw_only=True):
    """Non-maximum suppression by the box: of two boxes of one class that overlap by more than `iou`, the better."""

    iou: Unit01
    max: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Boxes(Closed, frozen=True, kw_only=True):
    """How the rows of a detector's output become boxes in the input tensor's grid.

    A row is four numbers, then (unless `scores` names another tensor) an objectness if there is one, then one score
    for each class. `nms` is left out where the graph did it.
    """

    format: Literal["xyxy", "xywh", "cxcywh", "yxyx"]
    units: Literal["pixels", "normalised"]
    scores: ShortText | None = None
    labels: ShortText | None = None
    count: ShortText | None = None
    objectness: bool = False
    rows_last: bool = False
    nms: Suppression | None = None


class SegmentClass(Closed, frozen=True, kw_only=True):
    """One class of a segmentation, by PS3.3 C.8.20.2: what it is, its category and its type."""

    index: Index
    name: Name
    code: CodeEntry
    category: CodeEntry
    type: CodeEntry
    threshold: Unit01
    min_pixels: Positive = 1


class Quantity(Closed, frozen=True, kw_only=True):
    """One number of a regression: `value = number * scale + offset` in `unit` (UCUM), plausible in `min`..`max`."""

    index: Index
    name: Name
    code: CodeEntry
    unit: CodeEntry
    min: float
    max: float
    scale: float = 1.0
    offset: float = 0.0
    finding: CodeEntry | None = None


class Output(Closed, frozen=True, kw_only=True):
    """One output tensor and how its numbers become findings, segments or measurements.

    `cam = "auto"`: the box appends the exact class-activation map of this output to the graph and outlines in the
    report where a present finding was seen. It needs a head of global average pooling and one linear layer.
    `cam = "occlusion"`: the box covers one place after the other and sees what the score loses, within `limits`.
    `heat`: the graph has a map of its own, (batch, classes, rows, columns), in this tensor.
    """

    tensor: ShortText
    activation: Literal["none", "sigmoid", "softmax"]
    classes: tuple[FindingClass, ...] = ()
    cam: Literal["none", "auto", "occlusion"] = "none"
    heat: ShortText | None = None
    over: Over = "max"
    boxes: Boxes | None = None
    segments: tuple[SegmentClass, ...] = ()
    quantities: tuple[Quantity, ...] = ()

    @property
    def cam_tensor(self) -> str:
        """What the box calls the map that it appends: (1, classes, rows, columns), classes as listed here."""
        return f"edge.cam.{self.tensor}"

    @property
    def has_map(self) -> bool:
        """Whether a present finding gets an attention region."""
        return self.cam != "none" or self.heat is not None

    @property
    def highest_index(self) -> int:
        """The greatest index that any class, segment or quantity has."""
        entries = ([each.index for each in self.classes], [each.index for each in self.segments])
        return max(index for each in (*entries, [each.index for each in self.quantities]) for index in each)

    def tensors(self) -> Iterator[str]:
        """Every tensor of the graph that it speaks of."""
        yield self.tensor
        extra = (self.boxes.scores, self.boxes.labels, self.boxes.count) if self.boxes else ()
        yield from (name for name in (self.heat, *extra) if name)


class Volume(Closed, frozen=True, kw_only=True):
    """An input tensor that holds a volume: the slices of a series, or the frames of one object, in modality units.

    `low`..`high` (HU for CT) become 0..1, then (value * scale - mean) / std. `spacing` is in mm along the tensor's
    depth, rows and columns; with `fit = "squash"` it follows from the shape and is left out.
    """

    tensor: ShortText
    shape: tuple[Positive, ...]
    dtype: Literal["float32"]
    layout: Literal["NCDHW", "NDHWC"]
    axes: Literal["patient", "stored"]
    fit: Literal["tile", "pad-crop", "squash"]
    low: float
    high: float
    spacing: tuple[AboveZero, ...] = ()
    overlap: Annotated[float, msgspec.Meta(ge=0.0, le=0.75)] = 0.25
    scale: float = 1.0
    mean: float = 0.0
    std: AboveZero = 1.0
    pad_value: float = 0.0

    @property
    def extent(self) -> tuple[int, int, int]:
        """Depth, rows and columns of the tensor."""
        _, a, b, c, d = self.shape
        return (b, c, d) if self.layout == "NCDHW" else (a, b, c)


class Column(Closed, frozen=True, kw_only=True):
    """One number of a table: an attribute's own (a PatientAge in years), or by `codes` what its text stands for.

    Then (number - mean) / std. A number outside `min`..`max`, or a text that is not among `codes` (compared as in
    applicability) with no `other`, is refused; an absent attribute is refused unless `absent` says its number.
    """

    keyword: ShortText
    codes: dict[ShortText, float] = {}
    other: float | None = None
    absent: float | None = None
    min: float | None = None
    max: float | None = None
    mean: float = 0.0
    std: AboveZero = 1.0


class Table(Closed, frozen=True, kw_only=True):
    """An input tensor (1, columns) of DICOM attributes; it is made in the worker and never leaves it."""

    tensor: ShortText
    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=64)]

    @property
    def shape(self) -> tuple[int, int]:
        """The tensor's shape."""
        return 1, len(self.columns)
