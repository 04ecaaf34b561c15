"""Wrong arguments are refused before anything is computed, by a message that begins with their name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor

FRAME = np.zeros((4, 5), np.uint16)
PLAN = ResamplePlan((4, 5), (2, 2))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame", {"frame": np.zeros((5, 4), np.uint16)}),
        ("frame", {"frame": np.zeros(20, np.uint16)}),
        ("frame", {"frame": np.zeros((4, 5, 2), np.uint8)}),
        ("frame", {"frame": np.zeros((1, 4, 5), np.uint16)}),
        ("frame", {"frame": np.zeros((4, 5), np.complex64)}),
        ("channels", {"channels": 0}),
        ("channels", {"frame": np.zeros((4, 5, 3), np.uint8), "channels": 2}),
        ("mean", {"channels": 3, "mean": [0.1, 0.2]}),
        ("mean", {"mean": float("nan")}),
        ("std", {"channels": 3, "std": [1.0, 0.0, 1.0]}),
        ("std", {"std": -1.0}),
        ("scale", {"scale": float("inf")}),
        ("pad_value", {"pad_value": float("nan")}),
        ("layout", {"layout": "CHWN"}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_frame_to_tensor_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    frame = arguments.pop("frame", FRAME)
    with pytest.raises(ValueError, match=rf"^{name}: "):
        frame_to_tensor(frame, GrayscaleTransform.full_range(), PLAN, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("in_shape", {"in_shape": (0, 3)}),
        ("out_shape", {"out_shape": (3,)}),
        ("filter", {"filter": "cubic"}),
        ("mode", {"mode": "stretch"}),
        ("pixel_aspect_ratio", {"pixel_aspect_ratio": 0.0}),
        ("pixel_aspect_ratio", {"pixel_aspect_ratio": float("nan")}),
    ],
)
def test_plan_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        ResamplePlan(**{"in_shape": (4, 4), "out_shape": (2, 2), **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("width", {"width": 0.5}),
        ("width", {"width": float("nan")}),
        ("width", {"width": 0, "function": "LINEAR_EXACT"}),
        ("center", {"center": float("inf")}),
        ("width", {"center": 1e17, "width": 3}),
        ("slope", {"slope": 1e-320}),
        ("function", {"function": "CUBIC"}),
        ("slope", {"slope": 0}),
        ("intercept", {"intercept": float("nan")}),
        ("bits_stored", {"bits_stored": 0}),
        ("bits_stored", {"bits_stored": 24, "function": "SIGMOID"}),
    ],
)
def test_window_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        GrayscaleTransform.window(**{"center": 40, "width": 400, **arguments})


def test_points_must_be_pairs() -> None:
    with pytest.raises(ValueError, match=r"^points: "):
        PLAN.to_stored([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("keyword", "attributes"),
    [
        ("WindowWidth", {"WindowCenter": 1, "WindowWidth": 0}),
        ("WindowWidth", {"WindowCenter": 1, "WindowWidth": "wide"}),
        ("VOILUTFunction", {"WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "CUBIC"}),
        ("RescaleSlope", {"RescaleSlope": 0}),
        ("RescaleIntercept", {"RescaleIntercept": "nan"}),
        ("(slope|width)", {"RescaleSlope": "1e308"}),
        ("(slope|width)", {"RescaleIntercept": "1e300"}),
        ("BitsStored", {"BitsAllocated": 8, "BitsStored": 12}),
        ("HighBit", {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 16}),
        ("PhotometricInterpretation", {"PhotometricInterpretation": "PALETTE COLOR"}),
        ("VOILUTSequence", {"VOILUTSequence": [([4, 0, 8], [0, 1])]}),
        ("VOILUTSequence", {"VOILUTSequence": [{"LUTData": [0, 1]}]}),
        ("ModalityLUTSequence", {"ModalityLUTSequence": [([2, 0, 32], [0, 1])]}),
        ("ModalityLUTSequence", {"BitsAllocated": 32, "ModalityLUTSequence": [([2, 0, 8], [0, 1])]}),
    ],
)
def test_from_attributes_names_the_keyword(keyword: str, attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{keyword}: "):
        GrayscaleTransform.from_attributes(attributes)


def test_a_message_never_repeats_an_attribute_text() -> None:
    with pytest.raises(ValueError, match="WindowCenter") as caught:
        GrayscaleTransform.from_attributes({"WindowCenter": "INVENTED^NAME", "WindowWidth": 5})
    assert "INVENTED" not in str(caught.value)


def test_polarity_is_one_of_two() -> None:
    with pytest.raises(ValueError, match=r"^polarity: "):
        GrayscaleTransform.from_attributes({}, polarity="inverse")
