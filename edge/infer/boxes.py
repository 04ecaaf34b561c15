"""A detector's rows to boxes in the input tensor's pixels: layout, scores, thresholds, suppression (manifest `boxes`).

A box travels as eight numbers: frame, left, top, right, bottom, score, class, 1. For a class without any box in a
frame the same row with a last number of 0 says how high it scored at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.infer.numbers import activated
from edge.infer.refusal import Refusal
from edge.packages.manifest import Input
from edge.packages.tasks import Boxes, Output

Numbers = npt.NDArray[np.float64]

WIDTH = 8
_MOST_ROWS = 200_000
_MOST_OF_UNIT = 1000
_BEFORE_SUPPRESSION = 5000
"""So many of the best boxes of a class are compared with each other; the others are worse than all of them."""


def of_frame(output: Output, entry: Input, answered: Mapping[str, npt.NDArray[Any]], place: int, shot: int) -> Numbers:
    """The boxes in place `place` of a batch, (n, 8). Raises Refusal (`bad-output`)."""
    assert output.boxes is not None
    corners, scores = _rows(output, output.boxes, answered, place)
    corners = _corners(corners, output.boxes, entry)
    found = []
    for position, _ in enumerate(output.classes):
        found.append(_of_class(corners, scores[:, position], output, position, shot))
    return np.concatenate(found)


def strongest(rows: Numbers) -> Numbers:
    """At most a thousand boxes of a unit, the best of them, in their order."""
    boxes = np.flatnonzero(rows[:, 7] == 1)
    if len(boxes) <= _MOST_OF_UNIT:
        return rows
    dropped = boxes[np.argsort(-rows[boxes, 5], kind="stable")[_MOST_OF_UNIT:]]
    return np.delete(rows, dropped, axis=0)


def _rows(
    output: Output, boxes: Boxes, answered: Mapping[str, npt.NDArray[Any]], place: int
) -> tuple[Numbers, Numbers]:
    """Four numbers of each box, and its score for each class that the manifest names."""
    table = _placed(answered[output.tensor], place, 2)
    if boxes.rows_last:
        table = table.T
    if table.shape[1] < 4 or len(table) > _MOST_ROWS or not np.isfinite(table).all():
        raise Refusal("bad-output", "an output is no list of boxes")
    if not len(table):
        return np.zeros((0, 4)), np.zeros((0, len(output.classes)))
    scores = table[:, 4:]
    if boxes.scores is not None:
        scores = _placed(answered[boxes.scores], place, 0)
        scores = scores.reshape(len(table), -1) if scores.size % len(table) == 0 else scores[:0]
    elif boxes.objectness:
        scores = scores[:, 1:]
    if len(scores) != len(table) or scores.shape[1] < 1:
        raise Refusal("bad-output", "the scores are not those of the boxes")
    scores = activated(scores, output.activation)
    if boxes.objectness and boxes.scores is None:
        scores = scores * activated(table[:, 4:5], "none" if output.activation == "none" else "sigmoid")
    known = _by_class(output, boxes, scores, answered, place)
    count = len(table)
    if boxes.count is not None:
        stated = _placed(answered[boxes.count], place, 0).ravel()
        count = int(np.clip(stated[0], 0, count)) if len(stated) else count
    return table[:count, :4], known[:count]


def _by_class(
    output: Output, boxes: Boxes, scores: Numbers, answered: Mapping[str, npt.NDArray[Any]], place: int
) -> Numbers:
    indices = [entry.index for entry in output.classes]
    if boxes.labels is not None:
        labels = _placed(answered[boxes.labels], place, 0).ravel()
        if len(labels) != len(scores):
            raise Refusal("bad-output", "the labels are not those of the boxes")
        return np.where(labels[:, None] == np.array(indices), scores[:, :1], 0.0)
    if max(indices) >= scores.shape[1]:
        raise Refusal("bad-output", "a box has fewer scores than the manifest has classes")
    return np.asarray(scores[:, indices])


def _placed(array: npt.NDArray[Any], place: int, axes: int) -> Numbers:
    """What belongs to one place of the batch; many graphs of a batch of one leave that axis out."""
    if (axes and array.ndim == axes + 1) or (not axes and array.ndim > 1 and len(array) > place and place):
        if len(array) <= place:
            raise Refusal("bad-output", "an output has fewer rows than the batch has frames")
        return np.asarray(array[place], np.float64)
    if axes and array.ndim != axes:
        raise Refusal("bad-output", "an output is no list of boxes")
    return np.asarray(array, np.float64)


def _corners(rows: Numbers, boxes: Boxes, entry: Input) -> Numbers:
    """Left, top, right, bottom in pixels of the tensor, within it."""
    a, b, c, d = rows.T if len(rows) else np.zeros((4, 0))
    if boxes.format == "xyxy":
        sides = [a, b, c, d]
    elif boxes.format == "yxyx":
        sides = [b, a, d, c]
    elif boxes.format == "xywh":
        sides = [a, b, a + c, b + d]
    else:
        sides = [a - c / 2, b - d / 2, a + c / 2, b + d / 2]
    rows_of_tensor, columns = entry.shape[2:] if entry.layout == "NCHW" else entry.shape[1:3]
    most = np.array([columns, rows_of_tensor, columns, rows_of_tensor], np.float64)
    corners = np.stack(sides, axis=1)
    return np.asarray(np.clip(corners * most if boxes.units == "normalised" else corners, 0.0, most))


def _of_class(corners: Numbers, scores: Numbers, output: Output, position: int, shot: int) -> Numbers:
    assert output.boxes is not None
    solid = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    kept = np.flatnonzero(solid & (scores >= output.classes[position].threshold))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    if output.boxes.nms is not None:
        kept = kept[:_BEFORE_SUPPRESSION]
        kept = kept[suppressed(corners[kept], output.boxes.nms.iou)][: output.boxes.nms.max]
    if not len(kept):
        below = float(scores[solid].max(initial=0.0))
        return np.array([[shot, 0, 0, 0, 0, below, position, 0]])
    rows = np.empty((len(kept), WIDTH))
    rows[:, 0], rows[:, 1:5], rows[:, 5], rows[:, 6], rows[:, 7] = shot, corners[kept], scores[kept], position, 1
    return rows


def suppressed(corners: Numbers, iou: float) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, when none may overlap a better one (an earlier one) by more than `iou`."""
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.arange(len(corners))
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        left = left[shared <= iou * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.int64)
