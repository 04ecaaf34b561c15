"""The statistic that says whether a picture looks inverted for its header."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import GrayscaleTransform, polarity

SHOWN = GrayscaleTransform.window(2000, 4000, "LINEAR_EXACT")
INVERTED = GrayscaleTransform.window(2000, 4000, "LINEAR_EXACT", invert=True)


def film(shape: tuple[int, int] = (300, 260), seed: int = 0) -> np.ndarray:
    """A body in the air, with noise, bright where it attenuates."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y / shape[0] - 0.5) / 0.5) ** 2 + ((x / shape[1] - 0.5) / 0.42) ** 2 < 1
    body = 2200 + 600 * np.sin(x / 20) + np.random.default_rng(seed).normal(0, 120, shape)
    return (
        np.where(inside, body, 150 + np.random.default_rng(seed).normal(0, 40, shape)).clip(0, 4000).astype(np.uint16)
    )


def test_a_picture_as_it_should_be_and_the_same_inverted() -> None:
    assert polarity(film(), SHOWN) > 0.5
    assert polarity(film(), INVERTED) == pytest.approx(-polarity(film(), SHOWN), abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99), top=st.sampled_from([1, 7, 250])
)
def test_it_is_the_difference_of_two_shares_of_pairs(shape: tuple[int, int], seed: int, top: int) -> None:
    frame = np.random.default_rng(seed).integers(0, top, shape, np.uint8, endpoint=True)
    found = polarity(frame, GrayscaleTransform.full_range(8))
    height, width = max(1, shape[0] // 8), max(1, shape[1] // 8)
    corner = np.zeros(shape, bool)
    corner[np.ix_(np.r_[:height, -height:0], np.r_[:width, -width:0])] = True
    pairs = np.sign(frame[~corner].astype(int)[:, None] - frame[corner].astype(int)[None, :])
    assert found == pytest.approx(float(pairs.mean()) if pairs.size else 0.0, abs=1e-9)


def test_a_shutter_hides_nothing() -> None:
    """Black around the field in both polarities: what lies within decides."""
    frame = film()
    wrong = (4000 - frame).astype(np.uint16)
    for image, sign in ((frame, 1), (wrong, -1)):
        shuttered = np.zeros((420, 400), np.uint16)
        shuttered[60:360, 70:330] = np.maximum(image, 400)  # well above the shutter
        assert sign * polarity(shuttered, SHOWN) > 0.3


def test_a_picture_of_one_value_says_nothing() -> None:
    assert polarity(np.full((50, 60), 7, np.uint16), SHOWN) == 0.0


def test_colour_and_strides() -> None:
    frame = film()
    colour = np.stack([frame // 16] * 3, axis=2).astype(np.uint8)
    assert polarity(colour, GrayscaleTransform.full_range(8)) > 0.5
    wide = np.zeros((600, 520), np.uint16)
    wide[::2, ::2] = frame
    assert polarity(wide[::2, ::2], SHOWN) == polarity(frame, SHOWN)
    assert polarity(frame, SHOWN, num_threads=2) == polarity(frame, SHOWN)


@pytest.mark.parametrize("frame", [np.zeros((0, 3), np.uint8), np.zeros((3, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_a_wrong_frame_is_named(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^frame: "):
        polarity(frame, SHOWN)
