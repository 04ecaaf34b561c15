"""The fixed words of a report, and how a manifest's text or a number is written among them.

Every phrase that is not a code's meaning is here, so that the egress gate knows each word that is ours.
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from types import MappingProxyType

from edge.errors import RuntimeFailure
from edge.records import Code, Finding, PackageIdentity


class Phrase(StrEnum):
    """Fixed text; a radiologist reads these, so they are plain English."""

    NOT_FOR_CLINICAL_USE = "AI - NOT FOR CLINICAL USE"
    AI = "AI"
    LOOKED_FOR = "Looked for"
    DETECTED = "detected"
    NOT_DETECTED = "not detected"
    ABSENT = "absent, as validated to rule out"
    SCORE = "score"
    CERTAINTY = "certainty"
    THRESHOLD = "threshold"
    PERCENT = "percent"
    NOT_A_PROBABILITY = "not a probability"
    NOT_DETECTED_IS_NOT_ABSENT = "Not detected does not mean absent"
    NOTHING_DETECTED = "Nothing was detected of what the model looks for; this does not mean absent"
    NOT_ANALYSED = "Not analysed"
    ONLY_IN_PART = "Analysed only in part"
    NEVER_NORMAL = "No AI report means not analysed, never normal"
    PART_NEVER_NORMAL = "What is not reported was not analysed, never normal"
    MODEL = "Model"
    STATUS = "status"
    NOT_VERIFIED = "Not verified by a physician"
    URGENT = "Urgent"
    LEFT_SIDE = "left side of the patient"
    RIGHT_SIDE = "right side of the patient"
    BOTH_SIDES = "both sides of the patient"
    IN_THE_MIDDLE = "in the middle of the image"
    SIDE_NOT_STATED = "side not stated"
    OUTLINED = "Outlined"
    MEASURED = "Measured"
    OF = "of"
    NOT_ACCEPTED = "The model was not accepted on studies of this site before use"
    WAIVED_FOR_EVALUATION = "It is under evaluation"
    WAIVED_WITHOUT_STUDIES = "There were no labelled studies"
    WAIVED_AS_URGENT = "It replaced another model urgently"
    WAIVED_OTHERWISE = "The audit trail of the box has the reason"
    SUMMARY = "summary"
    ATTENTION = "AI attention"
    STRONGEST_ATTENTION = "strongest attention"
    LAYER = "Where the AI model points; not verified by a physician"
    DEIDENTIFICATION_METHOD = "Built from an allow-list; no received attribute is copied"


CONTENT_LABEL = "EDGE_AI"
"""Names a segmentation, a presentation state and its graphic layer."""

NO_DATE = "20000101"
NO_TIME = "000000"
"""Content Date and Time are Type 1: this dummy says that no date leaves the box (DESIGN 3)."""


_WAIVERS = MappingProxyType(
    {
        "evaluation": Phrase.WAIVED_FOR_EVALUATION,
        "no-labelled-studies": Phrase.WAIVED_WITHOUT_STUDIES,
        "urgent": Phrase.WAIVED_AS_URGENT,
    }
)


def waiver_text(waiver: str) -> str:
    """Why the model works without acceptance, in closed words: a code that we do not know stays on the box."""
    return f"{Phrase.NOT_ACCEPTED}. {_WAIVERS.get(waiver, Phrase.WAIVED_OTHERWISE)}"


def plain(text: str) -> str:
    """`text` in ASCII without control characters or value delimiters; accents are dropped, the rest becomes "?".

    A manifest is UTF-8; a report is ASCII, so that it needs no character set that could clash at relinking.
    """
    if text.isascii() and text.isprintable() and "\\" not in text and "  " not in text and text == text.strip():
        return text
    parts = unicodedata.normalize("NFKD", text.replace("\\", "/"))
    kept = "".join(part for part in parts if not unicodedata.combining(part))
    visible = "".join(part if part.isprintable() else " " for part in kept)
    return " ".join(visible.encode("ascii", "replace").decode("ascii").split())


def plain_code(code: Code) -> Code:
    return Code(plain(code.value), plain(code.scheme), plain(code.meaning))


def plain_package(package: PackageIdentity) -> PackageIdentity:
    """The package as a report names it: the same texts, in ASCII."""
    texts = {
        field.name: plain(getattr(package, field.name))
        for field in dataclasses.fields(package)
        if field.name != "family"
    }
    return PackageIdentity(**texts, family=plain_code(package.family))


def score_text(finding: Finding) -> str:
    """The score in fixed decimals: percent with two when calibrated, else 0..1 with four.

    Digits are cut, not rounded: a score below its threshold never reads as if it had reached it.

    Raises
    ------
    RuntimeFailure
        If the score is not a number of 0..1.
    """
    if not 0.0 <= finding.score <= 1.0:
        raise RuntimeFailure(
            "a score is not a number of 0 to 1",
            which=finding.code.value,
            hint="check the package's outputs with `edge models check`",
        )
    value = Decimal(repr(finding.score)) * (100 if finding.calibrated else 1)
    places = Decimal("0.01") if finding.calibrated else Decimal("0.0001")
    return str(value.quantize(places, rounding=ROUND_FLOOR))


def threshold_text(threshold: float) -> str:
    """A threshold exactly as the manifest states it, without an exponent."""
    text = format(Decimal(repr(threshold)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def threshold_percent(threshold: float) -> str:
    return threshold_text(float(Decimal(repr(threshold)) * 100))


def measurement_text(value: float) -> str:
    """A measured number with six significant digits.

    Raises
    ------
    RuntimeFailure
        If it is infinite or not a number.
    """
    if not math.isfinite(value):
        raise RuntimeFailure(
            "a measurement is not a number", hint="check the package's outputs with `edge models check`"
        )
    return f"{value:.6g}"


def decimal_text(value: float) -> str:
    """A number of an image's geometry or gray scale as a decimal string (DS) of at most 16 characters."""
    return f"{value:.10g}"


def series_description(package: PackageIdentity) -> str:
    """At most 64 characters; whatever is not cleared says so (DESIGN 9)."""
    lead = Phrase.AI if package.status == "cleared" else Phrase.NOT_FOR_CLINICAL_USE
    return f"{lead}: {package.name}"[:64].rstrip()


def algorithm_parameters(package: PackageIdentity, provider: str, threshold: float | None) -> tuple[str, ...]:
    """What TID 4019 states beside name and version: which package, on what, decided where."""
    parameters = [f"sha256={package.digest}", f"status={package.status}"]
    if threshold is not None:
        parameters.append(f"threshold={threshold_text(threshold)}")
    if provider:
        parameters.append(f"provider={plain(provider)}")
    return tuple(parameters)
