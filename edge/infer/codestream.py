"""What a compressed frame says about its own size, read before any decoder may allocate for it.

JPEG and JPEG-LS: the frame header (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2). JPEG 2000: the SIZ segment (15444-1 A.5.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE = b"\xff\xd9"
_PADDING = 64
_JP2 = b"\x00\x00\x00\x0cjP  "


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size in pixels, samples per pixel, bits per sample and whether samples are signed."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False


def describe(data: bytes) -> Codestream | None:
    """The size that `data` claims, or None when it is none of the codestreams above.

    Raises ValueError (or struct.error, IndexError) when it begins like one and is not.
    """
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _JP2:
        data = data[data.index(b"jp2c") + 4 :]
    if data[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000(data)
    return None


def is_whole(data: bytes) -> bool:
    """Whether the end marker is there: decoders fill what is missing with gray and say nothing."""
    return data.rfind(_END_OF_IMAGE, max(0, len(data) - _PADDING)) >= 0


def _jpeg(data: bytes) -> Codestream:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _START_OF_FRAME:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
            return Codestream(rows, columns, samples, precision)
        at += 2 + length


def _jpeg_2000(data: bytes) -> Codestream:
    right, bottom, left, top = struct.unpack_from(">4L", data, 8)
    samples, precision = struct.unpack_from(">HB", data, 40)
    return Codestream(bottom - top, right - left, samples, (precision & 0x7F) + 1, bool(precision & 0x80))
