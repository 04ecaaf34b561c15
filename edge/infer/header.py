"""A received data set up to its pixel data, however broken: the attributes, and where the pixels begin.

Comes in: bytes as they were received and their transfer syntax. Goes out: a pydicom data set whose values are read
one by one through `values`. Whatever the parser stumbles over is a `Refusal` without its text.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from edge.infer.refusal import Refusal

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_MOST_INFLATED = 2 << 30
_MOST_ELEMENTS = 1 << 16
_LONG_VR = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")


@dataclass(frozen=True, slots=True)
class Header:
    """A data set without its pixel data.

    `pixel_keyword` is empty when no pixel data was met; else `pixel_start` is where its element begins in `stream`.
    """

    dataset: Dataset
    stream: BinaryIO
    pixel_keyword: str
    pixel_start: int
    pixel_vr: str

    @property
    def is_whole(self) -> bool:
        """Whether the parser came as far as the pixel data."""
        return self.pixel_keyword != ""


def read_header(data: bytes | BinaryIO, transfer_syntax_uid: str, most_inflated: int = _MOST_INFLATED) -> Header:
    """Parse a data set (no preamble, no File Meta Information) as far as its pixel data.

    Parameters
    ----------
    data : bytes or file-like
        The data set or its first part. A file-like (an `mmap`, say) is not copied.
    most_inflated : int
        Bytes to which a deflated data set may grow; what follows is not looked at.

    Raises
    ------
    Refusal
        `unreadable`, whatever went wrong.
    """
    met: list[tuple[str, str]] = []
    count = 0

    def at_pixels(tag: int, vr: str | None, _length: int) -> bool:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS:
            raise ValueError("more elements than any image has")
        if int(tag) in _PIXELS:
            met.append((_PIXELS[int(tag)], vr or "OW"))
        return bool(met)

    try:
        stream = _open(data, transfer_syntax_uid, most_inflated)
        dataset = read_dataset(
            stream,
            is_implicit_VR=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN,
            is_little_endian=transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN,
            stop_when=at_pixels,
        )
        if not met and transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN and stream.tell() >= most_inflated:
            raise ValueError("more attributes than any image has")
        keyword, vr = met[0] if met else ("", "")
        return Header(dataset, stream, keyword, stream.tell(), vr)
    except (Exception, RecursionError, MemoryError):  # noqa: BLE001 - hostile bytes raise anything
        raise Refusal("unreadable", "the object cannot be parsed") from None


def pixel_value(header: Header) -> tuple[memoryview, bool]:
    """The value of the pixel data element as (bytes, whether it is encapsulated), without a copy if possible.

    Raises
    ------
    Refusal
        `no-pixel-data` when there is none, `undecodable` when it is shorter than it says.
    """
    if not header.is_whole:
        raise Refusal("no-pixel-data", "the object has no pixel data")
    view = _whole(header.stream)
    implicit, little = header.dataset.original_encoding
    order = "little" if little else "big"
    start = header.pixel_start
    vr = bytes(view[start + 4 : start + 6])
    skip = 4 if implicit else 8 if vr in _LONG_VR else 6
    size = 2 if skip == 6 else 4
    length = int.from_bytes(view[start + skip : start + skip + size], order)  # type: ignore[arg-type]
    begin = start + skip + size
    if length == 0xFFFFFFFF:
        return view[begin:], True
    if begin + length > len(view):
        raise Refusal("undecodable", "the pixel data is shorter than it says")
    return view[begin : begin + length], False


def values(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an attribute as stripped text; empty when it is absent or empty.

    Of a code sequence, the Code Values of its items. Raises Refusal (`unreadable`) when they cannot be read.
    """
    try:
        if keyword not in dataset:
            return ()
        value = dataset[keyword].value
        if dataset[keyword].VR == "SQ":
            value = [_code_value(item) for item in value]
        parts = value if isinstance(value, list | tuple) or _is_multiple(value) else [value]
        return tuple(text for part in parts if part is not None and (text := str(part).strip(" \0")))
    except (Exception, RecursionError):  # noqa: BLE001 - as above
        raise Refusal("unreadable", "an attribute cannot be read") from None


def number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """A whole number; `default` when it is absent. Raises Refusal (`unreadable`)."""
    found = values(dataset, keyword)
    if not found and default is not None:
        return default
    try:
        return int(found[0])
    except (IndexError, ValueError):
        raise Refusal("unreadable", "a number of the image cannot be read") from None


def _open(data: bytes | BinaryIO, transfer_syntax_uid: str, most_inflated: int) -> BinaryIO:
    if transfer_syntax_uid != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return io.BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
    packed = data if isinstance(data, bytes | bytearray | memoryview) else data.read()
    return io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most_inflated))


def _whole(stream: BinaryIO) -> memoryview:
    get = cast(Callable[[], memoryview] | None, getattr(stream, "getbuffer", None))
    return get() if get is not None else memoryview(cast(bytes, stream))


def _is_multiple(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes) and not hasattr(value, "components")


def _code_value(item: Dataset) -> str:
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        if keyword in item:
            return str(item[keyword].value)
    return ""
