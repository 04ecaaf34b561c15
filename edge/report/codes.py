"""Every coded concept that the emitter itself brings (PS3.16); a finding's own code comes from the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edge.records import Code, Outcome


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _edge(value: str, meaning: str) -> Code:
    return Code(value, "99EDGE", meaning)


IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_OBSERVER_UID = _dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME = _dcm("121013", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL_NAME = _dcm("121015", "Device Observer Model Name")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
COMMENT = _dcm("121106", "Comment")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = _dcm("112040", "Tracking Unique Identifier")
FINDING = _dcm("121071", "Finding")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
ALGORITHM_FAMILY = _dcm("111000", "Algorithm Family")
CERTAINTY_OF_FINDING = _dcm("111012", "Certainty of Finding")
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")
IMAGE_REGION = _dcm("111030", "Image Region")
SOURCE = _sct("260753009", "Source")
GEOMETRIC_PURPOSE = _dcm("130400", "Geometric purpose of region")
BOUNDED_BY = _sct("75958009", "Bounded by")
SUMMARY_OF_ANALYSES = _dcm("111065", "Summary of Analyses")
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")

REFERENCED_SEGMENT = _dcm("121191", "Referenced Segment")
SOURCE_IMAGE_FOR_SEGMENTATION = _dcm("121233", "Source image for segmentation")
SOURCE_FOR_PROCESSING = _dcm("121322", "Source image for image processing operation")
SEGMENTATION = _dcm("113076", "Segmentation")
FINDING_CATEGORY = _sct("276214006", "Finding category")
ACTIONABLE = Code("RID49480", "RADLEX", "ACR Category 1 Actionable Finding")
"""Of CID 7035: an urgent finding is one to be told about at once."""

PRESENT = _sct("52101004", "Present")
NOT_DETECTED = _sct("260415000", "Not detected")
ABSENT = _sct("272519000", "Absent")

PERCENT = Code("%", "UCUM", "Percent")
NO_UNITS = Code("1", "UCUM", "no units")

MODEL_OUTPUT = _edge("EDGE-OUTPUT", "Model output, not a probability")
OUTCOME_REASON = _edge("EDGE-REASON", "Reason for the outcome")
OUTCOME_REASON_NAME = _edge("EDGE-REASON-NAME", "Reason for the outcome, as the box names it")
INTENDED_PURPOSE = _edge("EDGE-PURPOSE", "Purpose that the model package states")
INTENDED_POPULATION = _edge("EDGE-POPULATION", "Population that the model package states")
ACCEPTANCE = _edge("EDGE-ACCEPTANCE", "Acceptance of the model package on this site")
REGION_KIND = _edge("EDGE-REGION", "Kind of region")
ATTENTION_OUTLINE = _edge("EDGE-ATTENTION", "Outline of the model's attention, not to be measured")

OUTCOMES: Mapping[Outcome, Code] = MappingProxyType(
    {
        Outcome.SUCCEEDED: _dcm("111222", "Succeeded"),
        Outcome.PARTIAL: _dcm("111223", "Partially Succeeded"),
        Outcome.FAILED: _dcm("111224", "Failed"),
        Outcome.NOT_ATTEMPTED: _dcm("111225", "Not Attempted"),
    }
)

_XR = Code("43468-8", "LN", "XR unspecified body region")
ANY_PROCEDURE = _sct("363679005", "Imaging procedure")
PROCEDURES: Mapping[str, Code] = MappingProxyType(
    {
        "CR": _XR,
        "DX": _XR,
        "CT": Code("25045-6", "LN", "CT unspecified body region"),
        "MR": Code("25056-3", "LN", "MRI unspecified body region"),
        "NM": Code("49118-3", "LN", "NM unspecified body region"),
        "PT": Code("44136-0", "LN", "PET unspecified body region"),
    }
)
"""Procedure reported (CID 100) by the Modality of the source; all others are `ANY_PROCEDURE`."""

DEIDENTIFICATION = (
    _dcm("113100", "Basic Application Confidentiality Profile"),
    _dcm("113104", "Clean Structured Content Option"),
    _dcm("113110", "Retain UIDs Option"),
    _dcm("113109", "Retain Device Identity Option"),
)
"""PS3.15 annex E by CID 7050: what was done to what would identify a patient."""
