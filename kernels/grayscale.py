"""The DICOM grayscale pipeline of one image, compiled to a clip and an affine map, or to a table.

In: stored values. Out: 0..1, where 1 is white as displayed. Modality transform (PS3.3 C.11.1), VOI transform
(C.11.2), polarity (C.7.6.3.1.2) and pixel padding (C.7.5.1.1.2) are folded into one step per sample, so a frame is
read once and no intermediate image exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.attributes import Float64, VOILUTFunction, describe, stored_range, voi_curve

Polarity = Literal["as displayed", "stored"]

_TABLE_BITS = 16


@dataclass(frozen=True, eq=False)
class GrayscaleTransform:
    """Stored value v to display value: clip(v, lo, hi) * a + b, or lut[clip(v + bias, 0, len(lut) - 1)].

    Attributes
    ----------
    lo, hi, a, b : float
        The affine form; unused when there is a table.
    lut : float32[n], n <= 65536, read-only, or None
        The table form: SIGMOID windows, LUT sequences, windows of width 1, padding that is not black anyway,
        samples that do not end at the lowest bit.
    bias : int
        Added to the stored value to get the index.
    """

    lo: float = 0.0
    hi: float = 1.0
    a: float = 1.0
    b: float = 0.0
    lut: NDArray[np.float32] | None = None
    bias: int = 0

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same, and the table the very same one: comparing 65536 entries costs too much."""
        return isinstance(other, GrayscaleTransform) and self.lut is other.lut and self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash((id(self.lut), self._numbers()))

    def _numbers(self) -> tuple[float, ...]:
        return self.lo, self.hi, self.a, self.b, self.bias

    @classmethod
    def window(
        cls,
        center: float,
        width: float,
        function: VOILUTFunction = "LINEAR",
        slope: float = 1.0,
        intercept: float = 0.0,
        invert: bool = False,
        bits_stored: int = 16,
        signed: bool = False,
        padding: tuple[int, int] | None = None,
    ) -> Self:
        """A VOI window on rescaled values (PS3.3 C.11.2.1.2 and C.11.2.1.3).

        `center` and `width` are in output units of the rescale. `padding` is an inclusive range of stored values
        that are shown black. Raises ValueError naming the argument.
        """
        stored_range(bits_stored, signed)
        _check_window(center, width, function)
        _check_rescale(slope, intercept)
        if function == "SIGMOID" or (function == "LINEAR" and width == 1):
            curve = voi_curve(center, width, function)
            return cls._table(lambda v: curve(v * slope + intercept), bits_stored, signed, invert, padding)
        half, middle = (width / 2, center) if function == "LINEAR_EXACT" else ((width - 1) / 2, center - 0.5)
        return cls._affine(middle - half, middle + half, slope, intercept, invert, bits_stored, signed, padding)

    @classmethod
    def full_range(
        cls,
        bits_stored: int = 16,
        signed: bool = False,
        slope: float = 1.0,
        intercept: float = 0.0,
        invert: bool = False,
        padding: tuple[int, int] | None = None,
    ) -> Self:
        """No VOI transform: the range that BitsStored can hold, through the rescale, becomes 0..1."""
        _check_rescale(slope, intercept)
        low, high = stored_range(bits_stored, signed)
        ends = sorted((low * slope + intercept, high * slope + intercept))
        return cls._affine(ends[0], ends[1], slope, intercept, invert, bits_stored, signed, padding)

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], polarity: Polarity = "as displayed") -> Self:
        """The transform that an image's own attributes describe; `kernels.attributes` says how each is read.

        `attributes` maps DICOM keywords to plain values: numbers, strings, lists; LUT sequences as lists of mappings
        with LUTDescriptor and LUTData, or of (descriptor, data) pairs. `polarity="stored"` leaves MONOCHROME1 and
        PresentationLUTShape INVERSE aside. Raises ValueError naming the keyword.
        """
        if polarity not in get_args(Polarity):
            raise ValueError(f"polarity: {polarity!r} is not one of {', '.join(get_args(Polarity))}")
        image = describe(attributes)
        invert = image.inverted and polarity == "as displayed"
        stored = image.stored
        if image.is_table:
            return cls._table(image.display, stored.table_bits, stored.signed, invert, stored.padding)
        rest = (image.slope, image.intercept, invert, stored.bits_stored, stored.signed, stored.padding)
        if image.window is None:
            low, high = image.voi_input_range()
            return cls._affine(low, high, *rest)
        return cls.window(image.window.center, image.window.width, image.window.function, *rest)

    def apply(self, values: NDArray[Any]) -> Float64:
        """The same map on whole arrays of any numeric type, in float64; NaN is shown black, like padding."""
        array = np.asarray(values, dtype=np.float64)
        if self.lut is None:
            shown = np.clip(array, self.lo, self.hi) * self.a + self.b
        else:
            index = np.clip(np.rint(np.nan_to_num(array)) + self.bias, 0, len(self.lut) - 1)
            shown = self.lut[index.astype(np.intp)].astype(np.float64)
        return np.where(np.isnan(array), 0.0, shown)

    @classmethod
    def _affine(
        cls,
        low: float,
        high: float,
        slope: float,
        intercept: float,
        invert: bool,
        bits_stored: int,
        signed: bool,
        padding: tuple[int, int] | None,
    ) -> Self:
        """`low`..`high` of rescaled values to 0..1, expressed on stored values."""
        if not low < high:
            raise ValueError(f"width: {low} to {high} is no range in double precision")
        a, b = slope / (high - low), (intercept - low) / (high - low)
        ends = sorted(((low - intercept) / slope, (high - intercept) / slope))
        if not np.isfinite([a, b, *ends]).all():
            raise ValueError(f"slope: {slope} with intercept {intercept} is beyond double precision")
        plain = cls(ends[0], ends[1], -a if invert else a, 1 - b if invert else b)
        if padding is None or not plain.apply(np.asarray(padding, np.float64)).any():
            return plain
        return cls._table(plain.apply, bits_stored, signed, False, padding)

    @classmethod
    def _table(
        cls,
        curve: Callable[[Float64], Float64],
        bits_stored: int,
        signed: bool,
        invert: bool,
        padding: tuple[int, int] | None,
    ) -> Self:
        """`curve` (stored value -> 0..1) sampled at every value that 8 or 16 bits can hold."""
        if bits_stored > _TABLE_BITS:
            raise ValueError(f"bits_stored: {bits_stored} is too many for a table (at most {_TABLE_BITS})")
        low, high = stored_range(8 if bits_stored <= 8 else _TABLE_BITS, signed)
        stored = np.arange(low, high + 1, dtype=np.float64)
        shown = np.clip(curve(stored), 0.0, 1.0)
        shown = 1.0 - shown if invert else shown
        if padding is not None:
            shown[(stored >= min(padding)) & (stored <= max(padding))] = 0.0
        lut = shown.astype(np.float32)
        lut.setflags(write=False)
        return cls(float(low), float(high), lut=lut, bias=-low)


def _check_window(center: float, width: float, function: str) -> None:
    if function not in get_args(VOILUTFunction):
        raise ValueError(f"function: {function!r} is not one of {', '.join(get_args(VOILUTFunction))}")
    least = "at least 1" if function == "LINEAR" else "above 0"
    if not (np.isfinite(width) and (width >= 1 if function == "LINEAR" else width > 0)):
        raise ValueError(f"width: {width} must be {least} for {function}")
    if not np.isfinite(center):
        raise ValueError(f"center: {center} must be finite")


def _check_rescale(slope: float, intercept: float) -> None:
    if not np.isfinite(slope) or slope == 0:
        raise ValueError(f"slope: {slope} must be finite and not 0")
    if not np.isfinite(intercept):
        raise ValueError(f"intercept: {intercept} must be finite")
