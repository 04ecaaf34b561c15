"""The first elements of a data set, read in place: UIDs and modality, and nothing that names a patient.

Explicit VR little or big endian and Implicit VR (PS3.5 7.1), nested sequences of undefined length to a bounded depth.
No value but the five wanted is looked at. `read_head` raises BadObject and nothing else, whatever it is given; its work
is linear in the bytes walked over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.errors import BadObject
from edge.receive.modalities import MODALITIES
from edge.receive.syntaxes import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.records import UID, parse_uid

MAX_DEPTH = 64
_SOP_CLASS, _SOP_INSTANCE, _MODALITY = 0x00080016, 0x00080018, 0x00080060
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _MODALITY, _STUDY, _SERIES})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_GROUP = 0xFFFE
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


@dataclass(frozen=True, slots=True)
class Head:
    """What the journal needs to know of a data set. The SOP UIDs are empty where the data set has none."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: UID
    series_instance_uid: UID
    modality: str


def read_head(data: memoryview, transfer_syntax_uid: str) -> Head:
    """Read the head of a data set that begins with `data`.

    Raises
    ------
    BadObject
        If it cannot be parsed up to Series Instance UID within `data`, or has no Study or Series Instance UID.
    """
    found = _Scanner(data, transfer_syntax_uid).find()
    modality = _text(found.get(_MODALITY, b"")).strip(" \0")
    return Head(
        sop_class_uid=_text(found.get(_SOP_CLASS, b"")).rstrip(" \0"),
        sop_instance_uid=_text(found.get(_SOP_INSTANCE, b"")).rstrip(" \0"),
        study_instance_uid=parse_uid(_text(found.get(_STUDY, b"")), "StudyInstanceUID"),
        series_instance_uid=parse_uid(_text(found.get(_SERIES, b"")), "SeriesInstanceUID"),
        modality=modality if modality in MODALITIES else "",
    )


class _Scanner:
    """Walks over elements; `find` keeps the wanted ones of the top level."""

    def __init__(self, data: memoryview, transfer_syntax_uid: str) -> None:
        order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
        self._data = data
        self._is_explicit = transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN
        self._implicit_header = struct.Struct(order + "HHL")
        self._explicit_header = struct.Struct(order + "HH2sH")
        self._long = struct.Struct(order + "L")

    def find(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at, before = 0, -1
        while at < len(self._data):
            tag, length, value = self._element(at, self._is_explicit)
            if tag > _SERIES:
                break
            if tag <= before:
                raise _unreadable("elements are not in order")
            before = tag
            if length == _UNDEFINED:
                at = self._after_sequence(value)
                continue
            at = value + length
            if at > len(self._data):
                raise _unreadable("an element is longer than the data set's head")
            if tag in _WANTED:
                found[tag] = bytes(self._data[value : min(at, value + 80)])
        return found

    def _element(self, at: int, explicit: bool) -> tuple[int, int, int]:
        """Tag, length, and where the value starts."""
        try:
            if explicit:
                group, element, vr, length = self._explicit_header.unpack_from(self._data, at)
                if group != _ITEM_GROUP:
                    return self._after_header(at, group << 16 | element, vr, length)
            group, element, length = self._implicit_header.unpack_from(self._data, at)
            return group << 16 | element, length, at + 8
        except struct.error:
            raise _unreadable("it ends inside an element") from None

    def _after_header(self, at: int, tag: int, vr: bytes, length: int) -> tuple[int, int, int]:
        if vr in _LONG:
            return tag, self._long.unpack_from(self._data, at + 8)[0], at + 12
        if not (vr.isalpha() and vr.isupper()):
            raise _unreadable("an element has no value representation")
        return tag, length, at + 8

    def _after_sequence(self, at: int) -> int:
        """Where the element of undefined length whose value starts at `at` ends.

        `levels` holds, for each open level, whether it is a sequence (its children are items) and its encoding.
        """
        levels = [(True, self._inner(at, self._is_explicit))]
        while levels:
            in_sequence, explicit = levels[-1]
            tag, length, at = self._element(at, explicit)
            if tag == (_SEQUENCE_END if in_sequence else _ITEM_END):
                levels.pop()
            elif in_sequence != (tag == _ITEM):
                raise _unreadable("a sequence is broken")
            elif length != _UNDEFINED:
                at += length
            elif len(levels) == MAX_DEPTH:
                raise _unreadable("sequences are nested too deep")
            else:
                levels.append((not in_sequence, explicit if in_sequence else self._inner(at, explicit)))
        return at

    def _inner(self, at: int, explicit: bool) -> bool:
        """Whether the content of the element whose value starts at `at` is explicit: never in UN (PS3.5 6.2.2)."""
        return explicit and bytes(self._data[at - 8 : at - 6]) != b"UN"


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _unreadable(what: str) -> BadObject:
    return BadObject(f"the data set cannot be read: {what}", hint="check the sending device's export")
