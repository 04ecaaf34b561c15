"""A result as it comes from a box: read, and believed only if it is one of ours and names nobody.

The box's egress gate has looked before. This is the other side's own look: whatever else can reach this door with a
listed address, title and certificate must not get a patient's name, a date or free identity into a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.errors import BadObject
from edge.records import UID
from edge.relink import elements
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, DataSet, Element
from edge.relink.references import Evidence, collect
from edge.relink.status import Refused, Status
from edge.report.rejection import TITLES

SOP_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.88.34": "SR",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.88.33": "SR",  # Comprehensive SR
        "1.2.840.10008.5.1.4.1.1.88.22": "SR",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.66.4": "SEG",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.11.1": "PR",  # Grayscale Softcopy Presentation State
        "1.2.840.10008.5.1.4.1.1.88.59": "KO",  # Key Object Selection: a note that rejects results
    }
)
"""Modality by SOP Class UID of everything that may come through the door."""
_TITLES = frozenset((code.scheme.encode(), code.value.encode()) for code in TITLES.values())
_CONCEPT_NAME, _CODE_VALUE, _SCHEME = 0x0040A043, 0x00080100, 0x00080102

SOP_CLASS, SOP_INSTANCE, MODALITY = 0x00080016, 0x00080018, 0x00080060
STUDY, SERIES = 0x0020000D, 0x0020000E
_IDENTITY_REMOVED = 0x00120062
_NO_DATE, _NO_TIME = b"20000101", b"0."
_EMPTY_TAGS = frozenset(
    {
        0x00080050,  # AccessionNumber
        0x00080080,  # InstitutionName
        0x00080081,  # InstitutionAddress
        0x00081030,  # StudyDescription
        0x00081040,  # InstitutionalDepartmentName
        0x00200010,  # StudyID
        0x00204000,  # ImageComments
        0x00400275,  # RequestAttributesSequence
    }
)
_EMPTY_GROUPS = frozenset({0x0010, 0x0032, 0x0038, 0x0400, 0x4008})
_TEXT = frozenset({"AE", "CS", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """A checked result."""

    sop_class_uid: UID
    sop_instance_uid: UID
    study_instance_uid: UID
    series_instance_uid: UID
    evidence: Evidence
    data_set: DataSet


def read(sop_class_uid: str, sop_instance_uid: str, data: bytes) -> Result:
    """Read a data set in Explicit VR Little Endian that its C-STORE announced under these UIDs.

    Raises
    ------
    Refused
        0122 for another SOP class, C000 when it cannot be parsed, A900 when it is not a PHI-free result of its
        class, C102 when what it refers to cannot be evidence of its study.
    """
    if sop_class_uid not in SOP_CLASSES:
        raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "sop-class")
    try:
        data_set = elements.read(data, EXPLICIT_VR_LITTLE_ENDIAN)
        sop_class, sop_instance, study, series = (
            _element(data_set, tag).uid() for tag in (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES)
        )
    except BadObject:
        raise Refused(Status.CANNOT_UNDERSTAND, "unreadable") from None
    if (sop_class, sop_instance) != (sop_class_uid, sop_instance_uid):
        raise Refused(Status.NOT_OURS, "other-uid-than-announced")
    if _element(data_set, MODALITY).text() != SOP_CLASSES[sop_class_uid].encode():
        raise Refused(Status.NOT_OURS, "modality")
    _check_nobody_named(data_set)
    evidence = _evidence(data_set, study, SOP_CLASSES[sop_class_uid])
    return Result(sop_class, sop_instance, study, series, evidence, data_set)


def _evidence(data_set: DataSet, study_instance_uid: UID, modality: str) -> Evidence:
    try:
        evidence = collect(data_set, study_instance_uid)
    except BadObject:
        raise Refused(Status.CANNOT_UNDERSTAND, "reference-unreadable") from None
    if modality != "SR" and not evidence:
        raise Refused(Status.NOT_OURS, "no-reference")
    if modality == "KO":
        _check_rejection(data_set, evidence)
    return evidence


def _check_rejection(data_set: DataSet, evidence: Evidence) -> None:
    """Raises Refused unless it rejects results, and nothing else: a box must never hide a hospital's images."""
    title = next(iter(_element(data_set, _CONCEPT_NAME).items), {})
    known = (_element(title, _SCHEME).text(), _element(title, _CODE_VALUE).text()) in _TITLES
    classes = {sop_class for instances in evidence.values() for sop_class in instances.values()}
    if not known or any(SOP_CLASSES.get(each, "KO") == "KO" for each in classes):
        raise Refused(Status.NOT_OURS, "rejects-no-results")


def _check_nobody_named(data_set: DataSet) -> None:
    """Raises Refused for anything that could identify a person."""
    if _element(data_set, _IDENTITY_REMOVED).text() != b"YES":
        raise Refused(Status.NOT_OURS, "identity-not-removed")
    for each in _walk(data_set):
        reason = _identity(each)
        if reason:
            raise Refused(Status.NOT_OURS, f"{reason}-{each.tag >> 16:04X}-{each.tag & 0xFFFF:04X}")


def _identity(each: Element) -> str:
    """Why `each` may not be in a result, as a code; empty when it may."""
    group, value = each.tag >> 16, each.text()
    if group & 1:
        return "private"
    if not value and not each.items:
        return ""
    if group in _EMPTY_GROUPS or each.tag in _EMPTY_TAGS or each.vr == "PN":
        return "identity"
    if (each.vr == "DA" and value != _NO_DATE) or (each.vr == "TM" and value.strip(_NO_TIME)) or each.vr == "DT":
        return "date"
    if each.vr in _TEXT and not (value.isascii() and b"\x1b" not in value):
        return "not-ascii"
    return ""


def _walk(data_set: DataSet) -> Iterator[Element]:
    for each in data_set.values():
        yield each
        for item in each.items:
            yield from _walk(item)


def _element(data_set: DataSet, tag: int) -> Element:
    return data_set.get(tag, Element(tag, ""))
