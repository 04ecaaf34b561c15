"""A data set of ours for a peer that takes only the default transfer syntax (PS3.5 10.1): Implicit VR Little Endian.

Comes in: Explicit VR Little Endian as our emitters write it (defined lengths). The same bytes in give the same bytes
out, so a repeated send stays byte for byte the same for one destination.
"""

from __future__ import annotations

import struct

from edge.errors import BadObject

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_LONG_LENGTH = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF


def implicit(data_set: bytes) -> bytes:
    """`data_set` without its VRs. Raises BadObject for what our emitters never write."""
    out: list[bytes] = []
    at = 0
    try:
        while at < len(data_set):
            tag, vr = data_set[at : at + 4], data_set[at + 4 : at + 6]
            long = vr in _LONG_LENGTH
            start = at + (12 if long else 8)
            length = (
                struct.unpack_from("<L", data_set, at + 8)[0] if long else struct.unpack_from("<H", data_set, at + 6)[0]
            )
            value = _value(data_set, start, length)
            if vr == b"SQ":
                value = _items(value)
            out.append(tag + struct.pack("<L", len(value)) + value)
            at = start + length
    except struct.error:
        raise _unusable() from None
    return b"".join(out)


def _items(sequence: bytes) -> bytes:
    out: list[bytes] = []
    at = 0
    while at < len(sequence):
        if sequence[at : at + 4] != _ITEM:
            raise _unusable()
        length = struct.unpack_from("<L", sequence, at + 4)[0]
        item = implicit(_value(sequence, at + 8, length))
        out.append(_ITEM + struct.pack("<L", len(item)) + item)
        at += 8 + length
    return b"".join(out)


def _value(data: bytes, start: int, length: int) -> bytes:
    if length == _UNDEFINED or start + length > len(data):
        raise _unusable()
    return data[start : start + length]


def _unusable() -> BadObject:
    return BadObject("the data set cannot be written without VRs", hint="report it: a result is always of this kind")
