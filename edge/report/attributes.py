"""The attributes that a report may contain: DICOM keyword, tag and value representation (PS3.6).

The encoder can write nothing else, and the egress gate's allow-list is made of the same names.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Attribute:
    """One line of the data dictionary. `head` is how its element begins; `is_long` when its length has 32 bits."""

    keyword: str
    tag: int
    vr: str
    head: bytes
    is_long: bool


_LONG_LENGTH = frozenset({"OB", "SQ", "UC", "UT"})
_TABLE = """
FileMetaInformationGroupLength          00020000 UL
FileMetaInformationVersion              00020001 OB
MediaStorageSOPClassUID                 00020002 UI
MediaStorageSOPInstanceUID              00020003 UI
TransferSyntaxUID                       00020010 UI
ImplementationClassUID                  00020012 UI
ImplementationVersionName               00020013 SH
ImageType                               00080008 CS
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
MappingResource                         00080105 CS
LongCodeValue                           00080119 UC
SeriesDescription                       0008103E LO
ManufacturerModelName                   00081090 LO
ReferencedPerformedProcedureStepSequence 00081111 SQ
ReferencedSeriesSequence                00081115 SQ
ReferencedImageSequence                 00081140 SQ
ReferencedInstanceSequence              0008114A SQ
ReferencedSOPClassUID                   00081150 UI
ReferencedSOPInstanceUID                00081155 UI
ReferencedFrameNumber                   00081160 IS
ReferencedSOPSequence                   00081199 SQ
SourceImageSequence                     00082112 SQ
DerivationImageSequence                 00089124 SQ
DerivationCodeSequence                  00089215 SQ
PatientName                             00100010 PN
PatientID                               00100020 LO
PatientBirthDate                        00100030 DA
PatientSex                              00100040 CS
PatientIdentityRemoved                  00120062 CS
DeidentificationMethod                  00120063 LO
DeidentificationMethodCodeSequence      00120064 SQ
SliceThickness                          00180050 DS
DeviceSerialNumber                      00181000 LO
DeviceUID                               00181002 UI
SoftwareVersions                        00181020 LO
ContributingEquipmentSequence           0018A001 SQ
StudyInstanceUID                        0020000D UI
SeriesInstanceUID                       0020000E UI
StudyID                                 00200010 SH
SeriesNumber                            00200011 IS
InstanceNumber                          00200013 IS
PatientOrientation                      00200020 CS
ImagePositionPatient                    00200032 DS
ImageOrientationPatient                 00200037 DS
FrameOfReferenceUID                     00200052 UI
Laterality                              00200060 CS
PositionReferenceIndicator              00201040 LO
StackID                                 00209056 SH
InStackPositionNumber                   00209057 UL
FrameContentSequence                    00209111 SQ
PlanePositionSequence                   00209113 SQ
PlaneOrientationSequence                00209116 SQ
DimensionIndexValues                    00209157 UL
DimensionOrganizationUID                00209164 UI
DimensionIndexPointer                   00209165 AT
FunctionalGroupPointer                  00209167 AT
DimensionOrganizationSequence           00209221 SQ
DimensionIndexSequence                  00209222 SQ
AlgorithmSource                         00240202 LO
SamplesPerPixel                         00280002 US
PhotometricInterpretation               00280004 CS
NumberOfFrames                          00280008 IS
Rows                                    00280010 US
Columns                                 00280011 US
PixelSpacing                            00280030 DS
BitsAllocated                           00280100 US
BitsStored                              00280101 US
HighBit                                 00280102 US
PixelRepresentation                     00280103 US
LongitudinalTemporalInformationModified 00280303 CS
WindowCenter                            00281050 DS
WindowWidth                             00281051 DS
RescaleIntercept                        00281052 DS
RescaleSlope                            00281053 DS
RescaleType                             00281054 LO
VOILUTFunction                          00281056 CS
SpatialLocationsPreserved               0028135A CS
LossyImageCompression                   00282110 CS
SoftcopyVOILUTSequence                  00283110 SQ
PixelMeasuresSequence                   00289110 SQ
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
TemplateIdentifier                      0040DB00 CS
SegmentationType                        00620001 CS
SegmentSequence                         00620002 SQ
SegmentedPropertyCategoryCodeSequence   00620003 SQ
SegmentNumber                           00620004 US
SegmentLabel                            00620005 LO
SegmentationAlgorithmIdentificationSequence 00620007 SQ
SegmentAlgorithmType                    00620008 CS
SegmentAlgorithmName                    00620009 LO
SegmentIdentificationSequence           0062000A SQ
ReferencedSegmentNumber                 0062000B US
RecommendedDisplayCIELabValue           0062000D US
SegmentedPropertyTypeCodeSequence       0062000F SQ
TrackingID                              00620020 UT
TrackingUID                             00620021 UI
AlgorithmFamilyCodeSequence             0066002F SQ
AlgorithmVersion                        00660031 LO
AlgorithmParameters                     00660032 LT
AlgorithmName                           00660036 LO
GraphicAnnotationSequence               00700001 SQ
GraphicLayer                            00700002 CS
BoundingBoxAnnotationUnits              00700003 CS
GraphicAnnotationUnits                  00700005 CS
UnformattedTextValue                    00700006 ST
TextObjectSequence                      00700008 SQ
GraphicObjectSequence                   00700009 SQ
BoundingBoxTopLeftHandCorner            00700010 FL
BoundingBoxBottomRightHandCorner        00700011 FL
BoundingBoxTextHorizontalJustification  00700012 CS
GraphicDimensions                       00700020 US
NumberOfGraphicPoints                   00700021 US
GraphicData                             00700022 FL
GraphicType                             00700023 CS
GraphicFilled                           00700024 CS
DisplayedAreaTopLeftHandCorner          00700052 SL
DisplayedAreaBottomRightHandCorner      00700053 SL
DisplayedAreaSelectionSequence          0070005A SQ
GraphicLayerSequence                    00700060 SQ
GraphicLayerOrder                       00700062 IS
GraphicLayerDescription                 00700068 LO
ContentLabel                            00700080 CS
ContentDescription                      00700081 LO
PresentationCreationDate                00700082 DA
PresentationCreationTime                00700083 TM
ContentCreatorName                      00700084 PN
PresentationSizeMode                    00700100 CS
PresentationPixelAspectRatio            00700102 IS
GraphicLayerRecommendedDisplayCIELabValue 00700401 US
PresentationLUTShape                    20500020 CS
SharedFunctionalGroupsSequence          52009229 SQ
PerFrameFunctionalGroupsSequence        52009230 SQ
PixelData                               7FE00010 OB
"""


def _attribute(keyword: str, tag: int, vr: str) -> Attribute:
    is_long = vr in _LONG_LENGTH
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()) + bytes(2 if is_long else 0)
    return Attribute(keyword, tag, vr, head, is_long)


def _parse(table: str) -> Mapping[str, Attribute]:
    rows = (line.split() for line in table.strip().splitlines())
    return MappingProxyType({keyword: _attribute(keyword, int(tag, 16), vr) for keyword, tag, vr in rows})


ATTRIBUTES = _parse(_TABLE)
