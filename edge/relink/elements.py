"""Data sets as trees of encoded values (PS3.5 7): Explicit and Implicit VR Little Endian, read within bounds, written.

A value stays the bytes that it came as, so nothing is lost between two character sets. Reading raises BadObject and
nothing else; its work is linear in the bytes, the number of elements and the depth are bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from edge.errors import BadObject
from edge.records import UID, parse_uid

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
MAX_DEPTH = 32
MAX_ELEMENTS = 400_000

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SHORT_LENGTH = frozenset({"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL",
                           "SS", "ST", "TM", "UI", "UL", "US"})  # fmt: skip
_LONG_LENGTH = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


@dataclass(frozen=True, slots=True, repr=False)
class Element:
    """One element: `value` as encoded, or, of a sequence, its `items`. `vr` is empty where the syntax does not say."""

    tag: int
    vr: str
    value: bytes = b""
    items: tuple[Mapping[int, Element], ...] = ()

    def text(self) -> bytes:
        """The value without padding."""
        return self.value.strip(b" \0")

    def uid(self) -> UID:
        """The value as a UID. Raises BadObject."""
        return parse_uid(self.value.decode("ascii", "replace"), f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X})")


DataSet = Mapping[int, Element]
"""Elements by tag. Immutable by agreement: a changed one is a new one."""


def read(data: bytes, transfer_syntax: str) -> DataSet:
    """The whole data set. Raises BadObject when it is not one, or is beyond the bounds."""
    reader = _Reader(data, explicit=transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN)
    try:
        return reader.data_set(len(data), None, 0)
    except struct.error:
        raise _unreadable("it ends inside an element") from None


def write(data_set: DataSet, transfer_syntax: str) -> bytes:
    """The data set's bytes: elements in tag order, defined lengths, even values."""
    return b"".join(_encode(data_set[tag], transfer_syntax) for tag in sorted(data_set))


def element(tag: int, vr: str, value: bytes = b"") -> Element:
    """An element with an even value."""
    return Element(tag, vr, value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2))


class _Reader:
    def __init__(self, data: bytes, *, explicit: bool) -> None:
        self._data = data
        self._explicit = explicit
        self._at = 0
        self._left = MAX_ELEMENTS

    def data_set(self, end: int, delimiter: int | None, depth: int) -> dict[int, Element]:
        """Elements until `end`, or, where `delimiter` is given, until that."""
        found: dict[int, Element] = {}
        before = -1
        while self._at < end:
            tag, vr, length = self._head()
            if delimiter is not None and tag == delimiter:
                return found
            if tag <= before or tag >> 16 == 0xFFFE:
                raise _unreadable("elements are not in order")
            before = tag
            found[tag] = self._element(tag, vr, length, end, depth)
        if delimiter is not None:
            raise _unreadable("an item does not end")
        if self._at != end:
            raise _unreadable("an element is longer than what holds it")
        return found

    def _head(self) -> tuple[int, str, int]:
        """Tag, VR and length; `_at` is then where the value begins."""
        self._left -= 1
        if self._left < 0:
            raise _unreadable("it has too many elements")
        group, number = struct.unpack_from("<HH", self._data, self._at)
        tag = group << 16 | number
        if not self._explicit or group == 0xFFFE:
            self._at += 8
            return tag, "", int(struct.unpack_from("<L", self._data, self._at - 4)[0])
        vr = self._data[self._at + 4 : self._at + 6].decode("ascii", "replace")
        if vr in _SHORT_LENGTH:
            self._at += 8
            return tag, vr, int(struct.unpack_from("<H", self._data, self._at - 2)[0])
        if vr not in _LONG_LENGTH:
            raise _unreadable("an element has no value representation")
        self._at += 12
        return tag, vr, int(struct.unpack_from("<L", self._data, self._at - 4)[0])

    def _element(self, tag: int, vr: str, length: int, end: int, depth: int) -> Element:
        if vr == "SQ" or (not vr and length == _UNDEFINED):
            return Element(tag, "SQ", items=self._items(length, end, depth + 1))
        if length == _UNDEFINED:
            raise _unreadable("an element that is no sequence has no length")
        return Element(tag, vr, self._value(length, end))

    def _items(self, length: int, end: int, depth: int) -> tuple[DataSet, ...]:
        if depth > MAX_DEPTH:
            raise _unreadable("sequences are nested too deep")
        last = end if length == _UNDEFINED else self._at + length
        if last > end:
            raise _unreadable("a sequence is longer than what holds it")
        items: list[DataSet] = []
        while self._at < last:
            tag, _, size = self._head()
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return tuple(items)
            if tag != _ITEM or (size != _UNDEFINED and self._at + size > last):
                raise _unreadable("a sequence is broken")
            if size == _UNDEFINED:
                items.append(self.data_set(last, _ITEM_END, depth))
            else:
                items.append(self.data_set(self._at + size, None, depth))
        if length == _UNDEFINED or self._at != last:
            raise _unreadable("a sequence does not end")
        return tuple(items)

    def _value(self, length: int, end: int) -> bytes:
        start, self._at = self._at, self._at + length
        if self._at > end:
            raise _unreadable("an element is longer than what holds it")
        return self._data[start : self._at]


def _encode(each: Element, transfer_syntax: str) -> bytes:
    value = b"".join(_item(item, transfer_syntax) for item in each.items) if each.vr == "SQ" else each.value
    tag = struct.pack("<HH", each.tag >> 16, each.tag & 0xFFFF)
    if transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN:
        return tag + struct.pack("<L", len(value)) + value
    if each.vr in _LONG_LENGTH:
        return tag + each.vr.encode() + struct.pack("<HL", 0, len(value)) + value
    return tag + each.vr.encode() + struct.pack("<H", len(value)) + value


def _item(data_set: DataSet, transfer_syntax: str) -> bytes:
    content = write(data_set, transfer_syntax)
    return struct.pack("<HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content


def _unreadable(what: str) -> BadObject:
    return BadObject(f"the data set cannot be read: {what}", hint="look at the software that wrote it")
