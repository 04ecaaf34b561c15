"""Align, denoise and contrast as a manifest asks for them; and regions that come back to the stored pixels."""

from __future__ import annotations

from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from acceptance.objects import ORIENTATIONS, chest_dx, stored_as
from package_maker import plain_manifest
from test_infer_numbers import entry

from edge.infer import attention, preprocess, steps
from edge.infer.applicability import check_statistics
from edge.infer.pixels import Frame
from edge.infer.refusal import Refusal
from edge.packages.consistency import problems
from edge.packages.manifest import Manifest, Rule


def radiograph(shape: tuple[int, int] = (240, 200)) -> np.ndarray:
    """A film with a dark collimated border and an opacity; as displayed, upright."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = (y > 0.1 * shape[0]) & (y < 0.9 * shape[0]) & (x > 0.15 * shape[1]) & (x < 0.95 * shape[1])
    texture = 900 + 200 * np.sin(x / 9) + 200 * np.cos(y / 11)
    opacity = 2500 * np.exp(-((y / shape[0] - 0.6) ** 2 + (x / shape[1] - 0.35) ** 2) / 0.005)
    return np.where(inside, texture + opacity, 3).astype(np.uint16)


def prepared(pixels: np.ndarray, one: Any, **attributes: Any) -> preprocess.Prepared:
    dataset = chest_dx(pixels, BitsStored=12, HighBit=11, **attributes)
    return preprocess.prepared(Frame(pixels, str(dataset.PhotometricInterpretation)), dataset, one)


ALIGN = {"orientation": "patient", "crop": "collimation", "deskew_degrees": 10.0}


@pytest.mark.parametrize("mode", ["squash", "letterbox", "centre-crop"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_outline_lies_on_the_opacity_however_the_image_is_stored(orientation: str, mode: str) -> None:
    one = entry((1, 96, 80, 1), align=ALIGN, resize={"mode": mode, "filter": "area"})
    pixels = stored_as(radiograph(), orientation)
    dataset = chest_dx(pixels, BitsStored=12, HighBit=11, PatientOrientation=orientation.split("\\"))
    made = preprocess.prepared(Frame(pixels, "MONOCHROME2"), dataset, one)
    np.testing.assert_allclose(made.tensor, prepared(radiograph(), one, PatientOrientation="L\\F").tensor, atol=1e-6)
    heat = cv2.resize(made.tensor[0, :, :, 0], (40, 48), interpolation=cv2.INTER_AREA).astype(np.float64)
    laid = preprocess.placement(dataset, one, steps.told(made.alignment))
    points = np.array(attention.outlines(heat, laid)[0], np.float32)
    row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    assert cv2.pointPolygonTest(points.reshape(-1, 1, 2), (float(column), float(row)), False) > 0
    assert np.ptp(points, axis=0).max() < 60


def test_the_detector_s_view() -> None:
    one = entry((1, 24, 20, 1), align={"orientation": "detector"})
    upright = radiograph()
    turned = np.ascontiguousarray(np.rot90(upright, -1)[:, ::-1])
    made = prepared(turned, one, FieldOfViewRotation="90", FieldOfViewHorizontalFlip="YES")
    np.testing.assert_allclose(made.tensor, prepared(upright, entry((1, 24, 20, 1))).tensor, atol=1e-6)


def test_oblong_pixels_stay_oblong_when_they_are_turned() -> None:
    one = entry((1, 90, 90, 1), align={"orientation": "patient"}, resize={"mode": "letterbox", "filter": "area"})
    tall = radiograph((120, 200))  # rows twice as far apart as columns
    upright = prepared(tall, one, PatientOrientation="L\\F", ImagerPixelSpacing=[0.2, 0.1])
    lying = prepared(stored_as(tall, "F\\L"), one, PatientOrientation="F\\L", ImagerPixelSpacing=[0.1, 0.2])
    np.testing.assert_allclose(lying.tensor, upright.tensor, atol=1e-6)


@pytest.mark.parametrize("orientation", [None, "A\\F", "INVENTED"])
def test_an_image_that_does_not_say_is_refused_or_left_as_the_package_wants(orientation: str | None) -> None:
    pixels = radiograph()
    with pytest.raises(Refusal) as refused:
        prepared(pixels, entry(align={"orientation": "patient"}), PatientOrientation=orientation)
    assert refused.value.reason == "unsupported-pixels"
    left = prepared(pixels, entry(align={"orientation": "patient", "unknown": "leave"}), PatientOrientation=orientation)
    np.testing.assert_array_equal(left.tensor, prepared(pixels, entry()).tensor)


@pytest.mark.parametrize("told", [(), (1.0,), (240.0, 200.0, 2.0, 0, 0, 0, 1.0, 0), (9e9, 1.0, 1, 0, 0, 0, 1, 0),
                                  (240.0, 200.0, 1, 1, 0, 1, 1, 0), (float("inf"), 1.0, 1, 0, 0, 0, 1, 0)])  # fmt: skip
def test_a_record_of_a_worker_that_is_none_is_refused(told: tuple[float, ...]) -> None:
    dataset = chest_dx(radiograph(), BitsStored=12, HighBit=11)
    with pytest.raises(Refusal) as refused:
        preprocess.placement(dataset, entry(align=ALIGN), told)
    assert refused.value.reason == "bad-output"


@pytest.mark.parametrize(
    "step",
    [
        {"method": "median", "size": 5},
        {"method": "bilateral", "size": 7, "strength": 0.3},
        {"method": "non-local-means", "size": 11, "strength": 0.05},
    ],
    ids=lambda step: step["method"],
)
def test_noise_is_removed_before_the_window(step: dict[str, Any]) -> None:
    clean = radiograph()
    noise = np.random.default_rng(0).normal(0, 40, clean.shape) * (clean > 200)
    noisy = (clean + noise).astype(np.uint16)
    shape = (1, 240, 200, 1)
    expected = prepared(clean, entry(shape)).tensor
    before = np.abs(prepared(noisy, entry(shape)).tensor - expected).mean()
    assert np.abs(prepared(noisy, entry(shape, denoise=step)).tensor - expected).mean() < 0.75 * before


@pytest.mark.parametrize("method", ["clahe", "equalize"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_contrast_works_on_the_picture_as_displayed(method: str, photometric: str) -> None:
    pixels = radiograph()
    stored = pixels if photometric == "MONOCHROME2" else (4095 - pixels).astype(np.uint16)
    faint = {"WindowCenter": 2048, "WindowWidth": 4096}
    one = entry((1, 240, 200, 1), window={"kind": "voi"}, contrast={"method": method})
    plain = entry((1, 240, 200, 1), window={"kind": "voi"})
    made = prepared(stored, one, PhotometricInterpretation=photometric, **faint).tensor
    assert made.std() > 1.3 * prepared(stored, plain, PhotometricInterpretation=photometric, **faint).tensor.std()
    np.testing.assert_allclose(made, prepared(pixels, one, **faint).tensor, atol=2e-3)
    assert made.argmax() == pytest.approx(pixels.argmax(), abs=200 * 12)


@pytest.mark.parametrize("steps", [{"denoise": {"method": "median"}}, {"contrast": {"method": "clahe"}}])
def test_colours_are_not_filtered(steps: dict[str, Any]) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    dataset = chest_dx(pixels[..., 0], PhotometricInterpretation="RGB", SamplesPerPixel=3)
    with pytest.raises(Refusal) as refused:
        preprocess.prepare(Frame(pixels, "RGB"), dataset, entry((1, 4, 4, 3), channels="repeat", **steps))
    assert refused.value.reason == "unsupported-pixels"


def test_the_polarity_is_that_of_the_header() -> None:
    y, x = np.mgrid[:200, :160]
    body = np.hypot(y / 200 - 0.5, x / 160 - 0.5) < 0.48
    pixels = np.where(body, 1500 + 300 * np.sin(x / 7), 90 + x % 7).astype(np.uint16)
    rule = {"Polarity": Rule(absent="refuse", min=0.0)}
    reasons = {}
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        dataset = chest_dx(pixels, BitsStored=12, HighBit=11, PhotometricInterpretation=photometric)
        measured = {"Polarity": preprocess.polarity_of(Frame(pixels, photometric), dataset)}
        reasons[photometric] = check_statistics(rule, measured)
    assert reasons == {"MONOCHROME2": "", "MONOCHROME1": "not-applicable:Polarity"}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"align": {"view": ["L", "R"]}}, "align.view"),
        ({"denoise": {"method": "median", "size": 7}}, "denoise.size"),
        ({"denoise": {"method": "bilateral", "size": 6}}, "denoise.size"),
    ],
)
def test_steps_that_contradict_themselves_are_named(steps: dict[str, Any], words: str) -> None:
    raw = plain_manifest(members={})
    raw["inputs"][0]["preprocess"] |= steps
    found = problems(msgspec.convert(raw, Manifest, strict=False))
    assert any(words in problem for problem in found)
