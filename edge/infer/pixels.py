"""What an image says about its own pixels (PS3.3 C.7.6.3), checked, and a decoded frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer.header import number, values
from edge.infer.refusal import Refusal

Array = npt.NDArray[Any]

_MOST_FRAMES = 1 << 20


@dataclass(frozen=True, slots=True)
class Pixels:
    """The Image Pixel module (PS3.3 C.7.6.3) of one image, checked."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    planar_configuration: int
    photometric_interpretation: str
    number_of_frames: int

    @property
    def itemsize(self) -> int:
        """Bytes of one decoded sample."""
        return max(1, self.bits_allocated // 8)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.samples_per_pixel * self.itemsize

    @property
    def is_subsampled(self) -> bool:
        """Whether chrominance has half the columns (native YBR_FULL_422)."""
        return self.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Stored values, sign-extended: (rows, columns), or (rows, columns, 3) in RGB."""

    array: Array
    photometric_interpretation: str


def describe(dataset: Dataset) -> Pixels:
    """The image's own words about its pixels.

    Raises
    ------
    Refusal
        `undecodable` when they contradict each other, `unsupported-pixels` when we do not take that kind.
    """
    try:
        pixels = _read(dataset)
    except Refusal:
        raise Refusal("undecodable", "the image does not say how its pixels are stored") from None
    if min(pixels.rows, pixels.columns) < 1 or not 1 <= pixels.number_of_frames <= _MOST_FRAMES:
        raise Refusal("undecodable", "the image has no rows, columns or frames")
    if pixels.bits_allocated not in (1, 8, 16, 32) or pixels.samples_per_pixel not in (1, 3):
        raise Refusal("unsupported-pixels", "samples of this kind are not taken")
    if not 1 <= pixels.bits_stored <= pixels.bits_allocated or pixels.high_bit >= pixels.bits_allocated:
        raise Refusal("undecodable", "stored bits do not fit the allocated ones")
    return pixels


def _read(dataset: Dataset) -> Pixels:
    allocated = number(dataset, "BitsAllocated")
    stored = number(dataset, "BitsStored", allocated)
    photometric = values(dataset, "PhotometricInterpretation")
    return Pixels(
        rows=number(dataset, "Rows"),
        columns=number(dataset, "Columns"),
        samples_per_pixel=number(dataset, "SamplesPerPixel", 1),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=number(dataset, "HighBit", stored - 1),
        pixel_representation=number(dataset, "PixelRepresentation", 0),
        planar_configuration=number(dataset, "PlanarConfiguration", 0),
        photometric_interpretation=photometric[0].upper() if photometric else "MONOCHROME2",
        number_of_frames=number(dataset, "NumberOfFrames", 1) or 1,
    )
