"""Plans: where a tensor pixel comes from, and the way back for what a model found there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor, reference
from kernels.resample import resampler

shapes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
modes = st.sampled_from(["squash", "letterbox", "centre-crop"])
ratios = st.floats(0.2, 5)


@given(in_shape=shapes, out_shape=shapes, mode=modes, ratio=ratios, data=st.data())
def test_points_come_back(in_shape: Any, out_shape: Any, mode: Any, ratio: float, data: st.DataObject) -> None:
    plan = ResamplePlan(in_shape, out_shape, mode=mode, pixel_aspect_ratio=ratio)
    points = np.array(data.draw(st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 4000)), min_size=1)))
    np.testing.assert_allclose(plan.to_tensor(plan.to_stored(points)), points, rtol=1e-9, atol=1e-6)


@given(in_shape=shapes, out_shape=shapes, mode=modes, ratio=ratios)
def test_boxes_lie_inside_and_map_onto_each_other(in_shape: Any, out_shape: Any, mode: Any, ratio: float) -> None:
    plan = ResamplePlan(in_shape, out_shape, mode=mode, pixel_aspect_ratio=ratio)
    source, target = plan.source_box, plan.target_box
    for box, shape in ((source, in_shape), (target, out_shape)):
        assert box.height > 0
        assert box.width > 0
        assert box.top >= -1e-6
        assert box.left >= -1e-6
        assert box.top + box.height <= shape[0] + 1e-6
        assert box.left + box.width <= shape[1] + 1e-6
    corners = [(target.left, target.top), (target.left + target.width, target.top + target.height)]
    stored = [(source.left, source.top), (source.left + source.width, source.top + source.height)]
    np.testing.assert_allclose(plan.to_stored(corners), stored, atol=1e-6)


@given(in_shape=shapes, out_shape=shapes, ratio=ratios)
def test_proportions_are_kept_within_a_tensor_pixel(in_shape: Any, out_shape: Any, ratio: float) -> None:
    box = ResamplePlan(in_shape, out_shape, mode="letterbox", pixel_aspect_ratio=ratio).target_box
    zoom = min(out_shape[0] / (in_shape[0] * ratio), out_shape[1] / in_shape[1])
    assert abs(box.height - max(1, in_shape[0] * ratio * zoom)) <= 0.5 + 1e-6
    assert abs(box.width - max(1, in_shape[1] * zoom)) <= 0.5 + 1e-6


@pytest.mark.parametrize("mode", ["squash", "letterbox", "centre-crop"])
def test_a_bright_pixel_is_found_where_it_was_stored(mode: Any) -> None:
    frame = np.zeros((300, 200), np.uint8)
    frame[161, 77] = 255
    plan = ResamplePlan(frame.shape, (64, 96), mode=mode)
    tensor = frame_to_tensor(frame, GrayscaleTransform.full_range(8), plan)[0, 0]
    rows, columns = np.mgrid[0:64, 0:96] + 0.5
    centre = [(tensor * columns).sum() / tensor.sum(), (tensor * rows).sum() / tensor.sum()]
    tolerance = np.abs(np.subtract(*plan.to_stored([[0, 0], [1, 1]]))).max()
    np.testing.assert_allclose(plan.to_stored(centre), [77.5, 161.5], atol=tolerance)


def test_corner_origin_is_that_of_scoord() -> None:
    plan = ResamplePlan((400, 200), (100, 100))
    np.testing.assert_array_equal(plan.to_stored([[0, 0], [0.5, 0.5], [100, 100]]), [[0, 0], [1, 2], [200, 400]])


def test_half_a_pixel_too_much_is_padding() -> None:
    assert ResamplePlan((29, 2), (27, 1), mode="letterbox").target_box == (6, 0, 14, 1)
    assert ResamplePlan((31, 2), (27, 1), mode="letterbox").target_box == (6, 0, 15, 1)


def test_letterbox_padding_is_in_display_units() -> None:
    frame = np.full((10, 30), 255, np.uint8)
    plan = ResamplePlan(frame.shape, (30, 30), mode="letterbox")
    tensor = frame_to_tensor(
        frame, GrayscaleTransform.full_range(8), plan, scale=255, mean=10, std=5, pad_value=114 / 255
    )
    assert tensor[0, 0, 0, 0] == pytest.approx((114 - 10) / 5, abs=1e-5)
    assert tensor[0, 0, 15, 0] == pytest.approx((255 - 10) / 5, abs=1e-5)


@pytest.mark.parametrize("kind", ["area", "triangle", "linear"])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 7), (7, 1), (2, 3), (50, 50), (3000, 512), (5, 4), (97, 311)])
def test_weights_are_those_of_the_definition(kind: Any, n_in: int, n_out: int) -> None:
    from kernels.resample import axis_taps

    taps = axis_taps(n_in, n_out, 0.0, float(n_in), kind)
    dense = np.zeros((n_out, n_in))
    for o in range(n_out):
        dense[o, taps.start[o] : taps.start[o] + taps.extent[o]] += taps.weights[o, : taps.extent[o]]
    np.testing.assert_allclose(dense, reference.weights(n_in, n_out, kind), atol=1e-6)


def test_equal_plans_share_their_weights() -> None:
    assert resampler(ResamplePlan((11, 12), (5, 6))) is resampler(ResamplePlan((11, 12), (5, 6), "area", "squash"))
    assert resampler.cache_info().maxsize == 64


def test_lists_and_numpy_shapes_are_the_same_plan() -> None:
    assert ResamplePlan([np.int64(11), 12], (5, 6)) == ResamplePlan((11, 12), (5, 6))  # type: ignore[arg-type]
