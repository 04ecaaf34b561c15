"""The grayscale pipeline against pydicom's, attribute by attribute, and the rules where pydicom has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor, reference


def as_dataset(attributes: dict[str, Any]) -> Dataset:
    """The same attributes as pydicom wants them."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, [as_item(value[0])] if keyword.endswith("Sequence") else value)
    return dataset


def as_item(lut: dict[str, Any]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", lut["LUTDescriptor"])
    item.add_new("LUTData", "US", lut["LUTData"])
    return item


def shown_by_pydicom(stored: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    """0..1 by pydicom; its output range is divided out as its documentation gives it."""
    dataset = as_dataset(attributes)
    with np.errstate(over="ignore"):  # in pydicom's SIGMOID
        values = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), np.float64)
    if "VOILUTSequence" in attributes:
        return values / (2 ** attributes["VOILUTSequence"][0]["LUTDescriptor"][2] - 1)
    if "ModalityLUTSequence" in attributes:
        low, high = 0.0, 2.0 ** attributes["ModalityLUTSequence"][0]["LUTDescriptor"][2] - 1
    else:
        bits, signed = attributes["BitsStored"], attributes["PixelRepresentation"]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        slope, intercept = attributes.get("RescaleSlope", 1), attributes.get("RescaleIntercept", 0)
        low, high = low * slope + intercept, high * slope + intercept
    return (values - low) / (high - low)


def shown_by_us(stored: np.ndarray, attributes: dict[str, Any], **options: Any) -> np.ndarray:
    transform = GrayscaleTransform.from_attributes(attributes, **options)
    return frame_to_tensor(stored, transform, ResamplePlan(stored.shape, stored.shape, "linear"))[0, 0]


def all_values(bits: int, signed: bool) -> np.ndarray:
    """Every stored value once, as a frame."""
    low = -(2 ** (bits - 1)) if signed else 0
    return np.arange(low, low + 2**bits).reshape(64, -1).astype(np.int16 if signed else np.uint16)


@settings(max_examples=80, deadline=None)
@given(
    bits=st.sampled_from([8, 10, 12, 16]),
    signed=st.booleans(),
    rescale=st.sampled_from([None, (1, 0), (1, -1024), (0.5, 3), (2.25, -7.5)]),
    window=st.tuples(st.integers(-1000, 4000), st.integers(1, 5000)),
    function=st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_agree_with_pydicom(bits: int, signed: bool, rescale: Any, window: Any, function: Any) -> None:
    attributes: dict[str, Any] = {"BitsStored": bits, "PixelRepresentation": int(signed), "BitsAllocated": 16}
    attributes |= {"WindowCenter": window[0], "WindowWidth": window[1], "PhotometricInterpretation": "MONOCHROME2"}
    if rescale:
        attributes |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1]}
    if function:
        attributes["VOILUTFunction"] = function
    stored = all_values(bits, signed)
    np.testing.assert_allclose(shown_by_us(stored, attributes), shown_by_pydicom(stored, attributes), atol=2e-6)


@pytest.mark.parametrize("first", [0, 100, 1000])
@pytest.mark.parametrize("lut_bits", [10, 12, 16])
@pytest.mark.parametrize("invert", [False, True])
def test_voi_lut_agrees_with_pydicom(first: int, lut_bits: int, invert: bool) -> None:
    entries = np.random.default_rng(first).integers(0, 2**lut_bits, 700).tolist()
    attributes: dict[str, Any] = {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 0}
    attributes["PhotometricInterpretation"] = "MONOCHROME1" if invert else "MONOCHROME2"
    attributes["VOILUTSequence"] = [{"LUTDescriptor": [700, first, lut_bits], "LUTData": entries}]
    attributes |= {"WindowCenter": 40, "WindowWidth": 400}
    stored = all_values(12, False)
    expected = shown_by_pydicom(stored, attributes)
    np.testing.assert_allclose(shown_by_us(stored, attributes), 1 - expected if invert else expected, atol=2e-6)


@pytest.mark.parametrize("window", [None, (900, 700)])
def test_modality_lut_agrees_with_pydicom(window: Any) -> None:
    entries = (np.linspace(0, 1, 3000) ** 2 * 65535).astype(int).tolist()
    attributes: dict[str, Any] = {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 0}
    attributes |= {"ModalityLUTSequence": [{"LUTDescriptor": [3000, 500, 16], "LUTData": entries}]}
    attributes["PhotometricInterpretation"] = "MONOCHROME2"
    if window:
        attributes |= {"BitsStored": 16, "WindowCenter": window[0], "WindowWidth": window[1]}
    stored = all_values(12, False)
    np.testing.assert_allclose(shown_by_us(stored, attributes), shown_by_pydicom(stored, attributes), atol=2e-6)


def test_signed_voi_lut_may_begin_below_zero() -> None:
    entries = list(range(256))
    attributes: dict[str, Any] = {"BitsStored": 12, "PixelRepresentation": 1, "BitsAllocated": 16}
    attributes["VOILUTSequence"] = [([256, 65536 - 100, 8], entries)]
    stored = np.array([[-200, -100, 0, 155, 400]], np.int16)
    np.testing.assert_allclose(shown_by_us(stored, attributes)[0] * 255, [0, 0, 100, 255, 255], atol=1e-3)


