"""What an image's attributes say about its gray values: DICOM keywords in, one frozen record out.

- Stored values: BitsStored, HighBit, BitsAllocated, PixelRepresentation (C.7.6.3.1). Frames hold sign-extended
  values; when HighBit + 1 is not BitsStored, the bits are cut out of the stored word.
- Modality transform (C.11.1): ModalityLUTSequence, else RescaleSlope and RescaleIntercept, else identity.
- VOI transform (C.11.2): VOILUTSequence, else WindowCenter and WindowWidth with VOILUTFunction; of several the
  first. With neither: everything that BitsStored can hold, through the modality transform, becomes 0..1.
- Polarity (C.7.6.3.1.2): MONOCHROME1 or PresentationLUTShape INVERSE means that the lowest value is white.
- PixelPaddingValue and PixelPaddingRangeLimit (C.7.5.1.1.2): shown black whatever the polarity.

RGB (and YBR that the decoder has turned into RGB) has none of these transforms: full range, never inverted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
VOILUTFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True)
class Stored:
    """How a sample lies in its word."""

    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None

    @property
    def shift(self) -> int:
        """Bits below the sample."""
        return self.high_bit + 1 - self.bits_stored

    @property
    def table_bits(self) -> int:
        """Width of the word that a table must cover."""
        return self.bits_allocated

    def cut_out(self, words: Float64) -> Float64:
        """Sample values of whole words."""
        if self.shift == 0:
            return words
        bits = (words.astype(np.int64) >> self.shift) & ((1 << self.bits_stored) - 1)
        if self.signed:
            half = 1 << (self.bits_stored - 1)
            bits = (bits ^ half) - half
        return bits.astype(np.float64)


@dataclass(frozen=True)
class Window:
    """First WindowCenter and WindowWidth, in output units of the modality transform."""

    center: float
    width: float
    function: VOILUTFunction


@dataclass(frozen=True, eq=False)
class Lut:
    """One item of a LUT sequence: `values[x - first]`, clamped at both ends; values need `bits` bits."""

    first: int
    bits: int
    values: Float64

    def __call__(self, x: Float64) -> Float64:
        index = np.clip(np.rint(x) - self.first, 0, len(self.values) - 1)
        shown: Float64 = self.values[index.astype(np.intp)]
        return shown

    @property
    def most(self) -> int:
        """The highest output that the descriptor allows."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, eq=False)
class GrayscaleAttributes:
    """The grayscale pipeline of one image, as its attributes describe it."""

    stored: Stored
    slope: float
    intercept: float
    modality_lut: Lut | None
    voi_lut: Lut | None
    window: Window | None
    inverted: bool

    @property
    def is_table(self) -> bool:
        """Whether the pipeline needs a table because of a LUT or of the position of the bits."""
        return self.modality_lut is not None or self.voi_lut is not None or self.stored.shift != 0

    def display(self, words: Float64) -> Float64:
        """Stored words to 0..1, before polarity and padding."""
        x = self.stored.cut_out(words)
        x = x * self.slope + self.intercept if self.modality_lut is None else self.modality_lut(x)
        if self.voi_lut is not None:
            return self.voi_lut(x) / self.voi_lut.most
        if self.window is not None:
            return voi_curve(self.window.center, self.window.width, self.window.function)(x)
        low, high = self.voi_input_range()
        return np.clip((x - low) / (high - low), 0.0, 1.0)

    def voi_input_range(self) -> tuple[float, float]:
        """Lowest and highest output of the modality transform."""
        if self.modality_lut is not None:
            return 0.0, float(self.modality_lut.most)
        low, high = stored_range(self.stored.bits_stored, self.stored.signed)
        ends = sorted((low * self.slope + self.intercept, high * self.slope + self.intercept))
        return ends[0], ends[1]


def describe(attributes: Mapping[str, Any]) -> GrayscaleAttributes:
    """Read the keywords above; missing ones take the defaults of the standard. ValueError names the keyword."""
    stored = _stored(attributes)
    photometric = _text(attributes, "PhotometricInterpretation", "MONOCHROME2")
    if photometric == "PALETTE COLOR":
        raise ValueError("PhotometricInterpretation: PALETTE COLOR must be turned into RGB first")
    if not photometric.startswith("MONOCHROME"):
        return GrayscaleAttributes(stored, 1.0, 0.0, None, None, None, False)
    modality_lut = _lut(attributes, "ModalityLUTSequence", stored.signed)
    if modality_lut is not None and stored.bits_allocated > 16:
        raise ValueError("ModalityLUTSequence: needs stored values of at most 16 bits")
    slope, intercept = _number(attributes, "RescaleSlope", 1.0), _number(attributes, "RescaleIntercept", 0.0)
    if slope == 0:
        raise ValueError("RescaleSlope: 0 makes every value the same")
    voi_signed = stored.signed or intercept < 0 if modality_lut is None else False
    voi_lut = _lut(attributes, "VOILUTSequence", voi_signed)
    inverted = photometric == "MONOCHROME1" or _text(attributes, "PresentationLUTShape", "IDENTITY") == "INVERSE"
    return GrayscaleAttributes(stored, slope, intercept, modality_lut, voi_lut, _window(attributes), inverted)


