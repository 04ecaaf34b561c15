"""Why a job ended as it did: a closed catalogue of stable reason codes, each with a DICOM code and a sentence.

A reason in the journal or a report is one of these names, alone or followed by `:KEYWORD`, the DICOM keyword
that decided (`not-applicable:PatientAge`). Sentences never hold a received value. Quality codes are used only
for real quality failures; coded values are those of PS3.16 CID 9302 and CID 6042.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from edge.records import Code, Outcome

_OBJECTS_INCORRECTLY_FORMATTED = Code("110521", "DCM", "Objects incorrectly formatted")
_OBJECT_TYPES_NOT_SUPPORTED = Code("110522", "DCM", "Object Types not supported")
_OBJECT_SET_INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
_EQUIPMENT_FAILURE = Code("110501", "DCM", "Equipment failure")
_RESOURCE_LIMIT = Code("EDGE-LIMIT", "99EDGE", "Resource limit of the model package reached")
_TOO_OLD = Code("EDGE-AGE", "99EDGE", "Study older than the route accepts")


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry of the catalogue."""

    name: str
    outcome: Outcome
    code: Code
    sentence: str
    retryable: bool = False


_ALL = (
    Reason(
        "not-applicable",
        Outcome.NOT_ATTEMPTED,
        _OBJECT_TYPES_NOT_SUPPORTED,
        "The images are outside what the model package declares itself for",
    ),
    Reason(
        "loop-guard",
        Outcome.NOT_ATTEMPTED,
        _OBJECT_TYPES_NOT_SUPPORTED,
        "Results of software are never analysed again",
    ),
    Reason("study-too-old", Outcome.NOT_ATTEMPTED, _TOO_OLD, "The study is older than the route accepts"),
    Reason("no-images", Outcome.NOT_ATTEMPTED, _OBJECT_SET_INCOMPLETE, "No image of the unit is stored any more"),
    Reason(
        "images-missing",
        Outcome.NOT_ATTEMPTED,
        _OBJECT_SET_INCOMPLETE,
        "The unit has not exactly the images that the model package needs",
    ),
    Reason(
        "uneven-slices",
        Outcome.NOT_ATTEMPTED,
        _OBJECT_SET_INCOMPLETE,
        "The images are not evenly spaced slices of one volume",
    ),
    Reason("unreadable", Outcome.FAILED, _OBJECTS_INCORRECTLY_FORMATTED, "The object cannot be parsed as DICOM"),
    Reason("undecodable", Outcome.FAILED, _OBJECTS_INCORRECTLY_FORMATTED, "The pixel data cannot be decoded"),
    Reason("no-pixel-data", Outcome.NOT_ATTEMPTED, _OBJECT_TYPES_NOT_SUPPORTED, "The object has no pixel data"),
    Reason(
        "unsupported-pixels",
        Outcome.NOT_ATTEMPTED,
        _OBJECT_TYPES_NOT_SUPPORTED,
        "The pixel data is of a kind that the model package does not take",
    ),
    Reason("too-large", Outcome.FAILED, _RESOURCE_LIMIT, "The image is larger than the box decodes"),
    Reason("worker-crashed", Outcome.FAILED, _EQUIPMENT_FAILURE, "The model worker ended unexpectedly", True),
    Reason("time-limit", Outcome.FAILED, _RESOURCE_LIMIT, "The model ran longer than its package allows", True),
    Reason(
        "memory-limit",
        Outcome.FAILED,
        _RESOURCE_LIMIT,
        "The model needed more memory than its package allows",
        True,
    ),
    Reason("bad-output", Outcome.FAILED, _EQUIPMENT_FAILURE, "The model gave an output that its manifest excludes"),
    Reason("package-unavailable", Outcome.FAILED, _EQUIPMENT_FAILURE, "The model package cannot be loaded", True),
    Reason("sealed-object-damaged", Outcome.FAILED, _EQUIPMENT_FAILURE, "A stored object cannot be opened"),
    Reason("internal", Outcome.FAILED, _EQUIPMENT_FAILURE, "The box failed for a reason of its own", True),
)

CATALOGUE = MappingProxyType({reason.name: reason for reason in _ALL})


def look_up(reason: str) -> Reason:
    """The catalogue entry of `reason`, which may carry `:KEYWORD`. Raises KeyError for an unknown name."""
    return CATALOGUE[reason.partition(":")[0]]


def sentence(reason: str) -> str:
    """The reason as a plain sentence, with the deciding keyword where there is one."""
    keyword = reason.partition(":")[2]
    text = look_up(reason).sentence
    return f"{text} ({keyword})" if keyword else text
