"""Whose study it is: one answer of the PACS at STUDY level, believed only within bounds, kept as the bytes it came as.

An answer is input like any other. Identity that cannot be read as what the standard says is refused; of the rest, a
value that does not fit stays empty. Nothing of a subject is ever logged or shown: it has no representation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.relink.elements import DataSet, Element, element
from edge.relink.status import Refused, Status

CHARACTER_SET, STUDY = 0x00080005, 0x0020000D
PATIENT_NAME, PATIENT_ID, ISSUER = 0x00100010, 0x00100020, 0x00100021
ATTRIBUTES: Mapping[int, str] = MappingProxyType(
    {
        PATIENT_NAME: "PN",
        PATIENT_ID: "LO",
        ISSUER: "LO",
        0x00100030: "DA",  # PatientBirthDate
        0x00100040: "CS",  # PatientSex
        0x00080020: "DA",  # StudyDate
        0x00080030: "TM",  # StudyTime
        0x00080050: "SH",  # AccessionNumber
        0x00080090: "PN",  # ReferringPhysicianName
        0x00200010: "SH",  # StudyID
        0x00081030: "LO",  # StudyDescription
    }
)
"""VR by tag of what is asked for and merged (PS3.3 C.7.1.1, C.7.2.1)."""

_IDENTITY = frozenset({PATIENT_NAME, PATIENT_ID, ISSUER})
_TYPE_3 = frozenset({ISSUER, 0x00081030})
_LONGEST = MappingProxyType({"PN": 3 * 64 * 8, "LO": 64 * 8, "SH": 16 * 8})
"""In bytes: characters of the VR, each of at most eight with its escape sequences."""
_PATTERNS = MappingProxyType(
    {
        "DA": re.compile(rb"[0-9]{8}"),
        "TM": re.compile(rb"[0-9]{2,6}|[0-9]{6}\.[0-9]{1,6}"),
        "CS": re.compile(rb"[A-Z0-9_ ]{1,16}"),
    }
)
_CONTROLS = re.compile(rb"[\x00-\x1a\x1c-\x1f\x7f]")
_CODECS = MappingProxyType(
    {
        b"ISO_IR 6": "ascii", b"ISO_IR 100": "latin_1", b"ISO_IR 101": "iso8859_2", b"ISO_IR 109": "iso8859_3",
        b"ISO_IR 110": "iso8859_4", b"ISO_IR 144": "iso8859_5", b"ISO_IR 127": "iso8859_6",
        b"ISO_IR 126": "iso8859_7", b"ISO_IR 138": "iso8859_8", b"ISO_IR 148": "iso8859_9",
        b"ISO_IR 203": "iso8859_15", b"ISO_IR 13": "shift_jis", b"ISO_IR 166": "iso8859_11", b"ISO_IR 192": "utf_8",
        b"GB18030": "gb18030", b"GBK": "gbk",
    }
)  # fmt: skip
"""Single and multi-byte character sets without code extensions (PS3.3 C.12.1.1.2)."""
_IDEOGRAPHIC = frozenset({b"ISO_IR 192", b"GB18030", b"GBK"})
_EXTENSIONS = frozenset(
    f"ISO 2022 IR {number}".encode()
    for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 203)
)


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """Patient and study: the elements to merge, Specific Character Set among them where it is needed."""

    data_set: DataSet

    @property
    def patient(self) -> tuple[bytes, bytes]:
        """Patient ID and its issuer."""
        return _value(self.data_set, PATIENT_ID), _value(self.data_set, ISSUER)


def the_one(answers: Iterable[DataSet], study_instance_uid: str) -> Subject:
    """The subject of the study.

    Raises
    ------
    Refused
        A701 while the PACS has no such study, or no Patient ID for it; C101 when more than one patient has it;
        A702 when an answer cannot be used.
    """
    wanted = study_instance_uid.encode()
    subjects = [_subject(answer) for answer in answers if _value(answer, STUDY) == wanted]
    if not subjects:
        raise Refused(Status.NOT_THERE_YET, "no-study")
    if len({subject.patient for subject in subjects}) > 1:
        raise Refused(Status.MORE_THAN_ONE_PATIENT, "patients")
    if not subjects[0].patient[0]:
        raise Refused(Status.NOT_THERE_YET, "no-patient-id")
    return subjects[0]


def _subject(answer: DataSet) -> Subject:
    character_set = _value(answer, CHARACTER_SET)
    found = {}
    for tag, vr in ATTRIBUTES.items():
        value = _value(answer, tag)
        if not _fits(value, vr, character_set):
            if tag in _IDENTITY:
                raise Refused(Status.PACS_AWAY, f"answer-unusable-{tag >> 16:04X}-{tag & 0xFFFF:04X}")
            value = b""
        if vr == "PN" and _lost(value, character_set):
            raise Refused(Status.PACS_AWAY, "answer-lost-characters")
        if value or tag not in _TYPE_3:
            found[tag] = element(tag, vr, value)
    if any(not each.value.isascii() or b"\x1b" in each.value for each in found.values()):
        found[CHARACTER_SET] = element(CHARACTER_SET, "CS", character_set)
    return Subject(found)


def _lost(name: bytes, character_set: bytes) -> bool:
    """Whether a later group of a person name is nothing but delimiters, in a set that has no ideographs.

    Some archives drop what the set of their answer cannot write.
    """
    if character_set in _IDEOGRAPHIC or b"\x1b" in name:
        return False
    return any(group and not group.strip(b"^ ") for group in name.split(b"=")[1:])


def _fits(value: bytes, vr: str, character_set: bytes) -> bool:
    """Whether `value` is one of its VR in that character set; an empty one is."""
    if not value:
        return True
    if vr in _PATTERNS:
        return _PATTERNS[vr].fullmatch(value) is not None
    return len(value) <= _LONGEST[vr] and not _CONTROLS.search(value) and _readable(value, character_set)


def _readable(value: bytes, character_set: bytes) -> bool:
    if value.isascii() and b"\x1b" not in value:
        return True
    terms = [term.strip() for term in character_set.split(b"\\")]
    if len(terms) == 1 and terms[0] in _CODECS and b"\x1b" not in value:
        try:
            value.decode(_CODECS[terms[0]])
        except UnicodeDecodeError:
            return False
        return True
    rest = terms if terms[0] else terms[1:]
    return bool(rest) and _EXTENSIONS.issuperset(_extension(term) for term in rest)


def _extension(term: bytes) -> bytes:
    """A term with code extensions; the first value may be the same set without them."""
    return term.replace(b"ISO_IR", b"ISO 2022 IR")


def _value(data_set: DataSet, tag: int) -> bytes:
    return data_set.get(tag, Element(tag, "")).text()