def voi_curve(center: float, width: float, function: VOILUTFunction) -> Callable[[Float64], Float64]:
    """VOI window as a function of rescaled values to 0..1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1, C.11.2.1.3.2)."""
    if function == "SIGMOID":
        return lambda x: 1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - center) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return lambda x: np.clip((x - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return lambda x: (x > center - 0.5).astype(np.float64)
    return lambda x: np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def stored_range(bits_stored: int, signed: bool) -> tuple[int, int]:
    """Lowest and highest value that `bits_stored` bits can hold."""
    if not 1 <= bits_stored <= 32:
        raise ValueError(f"bits_stored: {bits_stored} is not within 1..32")
    if signed:
        return -(1 << (bits_stored - 1)), (1 << (bits_stored - 1)) - 1
    return 0, (1 << bits_stored) - 1


def _stored(attributes: Mapping[str, Any]) -> Stored:
    allocated = int(_number(attributes, "BitsAllocated", 16))
    stored = int(_number(attributes, "BitsStored", allocated))
    high = int(_number(attributes, "HighBit", stored - 1))
    if not 1 <= stored <= allocated <= 32:
        raise ValueError(f"BitsStored: {stored} does not fit BitsAllocated {allocated}")
    if not stored - 1 <= high < allocated:
        raise ValueError(f"HighBit: {high} does not fit BitsStored {stored} of BitsAllocated {allocated}")
    signed = _number(attributes, "PixelRepresentation", 0) == 1
    return Stored(allocated, stored, high, signed, _padding(attributes, signed))


def _padding(attributes: Mapping[str, Any], signed: bool) -> tuple[int, int] | None:
    if _first(attributes.get("PixelPaddingValue")) is None:
        return None
    ends = [_number(attributes, "PixelPaddingValue", 0)]
    ends.append(_number(attributes, "PixelPaddingRangeLimit", ends[0]))
    low, high = sorted(_signed16(int(end), signed) for end in ends)
    return low, high


def _window(attributes: Mapping[str, Any]) -> Window | None:
    if _first(attributes.get("WindowCenter")) is None or _first(attributes.get("WindowWidth")) is None:
        return None
    function = _text(attributes, "VOILUTFunction", "LINEAR")
    width = _number(attributes, "WindowWidth", 1)
    for known in get_args(VOILUTFunction):
        if function == known:
            if width < 1 if known == "LINEAR" else width <= 0:
                raise ValueError(f"WindowWidth: {width} is too small for VOILUTFunction {known}")
            return Window(_number(attributes, "WindowCenter", 0), width, known)
    raise ValueError("VOILUTFunction: not one of " + ", ".join(get_args(VOILUTFunction)))


def _lut(attributes: Mapping[str, Any], keyword: str, signed: bool) -> Lut | None:
    """First item of a LUT sequence; `signed` says how its first mapped value is to be read (C.11.1.1, C.11.2.1.1)."""
    items = attributes.get(keyword)
    if not items:
        return None
    item = items[0]
    pair: Any = (item.get("LUTDescriptor"), item.get("LUTData")) if isinstance(item, Mapping) else item
    try:
        descriptor, data = pair
        count, first, bits = (int(n) for n in descriptor)
        count = count or 1 << 16
        values = _entries(data, count)
    except (TypeError, ValueError):
        raise ValueError(f"{keyword}: LUTDescriptor is not three numbers, or LUTData holds something else") from None
    if len(values) < count or not 1 <= bits <= 16:
        raise ValueError(
            f"{keyword}: LUTData has {len(values)} entries of {count}, or {bits} bits are not within 1..16"
        )
    return Lut(_signed16(first, signed), bits, values[:count])


def _entries(data: Any, count: int) -> Float64:
    """LUTData as numbers: a list, an array, or the bytes of an OW value (little endian, 8 or 16 bits an entry)."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        wide = len(data) >= 2 * count
        data = np.frombuffer(data, np.dtype("<u2") if wide else np.dtype(np.uint8))
    return np.asarray(data, dtype=np.float64).ravel()


def _signed16(value: int, signed: bool) -> int:
    """A US that should have been read as SS; some readers cannot know which it is."""
    return value - (1 << 16) if signed and value > 0x7FFF else value


def _first(value: Any) -> Any:
    """First of several values; None for absent or empty ones."""
    if isinstance(value, str):
        value = value.split("\\")[0].strip()
    elif isinstance(value, Sequence):
        return _first(value[0]) if len(value) else None
    return None if value is None or value == "" else value


def _number(attributes: Mapping[str, Any], keyword: str, default: float) -> float:
    value = _first(attributes.get(keyword))
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{keyword}: not a number") from None
    if not np.isfinite(number):
        raise ValueError(f"{keyword}: not a finite number")
    return number


def _text(attributes: Mapping[str, Any], keyword: str, default: str) -> str:
    value = _first(attributes.get(keyword))
    return default if value is None else str(value).strip().upper()
