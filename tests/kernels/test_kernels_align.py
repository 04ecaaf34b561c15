"""Alignment: points come home from every orientation, crop, turn and resize; pixels lie where the record says."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import Alignment, GrayscaleTransform, Placement, ResamplePlan, align, frame_to_tensor

LETTERS = ("L", "R", "F", "H")
ORIENTATIONS = [(x, y) for x, y in product(LETTERS, LETTERS) if {x, y} & {"L", "R"} and {x, y} & {"F", "H"}]
FIELDS_OF_VIEW = list(product((0, 90, 180, 270), ("YES", "NO")))
lengths = st.integers(1, 50)


def collimated(shape: tuple[int, int], angle: float, box: tuple[float, float, float, float], seed: int = 0) -> Any:
    """A textured field (top, bottom, left, right in shares of the shape) turned clockwise about the centre."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    dx, dy, t = x - shape[1] / 2, y - shape[0] / 2, np.radians(angle)
    u, v = np.cos(t) * dx + np.sin(t) * dy + shape[1] / 2, np.cos(t) * dy - np.sin(t) * dx + shape[0] / 2
    inside = (v > box[0] * shape[0]) & (v < box[1] * shape[0]) & (u > box[2] * shape[1]) & (u < box[3] * shape[1])
    content = 2000 + 500 * np.sin(u / 30) + 400 * np.cos(v / 40) + random.normal(0, 60, shape)
    return np.where(inside, content, 20 + random.normal(0, 5, shape)).clip(0, 4000).astype(np.uint16)


def stored_centres(shape: tuple[int, int]) -> np.ndarray:
    """(rows * columns, 2): the centre of each pixel as (column, row)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5


@pytest.mark.parametrize("letters", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("view", [("L", "F"), ("R", "H"), ("F", "L")], ids="".join)
def test_every_pixel_lies_where_the_record_says(letters: tuple[str, str], view: tuple[str, str]) -> None:
    frame = np.arange(5 * 7, dtype=np.uint16).reshape(5, 7)
    aligned, record = align(frame, {"PatientOrientation": letters}, orientation="patient", view=view)
    assert np.shares_memory(aligned, frame)
    column, row = np.floor(record.to_aligned(stored_centres((5, 7)))).astype(int).T
    np.testing.assert_array_equal(aligned[row, column], frame.ravel())
    if letters == view:
        np.testing.assert_array_equal(aligned, frame)


def test_a_patient_on_the_side_is_put_upright() -> None:
    """Rows go on to the feet, columns to the patient's left: the head is at the left of the stored frame."""
    frame = np.zeros((4, 9), np.uint8)
    frame[0, 0], frame[3, 0] = 1, 2  # head, at the right and at the left hand
    shown = align(frame, {"PatientOrientation": "F\\L"}, orientation="patient").frame
    assert shown.shape == (9, 4)
    assert (shown[0, 0], shown[0, 3]) == (1, 2)


def test_direction_cosines_say_it_too() -> None:
    frame = np.arange(12, dtype=np.int16).reshape(3, 4)
    head_down = {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}  # columns go on to the head
    np.testing.assert_array_equal(align(frame, head_down, orientation="patient").frame, frame[::-1])
    letters_first = {"PatientOrientation": ["R", "F"], **head_down}
    np.testing.assert_array_equal(align(frame, letters_first, orientation="patient").frame, frame[:, ::-1])


@pytest.mark.parametrize(("turn", "flip"), FIELDS_OF_VIEW)
def test_the_detector_s_view_is_what_was_turned_and_then_mirrored(turn: int, flip: str) -> None:
    detector = np.arange(15, dtype=np.uint16).reshape(3, 5)
    stored = np.rot90(detector, -turn // 90)
    stored = stored[:, ::-1] if flip == "YES" else stored
    attributes = {"FieldOfViewRotation": str(turn), "FieldOfViewHorizontalFlip": flip}
    np.testing.assert_array_equal(align(stored, attributes, orientation="detector").frame, detector)


@settings(max_examples=200, deadline=None)
@given(
    rows=lengths, columns=lengths, out=st.tuples(lengths, lengths), letters=st.sampled_from(ORIENTATIONS),
    mode=st.sampled_from(["squash", "letterbox", "centre-crop"]), aspect=st.floats(0.5, 2),
    angle=st.floats(-15, 15), crop=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)), data=st.data(),
)  # fmt: skip
def test_points_come_home(
    rows: int, columns: int, out: Any, letters: Any, mode: Any, aspect: float, angle: float, crop: Any, data: Any
) -> None:
    """Turned, cropped, oriented, resized, and back: exact but for the last bits of a double."""
    shape = (rows, columns)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    record = Alignment(shape, shape, (c, -s, columns / 3, s, c, -rows / 5))
    cut = (max(1, int(rows * (1 - crop[0]))), max(1, int(columns * (1 - crop[1]))))
    record = record.then(Alignment(shape, cut, (1, 0, columns - cut[1], 0, 1, rows - cut[0])))
    frame = np.zeros(cut, np.uint8)
    record = record.then(align(frame, {"PatientOrientation": letters}, orientation="patient").alignment)
    placement = Placement(record, ResamplePlan(record.out_shape, out, mode=mode, pixel_aspect_ratio=aspect))
    points = [[data.draw(st.floats(-5, columns + 5)), data.draw(st.floats(-5, rows + 5))] for _ in range(3)]
    np.testing.assert_allclose(placement.to_stored(placement.to_tensor(points)), points, rtol=0, atol=1e-6)
    assert (placement.in_shape, placement.out_shape) == (shape, out)


