"""A DICOM file (PS3.10 7) as its File Meta Information and the bytes of its data set, without parsing the latter."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.errors import BadObject
from edge.records import UID, parse_uid

_LONG_LENGTH = frozenset({b"OB", b"UN", b"SQ", b"UT", b"OW"})
_META_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Part10:
    """What a sender needs to know of a file: a C-STORE sends `data_set`, STOW-RS the whole `file`."""

    sop_class_uid: UID
    sop_instance_uid: UID
    transfer_syntax_uid: UID
    data_set: bytes
    file: bytes


def split(file: bytes) -> Part10:
    """The parts of a whole DICOM file.

    Raises
    ------
    BadObject
        If it has no prefix, or no usable File Meta Information.
    """
    if file[128:132] != b"DICM":
        raise BadObject("this is not a DICOM file", hint="give a file with the DICM prefix (PS3.10)")
    elements, end = _meta(file[: 132 + _META_LIMIT])
    return Part10(
        sop_class_uid=_uid(elements, 0x0002, "MediaStorageSOPClassUID"),
        sop_instance_uid=_uid(elements, 0x0003, "MediaStorageSOPInstanceUID"),
        transfer_syntax_uid=_uid(elements, 0x0010, "TransferSyntaxUID"),
        data_set=file[end:],
        file=file,
    )


def _meta(data: bytes) -> tuple[dict[int, bytes], int]:
    """The elements of group 0002, Explicit VR Little Endian, and where the data set begins."""
    elements: dict[int, bytes] = {}
    at = 132
    try:
        while data[at : at + 2] == b"\x02\x00":
            element, vr = struct.unpack_from("<H2s", data, at + 2)
            if vr in _LONG_LENGTH:
                length, start = struct.unpack_from("<L", data, at + 8)[0], at + 12
            else:
                length, start = struct.unpack_from("<H", data, at + 6)[0], at + 8
            if start + length > len(data):
                raise BadObject("the File Meta Information is cut short", hint="write the file again")
            elements[element] = data[start : start + length]
            at = start + length
    except struct.error:
        raise BadObject("the File Meta Information is cut short", hint="write the file again") from None
    return elements, at


def _uid(elements: dict[int, bytes], element: int, keyword: str) -> UID:
    return parse_uid(elements.get(element, b"").decode("ascii", "replace"), keyword)
