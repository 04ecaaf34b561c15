"""What an object may contain on its way out, by its SOP class: every attribute, and what its value may be.

An attribute that is not here does not leave. The table is written beside the emitter, not derived from it: a
mistake in one of them is caught by the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from edge.report.attributes import ATTRIBUTES
from edge.report.words import NO_DATE, NO_TIME, Phrase


class Kind(Enum):
    """How the gate proves that a value is ours."""

    EMPTY = auto()  # there is no value
    CONSTANT = auto()  # one of the rule's own constants
    UID = auto()  # recorded for this job, or derived from it
    TEXT = auto()  # words of the emitter, of the manifest or of the box
    NUMBER = auto()  # a number of this result
    COORDINATES = auto()  # a region of this result
    CODE = auto()  # a sequence of codes of the emitter, the manifest or the catalogue of reasons
    ITEMS = auto()  # a sequence of items with an allow-list of their own


@dataclass(frozen=True, slots=True)
class Rule:
    """`items` names the allow-list of a sequence's items."""

    keyword: str
    vr: str
    kind: Kind
    constants: frozenset[str] = frozenset()
    items: str = ""


AllowList = Mapping[int, Rule]
"""Tag to rule, for one level of an object."""


def _level(
    *,
    empty: str = "",
    uid: str = "",
    text: str = "",
    number: str = "",
    coordinates: str = "",
    code: str = "",
    constants: Mapping[str, tuple[str, ...]] | None = None,
    items: Mapping[str, str] | None = None,
) -> AllowList:
    plain = (
        (Kind.EMPTY, empty),
        (Kind.UID, uid),
        (Kind.TEXT, text),
        (Kind.NUMBER, number),
        (Kind.COORDINATES, coordinates),
        (Kind.CODE, code),
    )
    rules = [_rule(keyword, kind) for kind, keywords in plain for keyword in keywords.split()]
    rules += [_rule(keyword, Kind.CONSTANT, frozenset(values)) for keyword, values in (constants or {}).items()]
    rules += [_rule(keyword, Kind.ITEMS, items=level) for keyword, level in (items or {}).items()]
    return MappingProxyType({ATTRIBUTES[rule.keyword].tag: rule for rule in rules})


def _rule(
    keyword: str,
    kind: Kind,
    constants: frozenset[str] = frozenset(),
    items: str = "",
) -> Rule:
    return Rule(keyword, ATTRIBUTES[keyword].vr, kind, constants, items)


_CONTENT_ITEM = {
    "RelationshipType": ("CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "SELECTED FROM"),
    "ValueType": ("CODE", "CONTAINER", "IMAGE", "NUM", "SCOORD", "TEXT", "UIDREF"),
    "ContinuityOfContent": ("SEPARATE",),
    "GraphicType": ("POLYLINE",),
}

_STRUCTURED_REPORT: Mapping[str, AllowList] = MappingProxyType(
    {
        "": _level(
            empty="PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber StudyID "
            "ReferringPhysicianName ReferencedPerformedProcedureStepSequence PerformedProcedureCodeSequence",
            uid="SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID",
            text="SeriesDescription Manufacturer ManufacturerModelName SoftwareVersions DeviceSerialNumber",
            number="SeriesNumber InstanceNumber",
            code="DeidentificationMethodCodeSequence ConceptNameCodeSequence",
            constants={
                "Modality": ("SR",),
                "ContentDate": (NO_DATE,),
                "ContentTime": (NO_TIME,),
                "CompletionFlag": ("COMPLETE", "PARTIAL"),
                "VerificationFlag": ("UNVERIFIED",),
                "PreliminaryFlag": ("PRELIMINARY",),
                "PatientIdentityRemoved": ("YES",),
                "DeidentificationMethod": (Phrase.DEIDENTIFICATION_METHOD,),
                "LongitudinalTemporalInformationModified": ("REMOVED",),
                "ValueType": ("CONTAINER",),
                "ContinuityOfContent": ("SEPARATE",),
            },
            items={
                "ContributingEquipmentSequence": "equipment",
                "CurrentRequestedProcedureEvidenceSequence": "study",
                "PredecessorDocumentsSequence": "study",
                "ContentTemplateSequence": "template",
                "ContentSequence": "content",
            },
        ),
        "equipment": _level(
            uid="DeviceUID",
            text="Manufacturer ManufacturerModelName SoftwareVersions",
            code="PurposeOfReferenceCodeSequence",
        ),
        "study": _level(uid="StudyInstanceUID", items={"ReferencedSeriesSequence": "series"}),
        "series": _level(uid="SeriesInstanceUID", items={"ReferencedSOPSequence": "instance"}),
        "instance": _level(uid="ReferencedSOPClassUID ReferencedSOPInstanceUID"),
        "template": _level(constants={"MappingResource": ("DCMR",), "TemplateIdentifier": ("1500", "1501", "1410")}),
        "content": _level(
            uid="UID",
            text="TextValue",
            coordinates="GraphicData",
            code="ConceptNameCodeSequence ConceptCodeSequence",
            constants=_CONTENT_ITEM,
            items={
                "MeasuredValueSequence": "measured",
                "ReferencedSOPSequence": "instance",
                "ContentTemplateSequence": "template",
                "ContentSequence": "content",
            },
        ),
        "measured": _level(number="NumericValue", code="MeasurementUnitsCodeSequence"),
    }
)

ALLOWED: Mapping[str, Mapping[str, AllowList]] = MappingProxyType({"1.2.840.10008.5.1.4.1.1.88.34": _STRUCTURED_REPORT})
"""SOP Class UID to the levels of its objects; "" is the data set itself. A class that is not here never leaves."""
