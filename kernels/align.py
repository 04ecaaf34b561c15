"""`align`: a frame in the standard view of its kind, and the way back to the stored pixels.

Three steps, each optional: turned upright by its collimation edges (deskew), cut to the collimated field, and brought
by quarter turns and mirrors to a standard orientation. Without deskew the result is a view: nothing is computed and
nothing copied.

Orientation is what the image says of itself, never guessed from its pixels: PatientOrientation (PS3.3 C.7.6.1.1.1) or
ImageOrientationPatient (C.7.6.2.1.1) for the patient, FieldOfViewRotation and FieldOfViewHorizontalFlip (C.8.11.4) for
the detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, cos, floor, radians, sin
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.alignment import Alignment
from kernels.collimation import Field, collimated_field

Orientation = Literal["none", "patient", "detector"]
View = tuple[str, str]
Attributes = Mapping[str, Any]

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "F": "H"}
_AXES = {"R": 0, "L": 0, "A": 1, "P": 1, "F": 2, "H": 2}
_TOWARDS = "LPH"
"""Where the axes x, y, z of the patient point to."""

_QUARTER_TURNS = {0: ((1, 0), (0, 1)), 90: ((0, 1), (-1, 0)), 180: ((-1, 0), (0, -1)), 270: ((0, -1), (1, 0))}
"""Where the detector's columns and rows go on to in a frame that was turned clockwise so far."""

_MOST_SKEW = 15.0
_LEAST_SKEW = 0.1
_LEAST_KEPT = 0.1
_LAST_BITS = 1e-6


class Aligned(NamedTuple):
    """An aligned frame, and how it lies on the stored one."""

    frame: NDArray[Any]
    alignment: Alignment


def align(
    frame: NDArray[Any],
    attributes: Attributes | None = None,
    *,
    orientation: Orientation = "none",
    view: View = ("L", "F"),
    crop: bool = False,
    deskew: float = 0.0,
    pixel_aspect_ratio: float = 1.0,
    out: NDArray[Any] | None = None,
    num_threads: int = 1,
) -> Aligned:
    """The frame as its standard view shows it, and the record that takes coordinates back.

    Parameters
    ----------
    frame : (rows, columns) or (rows, columns, 3)
        Stored values of any numeric type, any strides, read-only. To be turned by a fraction: uint8, uint16, int16,
        float32 or float64.
    attributes : mapping
        DICOM keywords to plain values, as for `GrayscaleTransform.from_attributes`; needed for an orientation.
    orientation : {"none", "patient", "detector"}
        "patient": rows and columns go on to `view`; "detector": as the detector saw it.
    view : (along a row, down a column)
        Letters of PatientOrientation: ("L", "F") is a patient upright and seen from the front.
    crop : bool
        Cut to the collimated field where it has straight edges (`kernels.collimation`).
    deskew : float
        The largest turn, in degrees up to 15, by which two collimation edges may be off that is put right; 0 is off.
    pixel_aspect_ratio : float
        Height of a stored pixel divided by its width.
    out : C-contiguous, of the frame's type, at least as many elements, optional
        The aligned frame is written to its beginning; without it a view is given where nothing has to be computed.
    num_threads : int
        See `Alignment.apply`.

    Raises
    ------
    ValueError
        An argument or attribute, named in the message, does not fit; or the attributes do not say the orientation.
    """
    image = _image(frame)
    if orientation not in get_args(Orientation):
        raise ValueError(f"orientation: {orientation!r} is not one of {', '.join(get_args(Orientation))}")
    if not 0 <= deskew <= _MOST_SKEW:
        raise ValueError(f"deskew: {deskew} is not between 0 and {_MOST_SKEW:.0f} degrees")
    if not 0 < pixel_aspect_ratio < np.inf:
        raise ValueError(f"pixel_aspect_ratio: {pixel_aspect_ratio} is not a positive number")
    shape = (int(image.shape[0]), int(image.shape[1]))
    found = Alignment(shape, shape)
    if crop or deskew:
        found = field_alignment(shape, collimated_field(image), crop, deskew, pixel_aspect_ratio)
    if orientation == "patient":
        found = found.then(patient_orientation(found.out_shape, attributes or {}, view))
    elif orientation == "detector":
        found = found.then(detector_orientation(found.out_shape, attributes or {}))
    return Aligned(found.apply(image, out=_beginning(out, found, image), num_threads=num_threads), found)


