"""Real files as C-STORE requests without re-encoding them: broken files must reach the box as broken as they are."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class RawObject:
    """What a C-STORE says of an object, and its data set as it stands in the file."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes

    def with_fresh_uid(self) -> RawObject:
        """The same object as a new SOP Instance: its UID is replaced in place, by one of the same length."""
        old = self.sop_instance_uid.encode()
        fresh = f"2.25.{uuid.uuid4().int}".ljust(64, "7")[: max(len(old), 6)].rstrip(".")
        data_set = self.data_set.replace(old, fresh.encode(), 1) if len(fresh) == len(old) else self.data_set
        return RawObject(self.name, self.sop_class_uid, fresh, self.transfer_syntax_uid, data_set)


def read_raw(path: Path) -> RawObject:
    """The file as a request; values that it lacks are synthesised."""
    data = path.read_bytes()
    meta: dict[int, bytes] = {}
    start = 0
    if data[128:132] == b"DICM":
        meta, start = _meta(data)
    data_set = data[start:]
    transfer_syntax = _uid(meta.get(0x10, b"")) or _guess(data_set)
    return RawObject(
        path.name,
        _find(data_set, 0x16, transfer_syntax) or _uid(meta.get(0x02, b"")) or CT_IMAGE_STORAGE,
        _find(data_set, 0x18, transfer_syntax) or _uid(meta.get(0x03, b"")) or f"2.25.{uuid.uuid4().int}",
        transfer_syntax,
        data_set,
    )


def _meta(data: bytes) -> tuple[dict[int, bytes], int]:
    found: dict[int, bytes] = {}
    at = 132
    while data[at : at + 2] == b"\x02\x00" and at + 8 <= len(data):
        element = struct.unpack_from("<H", data, at + 2)[0]
        if data[at + 4 : at + 6] in _LONG and at + 12 <= len(data):
            length, value = struct.unpack_from("<L", data, at + 8)[0], at + 12
        else:
            length, value = struct.unpack_from("<H", data, at + 6)[0], at + 8
        found[element] = data[value : value + length]
        at = value + length
    return found, min(at, len(data))


def _find(data_set: bytes, element: int, transfer_syntax: str) -> str:
    """A UID of group 0008 near the head of the data set."""
    order = ">" if transfer_syntax == BIG_ENDIAN else "<"
    at = data_set[:4096].find(struct.pack(f"{order}HH", 0x0008, element))
    if at < 0:
        return ""
    if data_set[at + 4 : at + 6] == b"UI":
        length = struct.unpack_from(f"{order}H", data_set, at + 6)[0]
    else:
        length = struct.unpack_from(f"{order}L", data_set, at + 4)[0]
    return _uid(data_set[at + 8 : at + 8 + min(length, 64)])


def _uid(value: bytes) -> str:
    text = value.rstrip(b"\0 ").decode("ascii", "replace")
    return text if text and len(text) <= 64 and not text.strip("0123456789.") else ""


def _guess(data_set: bytes) -> str:
    """Explicit or implicit, little or big: what the first element looks like."""
    vr = data_set[4:6]
    if vr.isalpha() and vr.isupper():
        return BIG_ENDIAN if data_set[:2] == b"\x00\x08" else EXPLICIT
    return IMPLICIT
