"""Every layout of a detector's output gives the same boxes; suppression keeps the better of two."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from one_look import finding_class, frame_input

from edge.infer import boxes
from edge.infer.refusal import Refusal
from edge.packages.manifest import Input
from edge.packages.tasks import Output

CORNERS = np.array([[10.0, 4.0, 30.0, 12.0], [12.0, 5.0, 30.0, 12.0], [2.0, 20.0, 8.0, 31.0], [0.0, 0.0, 5.0, 5.0]])
SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.7], [0.2, 0.3]])
ENTRY = msgspec.convert(frame_input((1, 1, 32, 64)), Input)
EXPECTED = [(10, 4, 30, 12, 0.9, 0), (2, 20, 8, 31, 0.7, 1)]


def output(**stated: Any) -> Output:
    activation = stated.pop("activation", "none")
    return msgspec.convert(
        {
            "tensor": "boxes", "activation": activation, "boxes": stated,
            "classes": [finding_class(0, "first"), finding_class(1, "second")],
        },
        Output,
    )  # fmt: skip


def found(stated: dict[str, Any], arrays: dict[str, np.ndarray], place: int = 0) -> list[tuple[float, ...]]:
    rows = boxes.of_frame(output(**stated), ENTRY, arrays, place, 7)
    assert (rows[:, 0] == 7).all()
    return [tuple(row[1:7].round(4)) for row in rows if row[7] == 1]


def as_format(name: str) -> np.ndarray:
    left, top, right, bottom = CORNERS.T
    sides = {
        "xyxy": (left, top, right, bottom),
        "yxyx": (top, left, bottom, right),
        "xywh": (left, top, right - left, bottom - top),
        "cxcywh": ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
    }
    return np.stack(sides[name], axis=1)


NMS = {"iou": 0.5, "max": 10}


@pytest.mark.parametrize("name", ["xyxy", "yxyx", "xywh", "cxcywh"])
def test_four_numbers(name: str) -> None:
    stated = {"format": name, "units": "pixels", "nms": NMS, "scores": "scores"}
    assert found(stated, {"boxes": as_format(name)[None], "scores": SCORES[None]}) == EXPECTED


def test_shares_of_the_tensor() -> None:
    shares = CORNERS / [64, 32, 64, 32]
    stated = {"format": "xyxy", "units": "normalised", "nms": NMS, "scores": "scores"}
    assert found(stated, {"boxes": shares[None], "scores": SCORES[None]}) == EXPECTED


@pytest.mark.parametrize("rows_last", [False, True])
@pytest.mark.parametrize("objectness", [False, True])
def test_everything_in_one_tensor(rows_last: bool, objectness: bool) -> None:
    """As the YOLO family has it, with and without an objectness, rows or columns first."""
    scores = np.concatenate([np.full((4, 1), 0.5), SCORES * 2], axis=1) if objectness else SCORES
    table = np.concatenate([as_format("cxcywh"), scores], axis=1)
    stated = {"format": "cxcywh", "units": "pixels", "nms": NMS, "objectness": objectness, "rows_last": rows_last}
    assert found(stated, {"boxes": (table.T if rows_last else table)[None]}) == EXPECTED


def test_labels_and_a_count_as_graphs_with_suppression_have_them() -> None:
    """No batch axis, one score and one label each; rows beyond the count are what was left in memory."""
    kept = CORNERS[[0, 2, 3]]
    arrays = {"boxes": kept, "scores": np.array([0.9, 0.7, 0.99]), "labels": np.array([0, 1, 0]), "n": np.array([2])}
    stated = {"format": "xyxy", "units": "pixels", "scores": "scores", "labels": "labels", "count": "n"}
    assert found(stated, arrays) == EXPECTED


def test_a_graph_that_found_nothing_at_all() -> None:
    arrays = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0)}
    stated = {"format": "xyxy", "units": "pixels", "scores": "scores", "labels": "labels"}
    assert found(stated, arrays) == []


def test_each_place_of_a_batch_has_its_own() -> None:
    stated = {"format": "xyxy", "units": "pixels", "nms": NMS, "scores": "scores"}
    arrays = {"boxes": np.stack([CORNERS * 0, CORNERS]), "scores": np.stack([SCORES * 0, SCORES])}
    assert found(stated, arrays, place=0) == []
    assert found(stated, arrays, place=1) == EXPECTED


def test_logits() -> None:
    stated = {"format": "xyxy", "units": "pixels", "nms": NMS, "scores": "scores", "activation": "sigmoid"}
    logits = np.log(SCORES / (1 - SCORES))
    assert found(stated, {"boxes": CORNERS[None], "scores": logits[None]}) == EXPECTED


@pytest.mark.parametrize(
    "arrays",
    [
        {"boxes": np.full((1, 4, 4), np.nan), "scores": SCORES[None]},
        {"boxes": CORNERS[None, :, :3], "scores": SCORES[None]},
        {"boxes": CORNERS[None], "scores": SCORES[None, :3]},
        {"boxes": CORNERS[None], "scores": SCORES[None, :, :1]},
        {"boxes": CORNERS.ravel(), "scores": SCORES[None]},
        {"boxes": CORNERS[None], "scores": np.full((1, 4, 2), np.inf)},
    ],
)
def test_what_is_no_list_of_boxes(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(Refusal) as caught:
        found({"format": "xyxy", "units": "pixels", "scores": "scores"}, arrays)
    assert caught.value.reason == "bad-output"


def test_suppression_keeps_what_no_better_box_covers() -> None:
    """By the definition: a box stays unless a better one that stayed overlaps it by more than the limit."""
    generator = np.random.default_rng(1)
    low = generator.random((300, 2)) * 50
    corners = np.concatenate([low, low + generator.random((300, 2)) * 20], axis=1)
    kept: list[int] = []
    for index in range(300):
        if all(overlap(corners[index], corners[other]) <= 0.3 for other in kept):
            kept.append(index)
    assert boxes.suppressed(corners, 0.3).tolist() == kept
    assert 10 < len(kept) < 290


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    shared = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    areas = [np.prod(each[2:] - each[:2]) for each in (one, other)]
    return float(shared / (sum(areas) - shared))


def test_a_class_without_a_box_says_how_high_it_came() -> None:
    stated = {"format": "xyxy", "units": "pixels", "scores": "scores"}
    rows = boxes.of_frame(output(**stated), ENTRY, {"boxes": CORNERS[None], "scores": SCORES[None] * 0.5}, 0, 0)
    assert rows[:, 5:].tolist() == [[0.45, 0, 0], [0.35, 1, 0]]
