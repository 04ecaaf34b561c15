"""What a report may say about an image beside its UIDs: how it is shown and where it lies, as numbers.

Comes in: a received data set, however broken. Goes out: a `Display` and a `Plane`, or None where the image does not
say, or says it in a way that numbers cannot repeat. Nothing here raises.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydicom.dataset import Dataset

from edge.errors import BadObject
from edge.infer import geometry
from edge.infer.header import values
from edge.infer.identity import is_of_patient, patient_numbers
from edge.infer.refusal import Refusal
from edge.records import UID, Display, Plane, parse_uid

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_SHAPES = ("IDENTITY", "INVERSE")
_TABLES = ("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence", "SharedFunctionalGroupsSequence")
_LARGEST = 1e9


def display(dataset: Dataset) -> Display | None:
    """How a grayscale image is shown, where one rescale and one window say it for all its frames."""
    try:
        photometric = _text(dataset, "PhotometricInterpretation")
        if photometric not in ("MONOCHROME1", "MONOCHROME2") or any(values(dataset, each) for each in _TABLES):
            return None
        shape = _text(dataset, "PresentationLUTShape", _SHAPES[photometric == "MONOCHROME1"])
        function = _text(dataset, "VOILUTFunction", "LINEAR")
        slope, intercept = _one(dataset, "RescaleSlope", 1.0), _one(dataset, "RescaleIntercept", 0.0)
        window = _window(dataset, function)
    except (Refusal, ValueError):
        return None
    if shape not in _SHAPES or function not in _FUNCTIONS or slope == 0:
        return None
    inverted = photometric == "MONOCHROME1" or shape == "INVERSE"
    found = Display(inverted, slope, intercept, window, function, _pixel_aspect_ratio(dataset))
    return None if _names_the_patient(dataset, geometry.display_numbers(found)) else found


def plane(dataset: Dataset) -> Plane | None:
    """Where a slice lies; None where one of its numbers is missing or makes no sense."""
    try:
        uid = parse_uid(_text(dataset, "FrameOfReferenceUID"))
        position, orientation = (
            _numbers(dataset, "ImagePositionPatient", 3),
            _numbers(dataset, "ImageOrientationPatient", 6),
        )
        spacing = _numbers(dataset, "PixelSpacing", 2)
        thickness = _one(dataset, "SliceThickness", 1.0)
    except (Refusal, ValueError, BadObject):
        return None
    if min(spacing) <= 0 or not _is_orthonormal(orientation):
        return None
    x, y, z = position
    a, b, c, d, e, f = orientation
    thickness = thickness if thickness > 0 else 1.0
    found = Plane(UID(uid), (x, y, z), (a, b, c, d, e, f), (spacing[0], spacing[1]), thickness)
    return None if _names_the_patient(dataset, geometry.plane_numbers(found)) else found


def _names_the_patient(dataset: Dataset, numbers: Iterable[str]) -> bool:
    """Whether a window or a place is really the patient's ID or birth date: the egress gate would stop the result."""
    known = patient_numbers(dataset)
    return any(is_of_patient(number, known) for number in numbers)


def _window(dataset: Dataset, function: str) -> tuple[float, float] | None:
    center, width = values(dataset, "WindowCenter"), values(dataset, "WindowWidth")
    if not center or not width:
        return None
    found = _number(center[0]), _number(width[0])
    if found[1] <= 0 or (function == "LINEAR" and found[1] < 1):
        raise ValueError("no window")
    return found


def _pixel_aspect_ratio(dataset: Dataset) -> float:
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        try:
            height, width = _numbers(dataset, keyword, 2)
        except (Refusal, ValueError):
            continue
        if 0.01 < height / max(width, 1e-9) < 100:
            return height / width
    return 1.0


def _is_orthonormal(orientation: tuple[float, ...]) -> bool:
    row, column = orientation[:3], orientation[3:]
    lengths = (math.hypot(*row), math.hypot(*column))
    return (
        all(abs(length - 1) < 1e-2 for length in lengths)
        and abs(sum(a * b for a, b in zip(row, column, strict=True))) < 1e-2
    )


def _text(dataset: Dataset, keyword: str, default: str = "") -> str:
    return next(iter(values(dataset, keyword)), default)


def _one(dataset: Dataset, keyword: str, default: float) -> float:
    found = values(dataset, keyword)
    return _number(found[0]) if found else default


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    found = values(dataset, keyword)
    if len(found) != count:
        raise ValueError(keyword)
    return tuple(_number(text) for text in found)


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) <= _LARGEST:
        raise ValueError("a number is none, or beyond any image's")
    return number
