"""A job as a function of records and bytes: rules, model, findings, result. Nothing here touches journal or spool.

The room, `edge models try` and the demo go through the same functions, so what is tried is what is run.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from edge import reasons
from edge.infer import applicability, described, postprocess, slices
from edge.infer.header import number, values
from edge.infer.protocol import Answer
from edge.infer.refusal import Refusal
from edge.packages.manifest import Manifest
from edge.packages.package import Package
from edge.records import UID, Finding, Instance, Measurement, Outcome, Result, Scope, Segment, Source
from edge.report.identity import report_uid, series_uid

Evaluate = Callable[[tuple[int, ...]], tuple[Answer, str]]
"""Runs the model on these images of the unit; the answer and the provider that gave it."""

_DIRECTION = re.compile(r"[ALRPHF]{1,3}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a job is about."""

    scope: Scope
    uid: UID
    study_instance_uid: UID
    revision: int
    route: str
    package: Package
    device_uid: UID
    predecessor: UID | None = None

    @property
    def report_uid(self) -> UID:
        """The SOP Instance UID that the report on this request has, whenever it is made."""
        return report_uid(self.scope, self.uid, self.revision, self.package.digest, self.route)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How looking ended. `error` is the class name of what was raised in the worker, for the log.

    `images`: the places of the images that the model was given, in its order; empty where it was given none.
    """

    outcome: Outcome
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    provider: str = ""
    error: str = ""
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    segments: tuple[Segment, ...] = ()
    images: tuple[int, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)


def look(manifest: Manifest, datasets: Sequence[Dataset], received: datetime.date, evaluate: Evaluate) -> Verdict:
    """Which of a unit's images the package declares itself for and, if any, what its model finds; never raises."""
    try:
        images, reason = applicable(manifest, datasets, received)
    except Refusal as refusal:
        return stopped(refusal.reason)
    if reason:
        return stopped(reason)
    answer, provider = evaluate(images)
    if answer.reason:
        return stopped(answer.reason, provider, answer, images)
    try:
        found = postprocess.found(manifest, [datasets[image] for image in images], answer)
    except Refusal as refusal:
        return stopped(refusal.reason, provider, answer, images)
    return Verdict(
        Outcome.SUCCEEDED, "", found.findings, provider, "", answer.milliseconds,
        measurements=found.measurements, segments=found.segments, images=images, statistics=answer.statistics,
    )  # fmt: skip


def applicable(manifest: Manifest, datasets: Sequence[Dataset], received: datetime.date) -> tuple[tuple[int, ...], str]:
    """The images that meet the rules, in the model's order; where none does, why the last one does not."""
    checked = [applicability.check(manifest.applicability, dataset, received) for dataset in datasets]
    kept = [image for image, reason in enumerate(checked) if not reason]
    if not kept:
        return (), checked[-1] if checked else "no-images"
    return tuple(kept[place] for place in slices.ordered([datasets[image] for image in kept])), ""


def stopped(reason: str, provider: str = "", answer: Answer | None = None, images: tuple[int, ...] = ()) -> Verdict:
    """A verdict without findings: the outcome is the one that the catalogue gives the reason."""
    outcome = reasons.look_up(reason).outcome
    if answer is None:
        return Verdict(outcome, reason, provider=provider, images=images)
    return Verdict(outcome, reason, (), provider, answer.error, answer.milliseconds, images=images)


def source(instance: Instance, dataset: Dataset | None) -> Source:
    """What a report may say about the image: UIDs and geometry."""
    return Source(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        series_instance_uid=instance.series_instance_uid,
        study_instance_uid=instance.study_instance_uid,
        modality=instance.modality,
        rows=_size(dataset, "Rows"),
        columns=_size(dataset, "Columns"),
        patient_orientation=_orientation(dataset),
        display=None if dataset is None else described.display(dataset),
        plane=None if dataset is None else described.plane(dataset),
    )


def result(request: Request, sources: tuple[Source, ...], verdict: Verdict) -> Result:
    """All that the report may be built from."""
    package = request.package
    return Result(
        report_uid=request.report_uid,
        series_uid=series_uid(request.study_instance_uid, package.digest, "SR"),
        study_instance_uid=request.study_instance_uid,
        sources=sources,
        outcome=verdict.outcome,
        reason=verdict.reason,
        findings=verdict.findings,
        package=package.identity(),
        provider=verdict.provider,
        revision=request.revision,
        predecessor=request.predecessor,
        device_uid=request.device_uid,
        measurements=verdict.measurements,
        segments=verdict.segments,
    )


def _size(dataset: Dataset | None, keyword: str) -> int:
    try:
        return 0 if dataset is None else number(dataset, keyword, 0)
    except Refusal:
        return 0


def _orientation(dataset: Dataset | None) -> tuple[str, str] | None:
    try:
        found = () if dataset is None else values(dataset, "PatientOrientation")
    except Refusal:
        return None
    if len(found) != 2 or not all(_DIRECTION.fullmatch(text) for text in found):
        return None
    return found[0], found[1]