def patient_orientation(in_shape: tuple[int, int], attributes: Attributes, view: View = ("L", "F")) -> Alignment:
    """Quarter turns and mirrors after which rows go on to `view[0]` and columns to `view[1]`.

    Raises ValueError naming the keyword when the image does not say, or shows the patient from another side.
    """
    if len(view) != 2 or not set(view) <= _AXES.keys() or _AXES[view[0]] == _AXES[view[1]]:
        raise ValueError(f"view: {view} is not two of {', '.join(_AXES)} at right angles")
    directions = _letters(attributes) or _letters_of_cosines(attributes)
    if directions is None:
        raise ValueError("PatientOrientation: the image does not say how the patient lies in it")
    axes = []
    for wanted in view:
        if wanted in directions:
            axes.append((1, directions.index(wanted)))
        elif _OPPOSITE[wanted] in directions:
            axes.append((-1, directions.index(_OPPOSITE[wanted])))
        else:
            raise ValueError("PatientOrientation: the patient is seen from another side")
    x_axis, y_axis = ((sign, 0) if index == 0 else (0, sign) for sign, index in axes)
    return Alignment.by_axes(in_shape, x_axis, y_axis)


def detector_orientation(in_shape: tuple[int, int], attributes: Attributes) -> Alignment:
    """The frame as it lay on the detector, before FieldOfViewRotation and then FieldOfViewHorizontalFlip.

    Raises ValueError naming the keyword when the image does not say.
    """
    try:
        turn = int(float(_values(attributes, "FieldOfViewRotation")[0]))
        x_axis, y_axis = _QUARTER_TURNS[turn]
    except (ValueError, LookupError):
        raise ValueError("FieldOfViewRotation: the image does not say 0, 90, 180 or 270") from None
    flip = (_values(attributes, "FieldOfViewHorizontalFlip") or ["NO"])[0].upper()
    if flip not in ("YES", "NO"):
        raise ValueError("FieldOfViewHorizontalFlip: not one of YES, NO")
    sign = -1 if flip == "YES" else 1
    return Alignment.by_axes(in_shape, (sign * x_axis[0], x_axis[1]), (sign * y_axis[0], y_axis[1]))


def field_alignment(
    in_shape: tuple[int, int], field: Field, crop: bool, deskew: float, pixel_aspect_ratio: float = 1.0
) -> Alignment:
    """Upright by at most `deskew` degrees, then cut to the edges that the field has; what is unclear stays as it is."""
    skew = field.skew_degrees(pixel_aspect_ratio)
    upright = Alignment(in_shape, in_shape)
    if _LEAST_SKEW <= abs(skew) <= deskew:
        upright = _turned(in_shape, skew, pixel_aspect_ratio)
    return upright.then(_cropped(in_shape, field, upright)) if crop else upright


def _image(frame: NDArray[Any]) -> NDArray[Any]:
    image = np.asarray(frame)
    if image.ndim not in (2, 3) or image.size == 0 or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"frame: shape {image.shape} is not (rows, columns) or that with 3 samples, each at least 1")
    if image.dtype.kind not in "buif":
        raise ValueError(f"frame: {image.dtype} is not a numeric type")
    return image


def _turned(in_shape: tuple[int, int], angle: float, pixel_aspect_ratio: float) -> Alignment:
    """About the centre, on a canvas of the same size; pixels that are not square turn as squares would."""
    rows, columns = in_shape
    c, s = cos(radians(angle)), sin(radians(angle))
    a, b, d, e = c, -s * pixel_aspect_ratio, s / pixel_aspect_ratio, c
    x, y = columns / 2, rows / 2
    return Alignment(in_shape, in_shape, (a, b, x - a * x - b * y, d, e, y - d * x - e * y))


