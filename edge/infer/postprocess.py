"""A worker's numbers to findings, measurements and segments: classes, thresholds, codes, all the signed manifest's.

Comes in: what the worker answered, and the headers of the images that it saw, in its order. Goes out: records. A
worker has met hostile bytes, so every shape, range and place is checked here, in the room.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer import attention, boxes
from edge.infer.frames import Shot, attributes
from edge.infer.header import number, values
from edge.infer.masks import packed_size
from edge.infer.numbers import activated, together
from edge.infer.preprocess import placement
from edge.infer.protocol import Answer, Marked, Tensor
from edge.infer.refusal import Refusal
from edge.infer.unit import plan, seen
from edge.packages.fields import CodeEntry
from edge.packages.manifest import Manifest
from edge.packages.tasks import FindingClass, Output, Quantity, SegmentClass
from edge.records import UID, Code, Finding, Mask, Measurement, Region, Segment

_ROUNDING = 1e-6
_DECIMALS = 2

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """All that one look came to."""

    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    segments: tuple[Segment, ...] = ()


def found(manifest: Manifest, datasets: Sequence[Dataset], answer: Answer) -> Found:
    """What `answer` says about the images with these headers.

    Raises
    ------
    Refusal
        `bad-output`: something is missing, of another shape, not finite, or not where or what it could be.
    """
    match manifest.task:
        case "detect":
            return Found(findings=tuple(_detections(manifest, datasets, answer.outputs)))
        case "segment":
            return Found(segments=tuple(_segments(manifest, datasets, answer.masks)))
        case "measure":
            return Found(measurements=tuple(_measurements(manifest, answer.outputs)))
    classified = findings(manifest, answer.outputs)
    return Found(findings=with_regions(manifest, classified, answer, datasets))


def findings(manifest: Manifest, outputs: Mapping[str, Tensor]) -> tuple[Finding, ...]:
    """One finding for each class of each output of a classifier, in the manifest's order. Raises as `found`."""
    return tuple(
        _finding(entry, _score(scores, entry.index))
        for output in manifest.outputs
        for scores in [together(_scores(output, outputs), output.over)]
        for entry in output.classes
    )


def with_regions(
    manifest: Manifest, classified: tuple[Finding, ...], answer: Answer, datasets: Sequence[Dataset]
) -> tuple[Finding, ...]:
    """`classified`, as `findings` gave it, with attention regions for each present finding that has a map."""
    if not any(output.has_map for output in manifest.outputs):
        return classified
    shots = seen(datasets, manifest)
    heats = [heat for output in manifest.outputs for heat in _heats(output, answer, len(shots))]
    regions = [
        _outlined(heat, shots[heat.shot], datasets, manifest, answer) if finding.present and heat is not None else ()
        for finding, heat in zip(classified, heats, strict=True)
    ]
    return tuple(dataclasses.replace(each, regions=own) for each, own in zip(classified, regions, strict=True))


def _outlined(
    heat: _Heat, shot: Shot, datasets: Sequence[Dataset], manifest: Manifest, answer: Answer
) -> tuple[Region, ...]:
    told = answer.alignments[heat.shot] if heat.shot < len(answer.alignments) else ()
    laid = placement(attributes(datasets[shot.image], shot), manifest.inputs[0], told)
    outlines = attention.outlines(heat.values, laid)
    return tuple(Region(_source(datasets, shot), each, True, shot.number) for each in outlines)


@dataclass(frozen=True, slots=True, eq=False)
class _Heat:
    """The map of one class, (rows, columns), and the frame that it is of."""

    values: Numbers
    shot: int


def _heats(output: Output, answer: Answer, shots: int) -> Iterator[_Heat | None]:
    """The map of each class of `output`; None for each where there is none."""
    tensor = answer.maps.get(output.tensor)
    if not output.has_map or (tensor is None and output.cam == "occlusion"):
        yield from [None] * len(output.classes)  # nothing present, as the worker saw it
        return
    if tensor is None or len(tensor.shape) != 4 or tensor.shape[:2] != (1, len(output.classes)):
        raise Refusal("bad-output", "a heat map is missing")
    heats = _array(tensor)[0]
    if not np.isfinite(heats).all():
        raise Refusal("bad-output", "a heat map is not a number")
    scores = _scores(output, answer.outputs)
    if len(scores) != shots:
        raise Refusal("bad-output", "the scores are not those of the frames")
    for entry, heat in zip(output.classes, heats, strict=True):
        yield _Heat(heat, int(scores[:, entry.index].argmax()))


def _scores(output: Output, outputs: Mapping[str, Tensor]) -> Numbers:
    """(frames, numbers), after the activation."""
    tensor = outputs.get(output.tensor)
    if tensor is None or not tensor.shape:
        raise Refusal("bad-output", "an output is missing")
    array = _array(tensor)
    return activated(array.reshape(len(array), -1), output.activation)


def _array(tensor: Tensor) -> Numbers:
    if min(tensor.shape, default=0) < 1 or len(tensor.data) != 4 * math.prod(tensor.shape):
        raise Refusal("bad-output", "an output is not of the size that it says")
    return np.frombuffer(tensor.data, "<f4").astype(np.float64).reshape(tensor.shape)


def _score(scores: Numbers, index: int) -> float:
    if index >= len(scores):
        raise Refusal("bad-output", "an output is shorter than the manifest says")
    return float(scores[index])


