"""Slices go by their place, and only what is one even volume is taken for one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from edge.infer import slices
from edge.infer.refusal import Refusal

AXIAL = [1.0, 0, 0, 0, 1, 0]
OBLIQUE = [0.8, 0.6, 0, 0, 0, -1.0]


def image(height: float, orientation: list[float] = AXIAL, **attributes: Any) -> Dataset:
    """A slice at `height` mm along the normal."""
    dataset = Dataset()
    normal = np.cross(orientation[:3], orientation[3:])
    dataset.ImagePositionPatient = [f"{each:.6g}" for each in np.array([5.0, -3, 2]) + height * normal]
    dataset.ImageOrientationPatient, dataset.PixelSpacing = orientation, [0.7, 0.7]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_place_wins_over_number(orientation: list[float]) -> None:
    heights = [-30.0, -28.0, -26.0, -24.0, 12.5]
    images = [image(height, orientation, InstanceNumber=100 - index) for index, height in enumerate(heights)]
    random.Random(2).shuffle(images)
    placed = [images[index] for index in slices.ordered(images)]
    assert [each.InstanceNumber for each in placed] == [100, 99, 98, 97, 96]


@pytest.mark.parametrize(
    "images",
    [
        [image(9, InstanceNumber=2), image(5, OBLIQUE, InstanceNumber=1), image(1, InstanceNumber=3)],
        [Dataset(), image(5, InstanceNumber=1), image(1, InstanceNumber=2)],
    ],
)
def test_without_a_common_normal_the_numbers_decide(images: list[Dataset]) -> None:
    numbers = [images[index].get("InstanceNumber", -1) for index in slices.ordered(images)]
    assert numbers == sorted(numbers)


def test_two_images_at_one_place_keep_the_order_of_their_numbers() -> None:
    images = [image(1, InstanceNumber=4), image(1, InstanceNumber=2), image(0, InstanceNumber=9)]
    assert slices.ordered(images) == [2, 1, 0]


def stacked(images: list[Dataset]) -> slices.Stack:
    return slices.stacked([slices.plane(each) for each in images])


def test_an_even_stack_says_its_spacing() -> None:
    stack = stacked([image(height, OBLIQUE) for height in (4, 0, 2, 6.02)])
    assert stack.order == (1, 2, 0, 3)
    assert stack.spacing == pytest.approx((2.0, 0.7, 0.7), abs=0.01)


@pytest.mark.parametrize(
    "images",
    [
        [],
        [image(0)],
        [image(0), image(2), image(6)],
        [image(0), image(2), image(2)],
        [image(0), image(2), image(4.3)],
        [image(0), image(2), image(4, PixelSpacing=[0.7, 0.9])],
        [image(0), image(2), image(4, OBLIQUE)],
        [image(0), image(2), image(4, ImagePositionPatient=[5, 8, 6])],  # a tilted gantry
        [image(0), image(2), image(4, ImageOrientationPatient=[1, 0, 0, 0, 2, 0])],
        [image(height, PixelSpacing=None) for height in (0, 2, 4)],
        [image(0), image(2), Dataset()],
    ],
)
def test_what_is_no_even_volume(images: list[Dataset]) -> None:
    with pytest.raises(Refusal) as caught:
        stacked(images)
    assert caught.value.reason == "uneven-slices"