@pytest.mark.parametrize("angle", [0.0, 2.0, -6.5, 12.0])
@pytest.mark.parametrize("letters", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("target", [(300, 300), (120, 160)], ids=["finer", "coarser"])
def test_a_bright_mark_lands_where_the_inverse_says(angle: float, letters: Any, target: Any) -> None:
    """The whole way through pixels: found in the tensor, it is within half a stored pixel of where it was planted.

    The mark is a block of as many stored pixels as a tensor pixel needs to see it; its centre of mass is compared.
    """
    frame = collimated((420, 360), angle, (0.15, 0.8, 0.2, 0.85))
    dark = (frame // 40).astype(np.uint16)  # the mark must outshine everything
    planted = np.array([171.5, 230.5])  # column, row of its centre
    dark[220:241, 161:182] = 60000
    _, record = align(
        frame, {"PatientOrientation": letters}, orientation="patient", crop=True, deskew=15.0
    )  # found on the film without the mark, applied to the one with it
    assert record.out_shape != frame.shape
    placement = Placement(record, ResamplePlan(record.out_shape, target, mode="letterbox"))
    tensor = frame_to_tensor(record.apply(dark), GrayscaleTransform.full_range(), placement.plan)[0, 0]
    weight = np.where(tensor > 0.1, tensor, 0).astype(np.float64)
    centres = stored_centres(target)
    seen = (centres * weight.reshape(-1, 1)).sum(axis=0) / weight.sum()
    assert np.abs(placement.to_stored(seen) - planted).max() <= 0.5


@pytest.mark.parametrize("angle", [0.0, 1.0, -4.0, 9.0, 14.0])
@pytest.mark.parametrize("level", [0, 4000], ids=["black-border", "white-border"])
def test_the_field_is_found_turned_upright_and_cut_out(angle: float, level: int) -> None:
    frame = collimated((1200, 1000), angle, (0.2, 0.8, 0.25, 0.8))
    frame = 4000 - frame if level else frame
    aligned, record = align(frame, crop=True, deskew=15.0)
    assert aligned.shape[0] == pytest.approx(720, abs=10)
    assert aligned.shape[1] == pytest.approx(550, abs=10)
    a, _, _, d, _, _ = record.matrix
    assert np.degrees(np.arctan2(d, a)) == pytest.approx(angle, abs=0.2)
    content = aligned[20:-20, 20:-20]
    assert ((content > 800) & (content < 3400)).mean() > 0.999


def test_without_deskew_a_crop_keeps_all_of_a_skew_field() -> None:
    frame = collimated((600, 500), 8.0, (0.2, 0.8, 0.25, 0.8))
    aligned, record = align(frame, crop=True)
    assert record.is_view
    assert np.shares_memory(aligned, frame)
    assert (aligned > 500).sum() == (frame > 500).sum()
    assert aligned.size < 0.75 * frame.size


def body(shape: tuple[int, int]) -> np.ndarray:
    """An ellipse in the air: an outline that is not straight."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y / shape[0] - 0.5) / 0.4) ** 2 + ((x / shape[1] - 0.5) / 0.35) ** 2 < 1
    return np.where(inside, 2000, 10).astype(np.uint16)


@pytest.mark.parametrize(
    "frame",
    [
        body((500, 400)),
        np.random.default_rng(0).integers(0, 4000, (300, 300), np.uint16),
        np.zeros((300, 200), np.uint16),
        collimated((300, 300), 0.0, (-1, 2, -1, 2)),
        np.full((1, 1), 9, np.uint8),
        np.arange(9, dtype=np.float32).reshape(3, 3),
    ],
    ids=["body", "noise", "even", "open-field", "one-pixel", "tiny"],
)
def test_where_there_is_no_collimation_nothing_happens(frame: np.ndarray) -> None:
    aligned, record = align(frame, crop=True, deskew=15.0)
    assert record == Alignment(frame.shape, frame.shape)
    assert np.shares_memory(aligned, frame)


def test_a_larger_skew_than_asked_for_is_left() -> None:
    frame = collimated((600, 500), 9.0, (0.2, 0.8, 0.25, 0.8))
    assert align(frame, deskew=5.0).alignment.is_view


def test_pixels_that_are_not_square_turn_as_squares() -> None:
    """A film scanned with half the rows: its upright field is still a rectangle of the same width."""
    frame = np.ascontiguousarray(collimated((1200, 1000), 9.0, (0.2, 0.8, 0.25, 0.8))[::2])
    aligned = align(frame, crop=True, deskew=15.0, pixel_aspect_ratio=2.0).frame
    assert aligned.shape == pytest.approx((360, 550), abs=10)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, ">u2"])
def test_types_layouts_and_threads(dtype: Any) -> None:
    frame = (collimated((400, 300), 5.0, (0.2, 0.8, 0.25, 0.8)) // 20).astype(dtype)
    expected = align(frame, crop=True, deskew=15.0)
    threaded = align(frame, crop=True, deskew=15.0, num_threads=3)
    np.testing.assert_array_equal(threaded.frame, expected.frame)
    strided = np.zeros((800, 600), dtype)[::2, ::-2]
    strided[...] = frame
    strided.setflags(write=False)
    np.testing.assert_array_equal(align(strided, crop=True, deskew=15.0).frame, expected.frame)
    buffer = np.zeros(frame.size, expected.frame.dtype)
    written = align(frame, crop=True, deskew=15.0, out=buffer).frame
    assert np.shares_memory(written, buffer)
    np.testing.assert_array_equal(written, expected.frame)


def test_colour_goes_along() -> None:
    gray = (collimated((300, 280), 4.0, (0.2, 0.8, 0.25, 0.8)) // 20).astype(np.uint8)
    colour = np.stack([gray, gray // 2, gray // 3], axis=2)
    aligned = align(colour, {"PatientOrientation": "R\\F"}, orientation="patient", crop=True, deskew=9.0).frame
    assert aligned.ndim == 3
    assert np.abs(aligned[..., 1].astype(int) * 2 - aligned[..., 0]).max() <= 3


FRAME = np.zeros((8, 9), np.uint16)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame", {"frame": np.zeros((0, 4), np.uint8)}),
        ("frame", {"frame": np.zeros((2, 3, 4), np.uint8)}),
        ("frame", {"frame": np.zeros(9, np.uint8)}),
        ("orientation", {"orientation": "standard"}),
        ("view", {"orientation": "patient", "view": ("L", "R"), "attributes": {"PatientOrientation": "L\\F"}}),
        ("view", {"orientation": "patient", "view": ("L",), "attributes": {"PatientOrientation": "L\\F"}}),
        ("deskew", {"deskew": 16.0}),
        ("deskew", {"deskew": float("nan")}),
        ("pixel_aspect_ratio", {"pixel_aspect_ratio": 0.0}),
        ("out", {"out": np.zeros(71, np.uint16)}),
        ("out", {"out": np.zeros(72, np.uint8)}),
        ("out", {"out": FRAME}),
        ("num_threads", {"num_threads": 0}),
        ("PatientOrientation", {"orientation": "patient"}),
        ("PatientOrientation", {"orientation": "patient", "attributes": {"PatientOrientation": "A\\F"}}),
        ("PatientOrientation", {"orientation": "patient", "attributes": {"PatientOrientation": "L\\R"}}),
        ("PatientOrientation", {"orientation": "patient", "attributes": {"PatientOrientation": "INVENTED"}}),
        ("FieldOfViewRotation", {"orientation": "detector"}),
        ("FieldOfViewRotation", {"orientation": "detector", "attributes": {"FieldOfViewRotation": "45"}}),
        (
            "FieldOfViewHorizontalFlip",
            {
                "orientation": "detector",
                "attributes": {"FieldOfViewRotation": "0", "FieldOfViewHorizontalFlip": "INVENTED"},
            },
        ),
    ],
)
def test_align_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        align(**{"frame": FRAME, **arguments})
    assert "INVENTED" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("in_shape", {"in_shape": (0, 3)}),
        ("out_shape", {"out_shape": (3, 3, 3)}),
        ("matrix", {"matrix": (1, 2, 3)}),
        ("matrix", {"matrix": (1, 0, float("nan"), 0, 1, 0)}),
        ("matrix", {"matrix": (1, 1, 0, 1, 1, 0)}),
    ],
)
def test_a_record_that_exists_can_be_followed_both_ways(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        Alignment(**{"in_shape": (3, 4), "out_shape": (3, 4), **arguments})


def test_records_that_do_not_fit_are_refused() -> None:
    record = Alignment((3, 4), (5, 6))
    with pytest.raises(ValueError, match=r"^later: "):
        record.then(Alignment((3, 4), (3, 4)))
    with pytest.raises(ValueError, match=r"^plan: "):
        Placement(record, ResamplePlan((3, 4), (2, 2)))
    with pytest.raises(ValueError, match=r"^frame: "):
        record.apply(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"^frame: "):
        Alignment((3, 4), (3, 4), (0.9, -0.1, 0, 0.1, 0.9, 0)).apply(np.zeros((3, 4), np.uint32))
    with pytest.raises(ValueError, match=r"^points: "):
        record.to_stored([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"^x_axis: "):
        Alignment.by_axes((3, 4), (1, 0), (1, 0))
