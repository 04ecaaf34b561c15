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
from edge.report.words import CONTENT_LABEL, NO_DATE, NO_TIME, Phrase


class Kind(Enum):
    """How the gate proves that a value is ours."""

    EMPTY = auto()  # there is no value
    CONSTANT = auto()  # one of the rule's own constants
    UID = auto()  # recorded for this job, or derived from it
    TEXT = auto()  # words of the emitter, of the manifest or of the box
    NUMBER = auto()  # a number of this result
    COORDINATES = auto()  # a region of this result, or where the words beside it go
    PIXELS = auto()  # the masks of this result
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
    pixels: str = "",
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
        (Kind.PIXELS, pixels),
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


_IDENTIFYING = (
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber StudyID "
    "ReferringPhysicianName"
)
_UIDS = "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID"
_EQUIPMENT = "SeriesDescription Manufacturer ManufacturerModelName SoftwareVersions DeviceSerialNumber"
_PLACE = "SeriesNumber InstanceNumber"
_DEIDENTIFIED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PatientIdentityRemoved": ("YES",),
        "DeidentificationMethod": (Phrase.DEIDENTIFICATION_METHOD,),
        "LongitudinalTemporalInformationModified": ("REMOVED",),
    }
)
_EVERYWHERE: Mapping[str, AllowList] = MappingProxyType(
    {
        "equipment": _level(
            uid="DeviceUID",
            text="Manufacturer ManufacturerModelName SoftwareVersions",
            code="PurposeOfReferenceCodeSequence",
        ),
        "study": _level(uid="StudyInstanceUID", items={"ReferencedSeriesSequence": "series"}),
        "instance": _level(uid="ReferencedSOPClassUID ReferencedSOPInstanceUID"),
    }
)
"""Levels that objects of several classes have."""

