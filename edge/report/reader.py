"""Any Structured Report as a ReportView: our own to the last number, other TID 1500 reports as far as they go.

Comes in: the bytes of a DICOM file. Goes out: a frozen view without patient or study attributes other than UIDs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from edge.errors import BadObject
from edge.records import Code
from edge.report import codes
from edge.report.kinds import SEG
from edge.report.tree import NO_CODE, Node, printable, read_tree


@dataclass(frozen=True, slots=True)
class Measurement:
    """A NUM item: its concept, its decimal string and its unit's code value."""

    name: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class RegionView:
    """A polyline of (column, row) pairs on one image."""

    source: str
    points: tuple[tuple[float, float], ...]
    attention: bool


@dataclass(frozen=True, slots=True)
class FindingView:
    """One measurement group. `present` is None where the report does not say; `score` is 0..1."""

    code: Code
    present: bool | None
    presence: Code
    score: float | None
    calibrated: bool
    threshold: float | None
    tracking_uid: str
    urgent: bool
    regions: tuple[RegionView, ...]
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class PackageView:
    """The algorithm as TID 4019 names it; empty texts where the report does not say."""

    name: str
    version: str
    vendor: str
    digest: str
    status: str
    provider: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """What a report says. `outcome`, `reason` and `sentence` are empty unless it is one of ours."""

    sop_instance_uid: str
    study_instance_uid: str
    series_description: str
    flags: tuple[str, ...]
    outcome: str
    reason: str
    reason_code: Code
    sentence: str
    purpose: str
    population: str
    findings: tuple[FindingView, ...]
    package: PackageView
    sources: tuple[str, ...]
    tree: Node


def read_report(blob: bytes) -> ReportView:
    """The report in `blob`.

    Raises
    ------
    BadObject
        If `blob` is no DICOM file, or no Structured Report.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other makers' odd values are shown, not judged
            return _view(dcmread(BytesIO(blob), force=False))
    except BadObject:
        raise
    except Exception:  # noqa: BLE001 - pydicom raises anything, and its texts may hold received values
        raise BadObject("the file cannot be read as DICOM", hint="give a DICOM Structured Report") from None


def _view(dataset: Dataset) -> ReportView:
    if dataset.get("ValueType") != "CONTAINER":
        kind = getattr(dataset.get("SOPClassUID"), "name", "unknown")
        raise BadObject(
            f"the object is not a Structured Report but {kind}", hint="give an SR, for example from outbox/"
        )
    tree = read_tree(dataset)
    groups = tuple(node for node in tree.walk() if _same(node.name, codes.MEASUREMENT_GROUP))
    summary = next((group for group in groups if any(group.find(codes.SUMMARY_OF_ANALYSES))), None)
    named = next((group for group in groups if any(group.find(codes.ALGORITHM_NAME))), tree)
    return ReportView(
        sop_instance_uid=printable(dataset.get("SOPInstanceUID")),
        study_instance_uid=printable(dataset.get("StudyInstanceUID")),
        series_description=printable(dataset.get("SeriesDescription")),
        flags=_flags(dataset),
        outcome=_outcome(summary),
        reason=summary.first_text(codes.OUTCOME_REASON_NAME) if summary else "",
        reason_code=next((node.code for node in summary.find(codes.OUTCOME_REASON)), NO_CODE) if summary else NO_CODE,
        sentence=summary.first_text(codes.COMMENT) if summary else "",
        purpose=summary.first_text(codes.INTENDED_PURPOSE) if summary else "",
        population=summary.first_text(codes.INTENDED_POPULATION) if summary else "",
        findings=tuple(_finding(group) for group in groups if group is not summary),
        package=_package(named, tree),
        sources=tuple(_evidence(dataset)),
        tree=tree,
    )


def _same(code: Code, other: Code) -> bool:
    return (code.value, code.scheme) == (other.value, other.scheme)


def _flags(dataset: Dataset) -> tuple[str, ...]:
    keywords = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")
    return tuple(value for value in (printable(dataset.get(keyword)) for keyword in keywords) if value)


def _outcome(summary: Node | None) -> str:
    if summary is None:
        return ""
    code = next(node.code for node in summary.find(codes.SUMMARY_OF_ANALYSES))
    return next((str(outcome) for outcome, known in codes.OUTCOMES.items() if _same(code, known)), "")


def _parameters(group: Node) -> dict[str, str]:
    pairs = (node.text.partition("=") for node in group.find(codes.ALGORITHM_PARAMETERS))
    return {key: value for key, found, value in pairs if found}


def _package(group: Node, tree: Node) -> PackageView:
    parameters = _parameters(group)
    return PackageView(
        name=group.first_text(codes.ALGORITHM_NAME),
        version=group.first_text(codes.ALGORITHM_VERSION),
        vendor=tree.first_text(codes.DEVICE_OBSERVER_MANUFACTURER),
        digest=parameters.get("sha256", ""),
        status=parameters.get("status", ""),
        provider=parameters.get("provider", ""),
    )


def _finding(group: Node) -> FindingView:
    code = next((node.code for node in group.find(codes.FINDING)), NO_CODE)
    presence = next((node.code for node in group.find(code) if node.value_type == "CODE"), NO_CODE)
    score = next(group.find(codes.CERTAINTY_OF_FINDING, codes.MODEL_OUTPUT), None)
    return FindingView(
        code=code if code.meaning else Code("", "", group.first_text(codes.TRACKING_IDENTIFIER)),
        present=_is_present(presence),
        presence=presence,
        score=_score(score),
        calibrated=score is not None and _same(score.name, codes.CERTAINTY_OF_FINDING),
        threshold=_number(_parameters(group).get("threshold", "")),
        tracking_uid=group.first_text(codes.TRACKING_UNIQUE_IDENTIFIER),
        urgent=any(_same(node.code, codes.ACTIONABLE) for node in group.find(codes.FINDING_CATEGORY)),
        regions=tuple(_regions(group)),
        measurements=tuple(_measurements(group, score)),
    )


def _is_present(presence: Code) -> bool | None:
    if _same(presence, codes.PRESENT):
        return True
    return False if _same(presence, codes.NOT_DETECTED) or _same(presence, codes.ABSENT) else None


def _score(score: Node | None) -> float | None:
    value = _number(score.text) if score is not None else None
    if value is None or score is None:
        return None
    return round(value / 100, 6) if score.code.value == "%" else value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _regions(group: Node) -> Iterator[RegionView]:
    attention = any(_same(node.code, codes.ATTENTION_OUTLINE) for node in group.find(codes.REGION_KIND))
    for node in group.walk():
        if node.points:
            source = next((child.text for child in node.children if child.value_type == "IMAGE"), "")
            yield RegionView(source, node.points, attention)


def _measurements(group: Node, score: Node | None) -> Iterator[Measurement]:
    for node in group.children:
        if node.value_type == "NUM" and node is not score:
            yield Measurement(node.name.meaning, node.text, node.code.value)


def _evidence(dataset: Dataset) -> Iterator[str]:
    for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.get("ReferencedSeriesSequence") or ():
            for instance in series.get("ReferencedSOPSequence") or ():
                if instance.get("ReferencedSOPClassUID") != SEG.sop_class_uid:  # ours, no image
                    yield printable(instance.get("ReferencedSOPInstanceUID"))
