"""The attributes that a report may contain: DICOM keyword, tag and value representation (PS3.6).

The encoder can write nothing else, and the egress gate's allow-list is made of the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Attribute:
    """One line of the data dictionary."""

    keyword: str
    tag: int
    vr: str


_TABLE = """
FileMetaInformationGroupLength          00020000 UL
FileMetaInformationVersion              00020001 OB
MediaStorageSOPClassUID                 00020002 UI
MediaStorageSOPInstanceUID              00020003 UI
TransferSyntaxUID                       00020010 UI
ImplementationClassUID                  00020012 UI
ImplementationVersionName               00020013 SH
SOPClassUID                             00080016 UI
SOPInstanceUID                          00080018 UI
StudyDate                               00080020 DA
ContentDate                             00080023 DA
StudyTime                               00080030 TM
ContentTime                             00080033 TM
AccessionNumber                         00080050 SH
Modality                                00080060 CS
Manufacturer                            00080070 LO
ReferringPhysicianName                  00080090 PN
CodeValue                               00080100 SH
CodingSchemeDesignator                  00080102 SH
CodeMeaning                             00080104 LO
LongCodeValue                           00080119 UC
SeriesDescription                       0008103E LO
ManufacturerModelName                   00081090 LO
ReferencedPerformedProcedureStepSequence 00081111 SQ
ReferencedSeriesSequence                00081115 SQ
ReferencedSOPClassUID                   00081150 UI
ReferencedSOPInstanceUID                00081155 UI
ReferencedSOPSequence                   00081199 SQ
PatientName                             00100010 PN
PatientID                               00100020 LO
PatientBirthDate                        00100030 DA
PatientSex                              00100040 CS
PatientIdentityRemoved                  00120062 CS
DeidentificationMethod                  00120063 LO
DeidentificationMethodCodeSequence      00120064 SQ
DeviceSerialNumber                      00181000 LO
DeviceUID                               00181002 UI
SoftwareVersions                        00181020 LO
ContributingEquipmentSequence           0018A001 SQ
StudyInstanceUID                        0020000D UI
SeriesInstanceUID                       0020000E UI
StudyID                                 00200010 SH
SeriesNumber                            00200011 IS
InstanceNumber                          00200013 IS
LongitudinalTemporalInformationModified 00280303 CS
MeasurementUnitsCodeSequence            004008EA SQ
RelationshipType                        0040A010 CS
ValueType                               0040A040 CS
ConceptNameCodeSequence                 0040A043 SQ
ContinuityOfContent                     0040A050 CS
UID                                     0040A124 UI
TextValue                               0040A160 UT
ConceptCodeSequence                     0040A168 SQ
PurposeOfReferenceCodeSequence          0040A170 SQ
MeasuredValueSequence                   0040A300 SQ
NumericValue                            0040A30A DS
PredecessorDocumentsSequence            0040A360 SQ
PerformedProcedureCodeSequence          0040A372 SQ
CurrentRequestedProcedureEvidenceSequence 0040A375 SQ
CompletionFlag                          0040A491 CS
VerificationFlag                        0040A493 CS
PreliminaryFlag                         0040A496 CS
ContentTemplateSequence                 0040A504 SQ
ContentSequence                         0040A730 SQ
MappingResource                         00080105 CS
TemplateIdentifier                      0040DB00 CS
GraphicData                             00700022 FL
GraphicType                             00700023 CS
"""


def _parse(table: str) -> Mapping[str, Attribute]:
    rows = (line.split() for line in table.strip().splitlines())
    return MappingProxyType({keyword: Attribute(keyword, int(tag, 16), vr) for keyword, tag, vr in rows})


ATTRIBUTES = _parse(_TABLE)