def test_lut_data_may_be_bytes() -> None:
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    for data in (bytes([0, 85, 170, 255]), np.array([0, 85, 170, 255], "<u2").tobytes()):
        shown = shown_by_us(stored, {"VOILUTSequence": [{"LUTDescriptor": [4, 0, 8], "LUTData": data}]})
        np.testing.assert_allclose(shown[0], [0, 1 / 3, 2 / 3, 1], atol=1e-6)


def test_no_voi_means_everything_that_bits_stored_can_hold() -> None:
    stored = np.array([[-2048, 0, 2047]], np.int16)
    attributes = {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 1, "RescaleSlope": -1}
    np.testing.assert_allclose(shown_by_us(stored, attributes)[0], [1, 2047 / 4095, 0], atol=1e-6)
    np.testing.assert_allclose(reference.full_range(stored, 12, True, -1)[0], [1, 2047 / 4095, 0])


def test_the_first_of_several_windows_counts() -> None:
    stored = all_values(12, False)
    several = shown_by_us(stored, {"WindowCenter": [600, 40], "WindowWidth": [800, 80]})
    text = shown_by_us(stored, {"WindowCenter": "600\\40", "WindowWidth": "800\\80"})
    one = shown_by_us(stored, {"WindowCenter": 600.0, "WindowWidth": 800.0})
    np.testing.assert_array_equal(several, one)
    np.testing.assert_array_equal(text, one)


@pytest.mark.parametrize(
    ("attributes", "inverted"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "IDENTITY"}, False),
        ({"PhotometricInterpretation": "RGB", "BitsAllocated": 8, "WindowCenter": 1, "WindowWidth": 2}, False),
    ],
)
def test_polarity(attributes: dict[str, Any], inverted: bool) -> None:
    bits = attributes.get("BitsAllocated", 16)
    stored = np.array([[0, 2**bits - 1]], np.uint16)
    np.testing.assert_allclose(shown_by_us(stored, attributes)[0], [1, 0] if inverted else [0, 1], atol=1e-6)
    np.testing.assert_allclose(shown_by_us(stored, attributes, polarity="stored")[0], [0, 1], atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_padding_is_black_whatever_the_polarity(photometric: str, function: str) -> None:
    attributes = {"PhotometricInterpretation": photometric, "VOILUTFunction": function, "PixelPaddingRangeLimit": 20}
    attributes |= {"PixelPaddingValue": 10, "WindowCenter": 2000, "WindowWidth": 4000}
    shown = shown_by_us(np.array([[9, 10, 15, 20, 21]], np.uint16), attributes)[0]
    assert shown[1:4].tolist() == [0.0, 0.0, 0.0]
    if photometric == "MONOCHROME1":
        assert min(shown[0], shown[4]) > 0.8


def test_padding_that_is_black_anyway_needs_no_table() -> None:
    attributes = {"PixelPaddingValue": 63536, "PixelRepresentation": 1, "WindowCenter": 40, "WindowWidth": 400}
    assert GrayscaleTransform.from_attributes(attributes).lut is None
    inverse = GrayscaleTransform.from_attributes({**attributes, "PhotometricInterpretation": "MONOCHROME1"})
    assert inverse.lut is not None
    assert inverse.apply(np.array([-2000, -1999])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("signed", "value"), [(0, 0xABC), (1, 0xABC - 0x1000)])
def test_samples_above_other_bits_are_cut_out(signed: int, value: int) -> None:
    attributes = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 15, "PixelRepresentation": signed}
    word = np.array([[0xABC7]], np.uint16).view(np.int16 if signed else np.uint16)
    least = -2048 if signed else 0
    np.testing.assert_allclose(shown_by_us(word, attributes)[0, 0], (value - least) / 4095, atol=1e-6)


def test_32_bit_frames_are_windowed() -> None:
    stored = np.array([[0, 1_000_000, 2_000_000, 3_000_000]], np.uint32)
    attributes = {"BitsAllocated": 32, "BitsStored": 32, "WindowCenter": 1_500_000.5, "WindowWidth": 1_000_001}
    np.testing.assert_allclose(shown_by_us(stored, attributes)[0], [0, 0, 1, 1], atol=1e-6)


def test_a_table_made_for_bytes_serves_words_and_the_other_way_round() -> None:
    for bits in (8, 16):
        transform = GrayscaleTransform.window(100, 50, "SIGMOID", bits_stored=bits)
        for dtype in (np.uint8, np.uint16, np.int16):
            frame = np.arange(0, 120, dtype=dtype).reshape(10, 12)
            shown = frame_to_tensor(frame, transform, ResamplePlan((10, 12), (10, 12)))[0, 0]
            np.testing.assert_allclose(shown, reference.window(frame, 100, 50, "SIGMOID"), atol=1e-6)
