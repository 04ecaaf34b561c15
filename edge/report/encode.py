"""Explicit VR Little Endian, written straight to bytes (PS3.5 7.1.2 and 7.5).

Comes in: keywords and values. Goes out: bytes in which elements are in tag order, sequences and items have
defined lengths, values are ASCII and padded to even length. What does not fit its VR is refused, never cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from edge.errors import PackageError
from edge.report.attributes import ATTRIBUTES, Attribute

Element = tuple[int, bytes]
"""A tag and its whole encoded element: what a data set is a sorted row of."""

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION_CLASS_UID = "2.25.168421890733217905106246193520117360131"
IMPLEMENTATION_VERSION_NAME = "EDGE"

_ITEM = b"\xfe\xff\x00\xe0"
NUMBER_FORMATS: Mapping[str, str] = MappingProxyType({"FL": "f", "US": "H", "UL": "I", "SL": "i"})
"""Formats of `struct` for one number of a VR."""
_MAXIMUM: Mapping[str, int] = MappingProxyType(
    {"CS": 16, "DA": 8, "DS": 16, "IS": 12, "LO": 64, "PN": 64, "SH": 16, "TM": 14, "UI": 64}
)


def text(keyword: str, value: str = "") -> Element:
    """One element with one text value; without a value it is present and empty (Type 2).

    Raises
    ------
    PackageError
        If `value` is not ASCII, holds the value delimiter, or is longer than its VR allows: only a
        manifest can bring such a text here.
    """
    attribute = ATTRIBUTES[keyword]
    if not _fits(value, attribute.vr):
        raise PackageError(
            f"a text is not plain ASCII, or longer than {attribute.vr} allows",
            which=keyword,
            hint="shorten the text in the package's manifest",
        )
    return _element(attribute, _even(value.encode("ascii"), b"\0" if attribute.vr == "UI" else b" "))


def texts(keyword: str, values: Iterable[str]) -> Element:
    """One element with several text values (PS3.5 6.4); raises as `text`."""
    attribute = ATTRIBUTES[keyword]
    encoded = [text(keyword, value) and value for value in values]
    return _element(attribute, _even("\\".join(encoded).encode("ascii"), b"\0" if attribute.vr == "UI" else b" "))


def numbers(keyword: str, values: Sequence[float]) -> Element:
    """One element of binary numbers, as its VR has them: FL 32 bit floats, US, UL and SL whole numbers."""
    attribute = ATTRIBUTES[keyword]
    return _element(attribute, struct.pack(f"<{len(values)}{NUMBER_FORMATS[attribute.vr]}", *values))


def tag_pointer(keyword: str, pointed_at: str) -> Element:
    """One AT element: the tag of another attribute."""
    tag = ATTRIBUTES[pointed_at].tag
    return _element(ATTRIBUTES[keyword], struct.pack("<HH", tag >> 16, tag & 0xFFFF))


def binary(keyword: str, value: bytes) -> Element:
    """One element of bytes, padded to even length."""
    return _element(ATTRIBUTES[keyword], _even(value, b"\0"))


def sequence(keyword: str, items: Iterable[bytes] = ()) -> Element:
    """One SQ element of encoded data sets; without items it is present and empty."""
    value = b"".join(_ITEM + len(item).to_bytes(4, "little") + item for item in items)
    return _element(ATTRIBUTES[keyword], value)


def data_set(elements: Iterable[Element]) -> bytes:
    """The elements in tag order, as the bytes of one data set or item."""
    return b"".join(encoded for _, encoded in sorted(elements))


def part10(sop_class_uid: str, sop_instance_uid: str, body: bytes) -> bytes:
    """A whole DICOM file: empty preamble, prefix, File Meta Information (PS3.10 7.1) and `body`."""
    meta = data_set(
        (
            _element(ATTRIBUTES["FileMetaInformationVersion"], b"\x00\x01"),
            text("MediaStorageSOPClassUID", sop_class_uid),
            text("MediaStorageSOPInstanceUID", sop_instance_uid),
            text("TransferSyntaxUID", EXPLICIT_VR_LITTLE_ENDIAN),
            text("ImplementationClassUID", IMPLEMENTATION_CLASS_UID),
            text("ImplementationVersionName", IMPLEMENTATION_VERSION_NAME),
        )
    )
    _, length = _element(ATTRIBUTES["FileMetaInformationGroupLength"], struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + length + meta + body


def _fits(value: str, vr: str) -> bool:
    limit = _MAXIMUM.get(vr)
    return value.isascii() and (limit is None or (len(value) <= limit and "\\" not in value))


def _element(attribute: Attribute, value: bytes) -> Element:
    size = len(value)
    if attribute.is_long:
        return attribute.tag, attribute.head + size.to_bytes(4, "little") + value
    if size > 0xFFFE:
        raise PackageError(
            "a value is longer than 65534 bytes", which=attribute.keyword, hint="make regions of fewer points"
        )
    return attribute.tag, attribute.head + size.to_bytes(2, "little") + value


def _even(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) % 2 else value
