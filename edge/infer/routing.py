"""Where a stored instance goes: the loop guard, then every route whose `when` it meets.

Comes in: an instance, its header, the routes. Goes out: a `Decision`: targets, or why there are none. No text here
holds a received value, only the keyword that decided.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from pydicom.dataset import Dataset

from edge.config.routes import Route
from edge.infer.applicability import date_of
from edge.infer.header import values
from edge.infer.refusal import Refusal
from edge.infer.roster import Line
from edge.journal.work import Target
from edge.records import Instance, Priority, Scope

_SOFTWARE_MADE = ("SR", "PR", "SEG", "KO", "SC")
_SOFTWARE_MADE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture, with its multi-frame kinds
    "1.2.840.10008.5.1.4.1.1.11",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, segmentations
    "1.2.840.10008.5.1.4.1.1.88",  # structured reports, key object selections
    "1.2.840.10008.5.1.4.1.1.104",  # encapsulated documents
)
_STUDY_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_EXPECTED = {
    Scope.SERIES: ("NumberOfSeriesRelatedInstances", "ImagesInAcquisition"),
    Scope.STUDY: ("NumberOfStudyRelatedInstances",),
}


@dataclass(frozen=True, slots=True)
class Miss:
    """Why one route does not take an instance: a reason of the journal and a sentence."""

    route: str
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`targets` for the journal; without any, `reason` says why the instance is UNROUTED."""

    targets: tuple[Target, ...]
    reason: str
    misses: tuple[Miss, ...]


def decide(instance: Instance, dataset: Dataset, lines: tuple[Line, ...], today: datetime.date) -> Decision:
    """Which packages look at `instance`.

    Raises
    ------
    Refusal
        `unreadable`, when an attribute that a route asks for cannot be read.
    """
    if is_made_by_software(instance, dataset):
        return Decision((), "loop-guard", ())
    targets: dict[str, Target] = {}
    misses: list[Miss] = []
    for line in lines:
        miss = _miss(line.route, instance, dataset, today)
        if miss is not None:
            misses.append(miss)
        elif line.route.package not in targets:
            targets[line.route.package] = Target(
                scope=line.scope,
                route=line.route.name,
                package=line.route.package,
                priority=Priority(line.route.priority),
                expected=_expected(line.scope, dataset),
            )
    reasons = {miss.reason for miss in misses}
    reason = "" if targets else "study-too-old" if "study-too-old" in reasons else "no-route"
    return Decision(tuple(targets.values()), reason, tuple(misses))


def is_made_by_software(instance: Instance, dataset: Dataset) -> bool:
    """The loop guard: reports, presentation states, segmentations, key objects and captures, ours and others'."""
    modality = next(iter(values(dataset, "Modality")), instance.modality)
    made = any(f"{instance.sop_class_uid}.".startswith(f"{root}.") for root in _SOFTWARE_MADE_CLASSES)
    return made or modality.upper() in _SOFTWARE_MADE


def _miss(route: Route, instance: Instance, dataset: Dataset, today: datetime.date) -> Miss | None:
    for keyword, wanted in route.when.items():
        received = _received(keyword, instance, dataset)
        if not received & {text.strip().upper() for text in wanted}:
            what = "is absent" if not received else f"is not one of {', '.join(wanted)}"
            return Miss(route.name, "no-route", f"{keyword} {what}")
    if _age_in_days(dataset, today) > route.max_study_age_days:
        return Miss(route.name, "study-too-old", f"the study is older than {route.max_study_age_days} days")
    return None


def _received(keyword: str, instance: Instance, dataset: Dataset) -> set[str]:
    own = {"peer": instance.peer, "SOPClassUID": instance.sop_class_uid}
    found = (own[keyword],) if keyword in own else values(dataset, keyword)
    return {text.strip().upper() for text in found}


def _age_in_days(dataset: Dataset, today: datetime.date) -> int:
    """Days since the study; 0 when no date is given or it lies in the future (a clock is wrong somewhere)."""
    dates = (date_of(text) for keyword in _STUDY_DATES for text in values(dataset, keyword))
    day = next((date for date in dates if date is not None), today)
    return max(0, (today - day).days)


def _expected(scope: Scope, dataset: Dataset) -> int:
    """How many instances the unit will have, where the sender says so; 0 when it does not."""
    for keyword in _EXPECTED.get(scope, ()):
        try:
            found = values(dataset, keyword)
            if found and 0 < int(found[0]) < 1 << 31:
                return int(found[0])
        except (Refusal, ValueError):
            continue
    return 0