def _cropped(shape: tuple[int, int], field: Field, upright: Alignment) -> Alignment:
    """The whole pixels within the edges, as they lie in the upright frame."""
    rows, columns = shape
    top = min(_ends(field, "top", upright), default=0.0)
    bottom = max(_ends(field, "bottom", upright), default=float(rows))
    left = min(_ends(field, "left", upright), default=0.0)
    right = max(_ends(field, "right", upright), default=float(columns))
    # the last bits of a double must not decide: a mirrored frame has the mirrored crop
    y, x = max(0, floor(top + _LAST_BITS)), max(0, floor(left + _LAST_BITS))
    height, width = min(rows, ceil(bottom - _LAST_BITS)) - y, min(columns, ceil(right - _LAST_BITS)) - x
    if height < max(1, _LEAST_KEPT * rows) or width < max(1, _LEAST_KEPT * columns):
        return Alignment(shape, shape)
    return Alignment(shape, (height, width), (1.0, 0.0, float(x), 0.0, 1.0, float(y)))


def _ends(field: Field, side: Literal["top", "bottom", "left", "right"], upright: Alignment) -> list[float]:
    """The positions of both ends of an edge in the upright frame; none where there is no edge."""
    edge = getattr(field, side)
    if edge is None:
        return []
    rows, columns = upright.in_shape
    if side in ("left", "right"):
        points = [(edge.at(along), along) for along in _extent(field.top, field.bottom, rows, columns)]
    else:
        points = [(along, edge.at(along)) for along in _extent(field.left, field.right, columns, rows)]
    return [float(n) for n in upright.to_aligned(points)[:, 0 if side in ("left", "right") else 1]]


def _extent(first: Any, last: Any, length: int, across: int) -> tuple[float, float]:
    """From where to where a side of the field goes, between its two neighbours."""
    return (first.at(across / 2) if first else 0.0, last.at(across / 2) if last else float(length))


def _letters(attributes: Attributes) -> list[str] | None:
    """The main direction of rows and columns by PatientOrientation."""
    found = [text[:1].upper() for text in _values(attributes, "PatientOrientation")]
    return _at_right_angles(found)


def _letters_of_cosines(attributes: Attributes) -> list[str] | None:
    """The same by ImageOrientationPatient."""
    try:
        numbers = [float(text) for text in _values(attributes, "ImageOrientationPatient")]
    except ValueError:
        return None
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        return None
    found = []
    for cosines in (numbers[:3], numbers[3:]):
        axis = int(np.argmax(np.abs(cosines)))
        found.append(_TOWARDS[axis] if cosines[axis] > 0 else _OPPOSITE[_TOWARDS[axis]])
    return _at_right_angles(found)


def _at_right_angles(letters: list[str]) -> list[str] | None:
    known = len(letters) == 2 and set(letters) <= _AXES.keys()
    return letters if known and _AXES[letters[0]] != _AXES[letters[1]] else None


def _values(attributes: Attributes, keyword: str) -> list[str]:
    """The values of an attribute as stripped text, whatever plain form they have."""
    value = attributes.get(keyword)
    if isinstance(value, str):
        value = value.split("\\")
    parts = [] if value is None else [value] if np.isscalar(value) else list(value)
    return [text for part in parts if part is not None and (text := str(part).strip())]


def _beginning(out: NDArray[Any] | None, alignment: Alignment, image: NDArray[Any]) -> NDArray[Any] | None:
    """So much of `out` as the aligned frame takes."""
    if out is None:
        return None
    shape = (*alignment.out_shape, *image.shape[2:])
    if not isinstance(out, np.ndarray) or not out.flags.c_contiguous or out.size < image.size:
        raise ValueError(f"out: must be C-contiguous, with at least the frame's {image.size} elements")
    return out.reshape(-1)[: int(np.prod(shape))].reshape(shape)
