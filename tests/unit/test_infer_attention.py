"""The outline of a map: around its peak, in stored pixels, whatever the way from frame to tensor."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import package_maker
import pytest
from acceptance.objects import chest_dx
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.infer import attention, postprocess
from edge.infer.protocol import Answer, Tensor
from edge.infer.refusal import Refusal
from edge.packages.manifest import Manifest
from edge.records import Finding
from kernels import ResamplePlan

HEAT = (18, 18)


def bump(row: float, column: float, shape: tuple[int, int] = HEAT, width: float = 1.5) -> np.ndarray:
    """A smooth hill whose top is at (row, column), in places of the map, corner origin."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))


def inside(points: Any, column: float, row: float) -> bool:
    contour = np.array(points, np.float32).reshape(-1, 1, 2)
    return cv2.pointPolygonTest(contour, (float(column), float(row)), False) > 0


@pytest.mark.parametrize("mode", ["squash", "letterbox", "centre-crop"])
@pytest.mark.parametrize("shape", [(1500, 1800), (1800, 1100), (300, 300)])
@pytest.mark.parametrize(("row", "column"), [(4.5, 9.0), (13.0, 9.5), (9.0, 6.5), (8.5, 12.0)])
def test_the_outline_holds_the_peak_in_stored_pixels(
    mode: Any, shape: tuple[int, int], row: float, column: float
) -> None:
    plan = ResamplePlan(shape, (144, 144), mode=mode, pixel_aspect_ratio=1.1)
    (points,) = attention.outlines(bump(row, column), plan)
    peak = plan.to_stored([column * 8, row * 8])
    assert inside(points, *peak)
    array = np.array(points)
    assert (array >= 0).all()
    assert (array <= [shape[1], shape[0]]).all()
    size = np.ptp(array, axis=0) / (plan.to_stored([8, 8]) - plan.to_stored([0, 0]))
    assert size == pytest.approx([2 * 1.5 * 0.84] * 2, abs=0.8)


def test_a_map_without_rows_squared_is_laid_over_all_of_the_tensor() -> None:
    plan = ResamplePlan((900, 1200), (300, 400))
    (points,) = attention.outlines(bump(2.0, 11.0, (6, 13), 0.8), plan)
    assert inside(points, 1200 * 11 / 13, 900 * 2 / 6)


def test_the_three_strongest_hills_are_outlined_the_strongest_first() -> None:
    plan = ResamplePlan((180, 180), (144, 144))
    hills = 0.8 * bump(4, 13) + 0.9 * bump(13, 13) + bump(4, 4) + 0.75 * bump(13, 4)
    found = attention.outlines(hills, plan)
    places = [(45, 45), (135, 135), (135, 45)]
    assert [inside(points, *place) for points, place in zip(found, places, strict=True)] == [True] * 3
    assert not inside(found[0], 135, 135)


def test_a_map_without_a_peak_has_no_outline() -> None:
    plan = ResamplePlan((180, 180), (144, 144))
    assert attention.outlines(np.zeros(HEAT), plan) == []
    assert attention.outlines(np.ones((1, 5)), plan) == []
    assert attention.outlines(1e8 + 1e-3 * bump(9, 9), plan) == []


def test_attention_to_the_padding_lies_on_no_image() -> None:
    plan = ResamplePlan((100, 400), (144, 144), mode="letterbox")
    assert attention.outlines(bump(2, 9, width=0.7), plan) == []
    assert attention.outlines(bump(9, 9, width=0.7), plan) != []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 9))
def test_any_region_is_walked_round_once(seed: int, rows: int, columns: int) -> None:
    """The polygon encloses exactly the cells that hang together with the peak, and those in holes among them."""
    heat = np.random.default_rng(seed).random((rows, columns), np.float32)
    level = float(np.quantile(heat, 0.5))
    _, labels = cv2.connectedComponents((heat > np.float32(level)).astype(np.uint8), connectivity=4)
    region = labels == labels.flat[int(heat.argmax())]
    polygon = attention.boundaries(heat.astype(np.float64), level)[0]
    filled = np.zeros((rows, columns), np.uint8)
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    for row, column in np.argwhere(region):
        assert inside(polygon, column + 0.5, row + 0.5)
    for row, column in np.argwhere(filled == 0):
        assert not inside(polygon, column + 0.5, row + 0.5)


@pytest.fixture
def stated(tmp_path: Path) -> Manifest:
    outputs = package_maker.plain_manifest()["outputs"]
    outputs[0]["cam"] = "auto"
    outputs[0]["classes"].append({**outputs[0]["classes"][0], "index": 1, "name": "dark"})
    return package_maker.make(tmp_path / "p", outputs=outputs).manifest


def scores(*numbers: float) -> dict[str, Tensor]:
    return {"output": Tensor((1, len(numbers)), np.array(numbers, "<f4").tobytes())}


def scored(manifest: Manifest, *numbers: float) -> tuple[Finding, ...]:
    return postprocess.findings(manifest, scores(*numbers))


def looked(maps: dict[str, Tensor], *numbers: float) -> Answer:
    return Answer(outputs=scores(*numbers), maps=maps)


def maps(*heats: np.ndarray) -> dict[str, Tensor]:
    stacked = np.stack(heats)[None].astype("<f4")
    return {"output": Tensor(tuple(stacked.shape), stacked.tobytes())}


def test_only_a_present_finding_has_a_region_and_it_is_its_own(stated: Manifest) -> None:
    image = chest_dx(np.zeros((720, 900), np.uint16))
    found = scored(stated, 0.9, 0.1)
    seen = postprocess.with_regions(stated, found, looked(maps(bump(4, 14), bump(13, 4)), 0.9, 0.1), [image])
    assert [each.regions == () for each in seen] == [False, True]
    assert dataclasses.replace(seen[0], regions=()) == found[0]
    assert seen[0].regions[0].source == image.SOPInstanceUID
    assert seen[0].regions[0].attention
    assert inside(seen[0].regions[0].points, 900 * 14 / 18, 720 * 4 / 18)


def test_a_package_without_maps_needs_no_geometry(tmp_path: Path) -> None:
    plain = package_maker.make(tmp_path / "p").manifest
    found = scored(plain, 0.9)
    assert postprocess.with_regions(plain, found, Answer(), [chest_dx(np.zeros((4, 4), np.uint8), Rows=None)]) == found


@pytest.mark.parametrize(
    "answered",
    [
        {},
        maps(bump(4, 4)),
        maps(bump(4, 4), np.full(HEAT, np.nan)),
        {"output": Tensor((1, 2, 18, 18), b"\0\0\0\0")},
        {"output": Tensor((1, 2, 0, 0), b"")},
        {"output": Tensor((1, 2), b"\0" * 8)},
    ],
)
def test_a_map_that_the_graph_could_not_have_made_is_no_answer(stated: Manifest, answered: dict[str, Tensor]) -> None:
    image = chest_dx(np.zeros((8, 8), np.uint8))
    with pytest.raises(Refusal) as caught:
        postprocess.with_regions(stated, scored(stated, 0.9, 0.9), looked(answered, 0.9, 0.9), [image])
    assert caught.value.reason == "bad-output"
