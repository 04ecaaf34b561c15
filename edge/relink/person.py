"""The subject in Unicode, for messages that are no DICOM: decoded from the PACS's answer by its own character set."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS, PersonName

from edge.relink.elements import Element
from edge.relink.subject import CHARACTER_SET, ISSUER, PATIENT_ID, PATIENT_NAME, Subject

_DELIMITERS = frozenset({0xC, 0xA, 0xD, 0x9})


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Patient and study; empty texts where the PACS says nothing. `name`: family, given, middle, prefix, suffix."""

    patient_id: str
    issuer: str
    name: tuple[str, str, str, str, str]
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    study_time: str


def person_of(subject: Subject) -> Person:
    """`subject` in Unicode; of a name its first group that is not empty (PS3.5 6.2.1)."""
    terms = _raw(subject, CHARACTER_SET).decode("ascii", "replace").split("\\")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that cannot be decoded is replaced
        encodings = convert_encodings([term.strip() for term in terms])

        def text(tag: int) -> str:
            return str(decode_bytes(_raw(subject, tag), encodings, set(_DELIMITERS))).strip()

        return Person(
            patient_id=text(PATIENT_ID),
            issuer=text(ISSUER),
            name=_name(_raw(subject, PATIENT_NAME), encodings),
            birth_date=text(0x00100030),
            sex=text(0x00100040),
            accession_number=text(0x00080050),
            study_date=text(0x00080020),
            study_time=text(0x00080030),
        )


def _name(raw: bytes, encodings: list[str]) -> tuple[str, str, str, str, str]:
    groups = [decode_bytes(group, encodings, set(PN_DELIMS)) for group in raw.split(b"=")]
    name = PersonName(next((group for group in groups if group.strip("^ ")), ""))
    return (
        str(name.family_name).strip(),
        str(name.given_name).strip(),
        str(name.middle_name).strip(),
        str(name.name_prefix).strip(),
        str(name.name_suffix).strip(),
    )


def _raw(subject: Subject, tag: int) -> bytes:
    return subject.data_set.get(tag, Element(tag, "")).text()
