"""Components against flood filling, OpenCV and SciPy; outlines against the pixels that they enclose."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import COMPONENT_2D, COMPONENT_3D, component_contours, heatmap_components, mask_components
from kernels import reference_components as reference


def blobs(shape: tuple[int, ...] = (512, 512), seed: int = 0) -> np.ndarray:
    """A heat map with about 150 regions above 0.4."""
    points = (np.random.default_rng(seed).random(shape) > 0.997).astype(np.float32)
    smooth = cv2.GaussianBlur(points, (0, 0), 5)
    return np.asarray(smooth / smooth.max())


def same(records: np.ndarray, expected: list[dict[str, Any]]) -> None:
    assert len(records) == len(expected)
    for record, wanted in zip(records, expected, strict=True):
        for field in ("box", "seed", "area"):
            np.testing.assert_array_equal(record[field], wanted[field], err_msg=field)
        np.testing.assert_allclose(record["centroid"], wanted["centroid"], rtol=1e-12)
        np.testing.assert_allclose(record["max"], wanted["max"], rtol=0)
        np.testing.assert_allclose(record["mean"], wanted["mean"], rtol=2e-6)


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.one_of(st.tuples(st.integers(1, 24), st.integers(1, 150)), st.tuples(*[st.integers(1, 9)] * 3)))
    density = draw(st.sampled_from([0.02, 0.3, 0.5, 0.8, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    return ((random.random(shape) < density) * random.uniform(0.5, 1, shape)).astype(np.float32)


@settings(max_examples=120, deadline=None)
@given(heatmap=maps(), diagonals=st.booleans())
def test_any_map(heatmap: np.ndarray, diagonals: bool) -> None:
    labels = np.full(heatmap.shape, -7, np.int32)
    records = heatmap_components(heatmap, 0.4, diagonals=diagonals, labels=labels)
    same(records, reference.components(heatmap > 0.4, heatmap, diagonals))
    np.testing.assert_array_equal(labels, reference.labels(heatmap > 0.4, diagonals))
    assert records.dtype == (COMPONENT_2D if heatmap.ndim == 2 else COMPONENT_3D)


@settings(max_examples=60, deadline=None)
@given(heatmap=maps(), diagonals=st.booleans(), dtype=st.sampled_from([np.bool_, np.uint8, np.int16, np.float32]))
def test_any_mask(heatmap: np.ndarray, diagonals: bool, dtype: Any) -> None:
    mask = (heatmap > 0.4).astype(dtype)
    same(mask_components(mask, heatmap, diagonals=diagonals), reference.components(mask != 0, heatmap, diagonals))
    same(mask_components(mask, diagonals=diagonals), reference.components(mask != 0, mask != 0, diagonals))


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(st.integers(1, 12), st.integers(1, 16)), seed=st.integers(0, 99), diagonals=st.booleans(),
       density=st.sampled_from([0.3, 0.5, 0.7, 0.9]))  # fmt: skip
def test_an_outline_encloses_its_component_and_nothing_else(
    shape: Any, seed: int, diagonals: bool, density: float
) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    records = mask_components(mask, diagonals=diagonals)
    numbered = reference.labels(mask, diagonals)
    contours = component_contours(mask, 0, records, diagonals=diagonals)
    for number, (record, polygon) in enumerate(zip(records, contours, strict=True), start=1):
        np.testing.assert_array_equal(polygon[0], polygon[-1])
        np.testing.assert_array_equal(polygon[0], record["seed"])
        turns = np.diff(polygon, axis=0)
        assert (np.count_nonzero(turns, axis=1) == 1).all()
        assert (np.count_nonzero(turns[:-1] * turns[1:], axis=1) == 0).all()
        whole = reference.without_holes(numbered == number, diagonals)
        np.testing.assert_array_equal(reference.covered(polygon, mask.shape), whole)
        np.testing.assert_array_equal([*polygon.min(axis=0), *polygon.max(axis=0)], record["box"])


def test_boxes_and_areas_are_those_of_opencv() -> None:
    heatmap = blobs()
    for connectivity, diagonals in ((8, True), (4, False)):
        _, labels, stats, centroids = cv2.connectedComponentsWithStats(
            (heatmap > 0.4).astype(np.uint8), connectivity=connectivity
        )
        records = heatmap_components(heatmap, 0.4, diagonals=diagonals)
        ours = [(*box[:2], box[2] - box[0], box[3] - box[1], area) for box, area in records[["box", "area"]].tolist()]
        assert sorted(ours) == sorted(map(tuple, stats[1:].tolist()))
        assert len(records) > 100
        order = [labels[row, column] for column, row in records["seed"]]
        np.testing.assert_allclose(records["centroid"], centroids[order] + 0.5, atol=1e-9)


def test_volumes_are_cut_like_scipy_cuts_them() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(0).random((30, 40, 90)) > 0.8
    for diagonals, structure in ((True, np.ones((3, 3, 3))), (False, None)):
        labels, count = ndimage.label(mask, structure)
        records = mask_components(mask, diagonals=diagonals)
        assert len(records) == count
        boxes = [(x.start, y.start, z.start, x.stop, y.stop, z.stop) for z, y, x in ndimage.find_objects(labels)]
        assert sorted(boxes) == sorted(map(tuple, records["box"].tolist()))


def test_a_large_component_keeps_its_mean() -> None:
    heatmap = np.random.default_rng(0).uniform(0.5, 1, (900, 3001)).astype(np.float32)
    record = heatmap_components(heatmap, 0.1)[0]
    assert record["area"] == heatmap.size
    assert record["mean"] == pytest.approx(heatmap.mean(dtype=np.float64), rel=2e-6)


def test_a_spiral_is_one_component() -> None:
    mask = np.zeros((41, 41), bool)
    row, column, turn = 0, 0, 0
    for length in [40, 40, 40, *(n for n in range(38, 0, -2) for _ in (0, 1))]:
        for _ in range(length):
            mask[row, column] = True
            row, column = row + (0, 1, 0, -1)[turn], column + (1, 0, -1, 0)[turn]
        turn = (turn + 1) % 4
    assert len(mask_components(mask, diagonals=False)) == 1
    assert mask_components(mask)["area"].tolist() == [int(mask.sum())]


def test_nan_and_the_threshold_itself_are_outside() -> None:
    heatmap = np.array([[0.5, np.nan, 0.7, np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(heatmap_components(heatmap, 0.5)["box"], [[2, 0, 4, 1]])


def test_a_ring_has_one_outline() -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[1:4, 1:5] = 1
    mask[2, 2:4] = 0
    (polygon,) = component_contours(mask, 0, mask_components(mask))
    np.testing.assert_array_equal(polygon, [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]])


def test_pieces_of_a_volume_are_outlined_in_their_slices() -> None:
    volume = np.zeros((3, 8, 8), np.float32)
    volume[0, 1:3, 1:3] = volume[1, 1:7, 2] = volume[2, 5:7, 2:5] = volume[2, 0, 7] = 1
    labels = np.empty(volume.shape, np.int32)
    records = heatmap_components(volume, 0.5, labels=labels)
    assert records["area"].tolist() == [4 + 6 + 6, 1]
    piece = labels[2] == 1
    (polygon,) = component_contours(piece, 0, mask_components(piece))
    np.testing.assert_array_equal(polygon, [[2, 5], [5, 5], [5, 7], [2, 7], [2, 5]])


def test_a_long_outline_is_whole() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[0] = mask[:, ::2] = 1
    (polygon,) = component_contours(mask, 0, mask_components(mask))
    assert len(polygon) > 600
    np.testing.assert_array_equal(reference.covered(polygon, mask.shape), mask != 0)


@pytest.mark.parametrize("shape", [(40, 70), (4, 30, 40)])
def test_out_is_filled_from_the_start(shape: tuple[int, ...]) -> None:
    heatmap = (np.random.default_rng(0).random(shape) > 0.9).astype(np.float32)
    alone = heatmap_components(heatmap, 0.5)
    out = np.zeros(len(alone) + 3, alone.dtype)
    records = heatmap_components(heatmap, 0.5, out=out)
    assert np.shares_memory(records, out)
    assert records.tobytes() == alone.tobytes()
    with pytest.raises(ValueError, match=r"^out: "):
        heatmap_components(heatmap, 0.5, out=out[: len(alone) - 1])


MAP = np.zeros((4, 5), np.float32)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("heatmap", {"heatmap": np.zeros(5, np.float32)}),
        ("heatmap", {"heatmap": np.zeros((0, 5), np.float32)}),
        ("heatmap", {"heatmap": np.zeros((1, 1, 4, 5), np.float32)}),
        ("heatmap", {"heatmap": np.zeros((4, 5), np.complex64)}),
        ("threshold", {"threshold": float("nan")}),
        ("labels", {"labels": np.zeros((4, 5), np.int64)}),
        ("labels", {"labels": np.zeros((5, 4), np.int32)}),
        ("labels", {"labels": np.zeros((4, 10), np.int32)[:, ::2]}),
        ("out", {"out": np.zeros(9, COMPONENT_3D)}),
        ("out", {"out": np.zeros(18, COMPONENT_2D)[::2]}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_heatmap_components_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        heatmap_components(**{"heatmap": MAP, "threshold": 0.5, **arguments})


def test_mask_components_names_the_argument() -> None:
    with pytest.raises(ValueError, match=r"^mask: "):
        mask_components(np.zeros((2, 0), bool))
    with pytest.raises(ValueError, match=r"^values: "):
        mask_components(np.ones((2, 3), bool), np.ones((3, 2)))


def test_contours_name_the_argument() -> None:
    records = heatmap_components(MAP + 1, 0.5)
    with pytest.raises(ValueError, match=r"^image: "):
        component_contours(MAP[0], 0.5, records)
    with pytest.raises(ValueError, match=r"^components: "):
        component_contours(MAP, 0.5, records)
    with pytest.raises(ValueError, match=r"^components: "):
        component_contours(MAP, 0.5, np.zeros(1, COMPONENT_3D))