_CONTENT_ITEM = {
    "RelationshipType": ("CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "SELECTED FROM"),
    "ValueType": ("CODE", "CONTAINER", "IMAGE", "NUM", "SCOORD", "TEXT", "UIDREF"),
    "ContinuityOfContent": ("SEPARATE",),
    "GraphicType": ("POLYLINE",),
}

_STRUCTURED_REPORT: Mapping[str, AllowList] = MappingProxyType(
    {
        **_EVERYWHERE,
        "": _level(
            empty=f"{_IDENTIFYING} ReferencedPerformedProcedureStepSequence PerformedProcedureCodeSequence",
            uid=_UIDS,
            text=_EQUIPMENT,
            number=_PLACE,
            code="DeidentificationMethodCodeSequence ConceptNameCodeSequence",
            constants={
                **_DEIDENTIFIED,
                "Modality": ("SR",),
                "ContentDate": (NO_DATE,),
                "ContentTime": (NO_TIME,),
                "CompletionFlag": ("COMPLETE", "PARTIAL"),
                "VerificationFlag": ("UNVERIFIED",),
                "PreliminaryFlag": ("PRELIMINARY",),
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
        "series": _level(uid="SeriesInstanceUID", items={"ReferencedSOPSequence": "instance"}),
        "template": _level(
            constants={"MappingResource": ("DCMR",), "TemplateIdentifier": ("1500", "1501", "1410", "1411")}
        ),
        "content": _level(
            uid="UID",
            text="TextValue",
            coordinates="GraphicData",
            code="ConceptNameCodeSequence ConceptCodeSequence",
            constants=_CONTENT_ITEM,
            items={
                "MeasuredValueSequence": "measured",
                "ReferencedSOPSequence": "part",
                "ContentTemplateSequence": "template",
                "ContentSequence": "content",
            },
        ),
        "part": _level(
            uid="ReferencedSOPClassUID ReferencedSOPInstanceUID",
            number="ReferencedFrameNumber ReferencedSegmentNumber",
        ),
        "measured": _level(number="NumericValue", code="MeasurementUnitsCodeSequence"),
    }
)

_SEGMENTATION: Mapping[str, AllowList] = MappingProxyType(
    {
        **_EVERYWHERE,
        "": _level(
            empty=f"{_IDENTIFYING} ContentCreatorName PositionReferenceIndicator",
            uid=f"{_UIDS} FrameOfReferenceUID",
            text=f"{_EQUIPMENT} ContentDescription PatientOrientation",
            number=f"{_PLACE} NumberOfFrames Rows Columns",
            pixels="PixelData",
            code="DeidentificationMethodCodeSequence",
            constants={
                **_DEIDENTIFIED,
                "Modality": ("SEG",),
                "ContentDate": (NO_DATE,),
                "ContentTime": (NO_TIME,),
                "ImageType": ("DERIVED\\PRIMARY",),
                "PhotometricInterpretation": ("MONOCHROME2",),
                "LossyImageCompression": ("00",),
                "SegmentationType": ("BINARY",),
                "ContentLabel": (CONTENT_LABEL,),
                "SamplesPerPixel": ("1",),
                "BitsAllocated": ("1",),
                "BitsStored": ("1",),
                "HighBit": ("0",),
                "PixelRepresentation": ("0",),
            },
            items={
                "ContributingEquipmentSequence": "equipment",
                "ReferencedSeriesSequence": "series",
                "SegmentSequence": "segment",
                "DimensionOrganizationSequence": "organization",
                "DimensionIndexSequence": "index",
                "SharedFunctionalGroupsSequence": "shared",
                "PerFrameFunctionalGroupsSequence": "frame",
            },
        ),
        "series": _level(uid="SeriesInstanceUID", items={"ReferencedInstanceSequence": "instance"}),
        "segment": _level(
            uid="TrackingUID",
            text="SegmentLabel SegmentAlgorithmName TrackingID",
            number="SegmentNumber RecommendedDisplayCIELabValue",
            code="SegmentedPropertyCategoryCodeSequence SegmentedPropertyTypeCodeSequence",
            constants={"SegmentAlgorithmType": ("AUTOMATIC",)},
            items={"SegmentationAlgorithmIdentificationSequence": "algorithm"},
        ),
        "algorithm": _level(
            text="AlgorithmName AlgorithmVersion AlgorithmSource AlgorithmParameters",
            code="AlgorithmFamilyCodeSequence",
        ),
        "organization": _level(uid="DimensionOrganizationUID"),
        "index": _level(
            uid="DimensionOrganizationUID",
            constants={
                "DimensionIndexPointer": ("0062000B", "00200032", "00209057"),
                "FunctionalGroupPointer": ("0062000A", "00209113", "00209111"),
            },
        ),
        "shared": _level(items={"PixelMeasuresSequence": "measures", "PlaneOrientationSequence": "orientation"}),
        "measures": _level(number="PixelSpacing SliceThickness"),
        "orientation": _level(number="ImageOrientationPatient"),
        "frame": _level(
            items={
                "DerivationImageSequence": "derivation",
                "SegmentIdentificationSequence": "identification",
                "PlanePositionSequence": "position",
                "FrameContentSequence": "frame content",
            }
        ),
        "identification": _level(number="ReferencedSegmentNumber"),
        "position": _level(number="ImagePositionPatient"),
        "frame content": _level(number="DimensionIndexValues InStackPositionNumber", constants={"StackID": ("1",)}),
        "derivation": _level(code="DerivationCodeSequence", items={"SourceImageSequence": "source"}),
        "source": _level(
            uid="ReferencedSOPClassUID ReferencedSOPInstanceUID",
            number="ReferencedFrameNumber",
            code="PurposeOfReferenceCodeSequence",
            constants={"SpatialLocationsPreserved": ("YES",)},
        ),
    }
)

_PRESENTATION_STATE: Mapping[str, AllowList] = MappingProxyType(
    {
        **_EVERYWHERE,
        "": _level(
            empty=f"{_IDENTIFYING} ContentCreatorName Laterality",
            uid=_UIDS,
            text=f"{_EQUIPMENT} ContentDescription",
            number=f"{_PLACE} RescaleIntercept RescaleSlope",
            code="DeidentificationMethodCodeSequence",
            constants={
                **_DEIDENTIFIED,
                "Modality": ("PR",),
                "PresentationCreationDate": (NO_DATE,),
                "PresentationCreationTime": (NO_TIME,),
                "ContentLabel": (CONTENT_LABEL,),
                "PresentationLUTShape": ("IDENTITY", "INVERSE"),
                "RescaleType": ("US",),
            },
            items={
                "ContributingEquipmentSequence": "equipment",
                "ReferencedSeriesSequence": "series",
                "DisplayedAreaSelectionSequence": "area",
                "GraphicAnnotationSequence": "annotation",
                "GraphicLayerSequence": "layer",
                "SoftcopyVOILUTSequence": "window",
            },
        ),
        "series": _level(uid="SeriesInstanceUID", items={"ReferencedImageSequence": "instance"}),
        "area": _level(
            number="DisplayedAreaTopLeftHandCorner DisplayedAreaBottomRightHandCorner PresentationPixelAspectRatio",
            constants={"PresentationSizeMode": ("SCALE TO FIT",)},
            items={"ReferencedImageSequence": "instance"},
        ),
        "annotation": _level(
            constants={"GraphicLayer": (CONTENT_LABEL,)},
            items={
                "ReferencedImageSequence": "frame",
                "TextObjectSequence": "words",
                "GraphicObjectSequence": "graphic",
            },
        ),
        "frame": _level(uid="ReferencedSOPClassUID ReferencedSOPInstanceUID", number="ReferencedFrameNumber"),
        "words": _level(
            text="UnformattedTextValue",
            coordinates="BoundingBoxTopLeftHandCorner BoundingBoxBottomRightHandCorner",
            constants={
                "BoundingBoxAnnotationUnits": ("PIXEL", "DISPLAY"),
                "BoundingBoxTextHorizontalJustification": ("LEFT",),
            },
        ),
        "graphic": _level(
            uid="TrackingUID",
            text="TrackingID",
            number="GraphicDimensions NumberOfGraphicPoints",
            coordinates="GraphicData",
            constants={"GraphicAnnotationUnits": ("PIXEL",), "GraphicType": ("POLYLINE",), "GraphicFilled": ("N",)},
        ),
        "layer": _level(
            number="GraphicLayerOrder GraphicLayerRecommendedDisplayCIELabValue",
            constants={"GraphicLayer": (CONTENT_LABEL,), "GraphicLayerDescription": (Phrase.LAYER,)},
        ),
        "window": _level(
            number="WindowCenter WindowWidth",
            constants={"VOILUTFunction": ("LINEAR", "LINEAR_EXACT", "SIGMOID")},
            items={"ReferencedImageSequence": "instance"},
        ),
    }
)

_KEY_OBJECTS: Mapping[str, AllowList] = MappingProxyType(
    {
        **_EVERYWHERE,
        "": _level(
            empty=f"{_IDENTIFYING} ReferencedPerformedProcedureStepSequence",
            uid=_UIDS,
            text=_EQUIPMENT,
            number=_PLACE,
            code="DeidentificationMethodCodeSequence ConceptNameCodeSequence",
            constants={
                **_DEIDENTIFIED,
                "Modality": ("KO",),
                "ContentDate": (NO_DATE,),
                "ContentTime": (NO_TIME,),
                "ValueType": ("CONTAINER",),
                "ContinuityOfContent": ("SEPARATE",),
            },
            items={
                "CurrentRequestedProcedureEvidenceSequence": "study",
                "ContentTemplateSequence": "template",
                "ContentSequence": "content",
            },
        ),
        "series": _level(uid="SeriesInstanceUID", items={"ReferencedSOPSequence": "instance"}),
        "template": _level(constants={"MappingResource": ("DCMR",), "TemplateIdentifier": ("2010",)}),
        "content": _level(
            constants={"RelationshipType": ("CONTAINS",), "ValueType": ("COMPOSITE", "IMAGE")},
            items={"ReferencedSOPSequence": "instance"},
        ),
    }
)

ALLOWED: Mapping[str, Mapping[str, AllowList]] = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.88.34": _STRUCTURED_REPORT,
        "1.2.840.10008.5.1.4.1.1.88.33": _STRUCTURED_REPORT,
        "1.2.840.10008.5.1.4.1.1.66.4": _SEGMENTATION,
        "1.2.840.10008.5.1.4.1.1.11.1": _PRESENTATION_STATE,
        "1.2.840.10008.5.1.4.1.1.88.59": _KEY_OBJECTS,
    }
)
"""SOP Class UID to the levels of its objects; "" is the data set itself. A class that is not here never leaves."""