def _finding(
    entry: FindingClass, score: float, regions: tuple[Region, ...] = (), *, found: bool | None = None
) -> Finding:
    """`found`: what the worker's threshold said, in numbers that have lost a digit on the way; here it is checked."""
    if not -_ROUNDING <= score <= 1.0 + _ROUNDING:
        raise Refusal("bad-output", "a score is outside 0..1")
    if found is not None and (score < entry.threshold - _ROUNDING if found else score > entry.threshold + _ROUNDING):
        raise Refusal("bad-output", "a box is on the wrong side of its threshold")
    score = min(1.0, max(0.0, score))
    return Finding(
        code=_code(entry.code),
        present=score >= entry.threshold if found is None else found,
        score=score,
        threshold=entry.threshold,
        calibrated=entry.calibrated,
        rule_out=entry.rule_out,
        urgent=entry.urgent,
        regions=regions,
    )


def _detections(manifest: Manifest, datasets: Sequence[Dataset], outputs: Mapping[str, Tensor]) -> Iterator[Finding]:
    """A finding for each box, class by class; for a class without one, that it was not detected."""
    output = manifest.outputs[0]
    tensor = outputs.get(output.tensor)
    if tensor is None or len(tensor.shape) != 2 or tensor.shape[1] != boxes.WIDTH:
        raise Refusal("bad-output", "the boxes are missing")
    rows, shots = _array(tensor), seen(datasets, manifest)
    if not np.isfinite(rows).all():
        raise Refusal("bad-output", "a box is not a number")
    for position, entry in enumerate(output.classes):
        own = rows[rows[:, 6] == position]
        placed = own[own[:, 7] == 1]
        for row in placed:
            if not 0 <= row[0] < len(shots):
                raise Refusal("bad-output", "a box is in no frame")
            box = _box(row, shots[int(row[0])], datasets, manifest)
            yield _finding(entry, float(row[5]), (box,), found=True)
        if not len(placed):
            yield _finding(entry, float(own[:, 5].max(initial=0.0)), found=False)


def _box(row: Numbers, shot: Shot, datasets: Sequence[Dataset], manifest: Manifest) -> Region:
    laid = plan(datasets, shot, manifest.inputs[0])
    left, top, right, bottom = row[1:5]
    corners = laid.to_stored([[left, top], [right, top], [right, bottom], [left, bottom]])
    stored = np.clip(corners, 0.0, laid.in_shape[::-1]).round(_DECIMALS)
    points = tuple((float(column), float(line)) for column, line in stored)
    return Region(_source(datasets, shot), points, frame=shot.number)


def mask_bytes(manifest: Manifest, datasets: Sequence[Dataset]) -> int:
    """How much memory the masks of these images may need. Raises Refusal."""
    segments = sum(len(output.segments) for output in manifest.outputs)
    if not segments:
        return 0
    sizes = [packed_size(number(each, "Rows", 0), number(each, "Columns", 0)) for each in datasets]
    return segments * sum(sizes[shot.image] for shot in seen(datasets, manifest))


def _segments(manifest: Manifest, datasets: Sequence[Dataset], masks: tuple[Marked, ...]) -> Iterator[Segment]:
    """Every segment of the manifest, also one of which nothing was marked."""
    entries = [entry for output in manifest.outputs for entry in output.segments]
    shots = seen(datasets, manifest)
    if any(not (0 <= mask.segment < len(entries) and 0 <= mask.shot < len(shots)) for mask in masks):
        raise Refusal("bad-output", "a mask is of no segment or frame")
    if len({(mask.segment, mask.shot) for mask in masks}) < len(masks):
        raise Refusal("bad-output", "a frame has two masks of one segment")
    for index, entry in enumerate(entries):
        own = sorted((mask for mask in masks if mask.segment == index), key=lambda mask: mask.shot)
        yield _segment(entry, tuple(_mask(mask, shots[mask.shot], datasets) for mask in own))


def _segment(entry: SegmentClass, masks: tuple[Mask, ...]) -> Segment:
    return Segment(_code(entry.code), _code(entry.category), _code(entry.type), masks)


def _mask(mask: Marked, shot: Shot, datasets: Sequence[Dataset]) -> Mask:
    dataset = datasets[shot.image]
    rows, columns = number(dataset, "Rows", 0), number(dataset, "Columns", 0)
    if mask.size != len(mask.bits) or mask.size != packed_size(rows, columns):
        raise Refusal("bad-output", "a mask has not the size of its image")
    return Mask(_source(datasets, shot), shot.number, rows, columns, mask.bits)


def _measurements(manifest: Manifest, outputs: Mapping[str, Tensor]) -> Iterator[Measurement]:
    for output in manifest.outputs:
        numbers = together(_scores(output, outputs), output.over)
        for entry in output.quantities:
            yield _measurement(entry, _score(numbers, entry.index))


def _measurement(entry: Quantity, raw: float) -> Measurement:
    value = raw * entry.scale + entry.offset
    if not entry.min <= value <= entry.max:
        raise Refusal("bad-output", "a measurement is not plausible")
    finding = None if entry.finding is None else _code(entry.finding)
    return Measurement(_code(entry.code), value, _code(entry.unit), finding=finding)


def _source(datasets: Sequence[Dataset], shot: Shot) -> UID:
    return UID(next(iter(values(datasets[shot.image], "SOPInstanceUID")), ""))


def _code(entry: CodeEntry) -> Code:
    return Code(entry.value, entry.scheme, entry.meaning)
