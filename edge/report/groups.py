"""What a result says, by measurement group: each finding, segment and measurement under one tracking UID.

SR, SEG and presentation state are written from the same groups, so that what is one thing carries one UID in all.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

from edge.records import UID, Code, Finding, Measurement, Region, Result
from edge.report.identity import tracking_uid
from edge.report.words import plain_code


@dataclass(frozen=True, slots=True)
class Group:
    """One group. `segment` is the number, from 1, of the result's segment that outlines it; 0 for none."""

    code: Code
    identifier: str
    uid: UID
    finding: Finding | None = None
    regions: tuple[Region, ...] = ()
    segment: int = 0
    measurements: tuple[Measurement, ...] = ()


def groups(result: Result) -> tuple[Group, ...]:
    """The groups of `result`: findings in their order, then segments, then measurements that belong to neither.

    A segment, and a measurement that names a finding, belong to the first group with that code. The index in a
    tracking UID counts groups of one code, so that a finding keeps its UID when another class comes or goes.
    """
    seen: Counter[tuple[str, str]] = Counter()
    found = [
        dataclasses.replace(_group(result, seen, finding.code), finding=finding, regions=finding.regions)
        for finding in result.findings
    ]
    for number, segment in enumerate(result.segments, 1):
        at = _first(found, segment.code, segment=0)
        if at is None:
            found.append(dataclasses.replace(_group(result, seen, segment.code), segment=number))
        else:
            found[at] = dataclasses.replace(found[at], segment=number)
    for measurement in result.measurements:
        _place(measurement, result, seen, found)
    return tuple(found)


def _place(measurement: Measurement, result: Result, seen: Counter[tuple[str, str]], found: list[Group]) -> None:
    at = None if measurement.finding is None else _first(found, measurement.finding)
    if at is not None and (not measurement.regions or measurement.regions == found[at].regions):
        found[at] = dataclasses.replace(found[at], measurements=(*found[at].measurements, measurement))
        return
    group = _group(result, seen, measurement.finding or measurement.code)
    found.append(dataclasses.replace(group, regions=measurement.regions, measurements=(measurement,)))


def _group(result: Result, seen: Counter[tuple[str, str]], code: Code) -> Group:
    index = seen[code.scheme, code.value]
    seen[code.scheme, code.value] += 1
    ours = plain_code(code)
    uid = tracking_uid(result.study_instance_uid, result.package.digest, code, index)
    return Group(ours, f"{ours.meaning} {index + 1}", uid)


def _first(found: list[Group], code: Code, segment: int | None = None) -> int | None:
    wanted = plain_code(code)
    for at, group in enumerate(found):
        same = (group.code.scheme, group.code.value) == (wanted.scheme, wanted.value)
        if same and segment in (None, group.segment):
            return at
    return None


def tracking_of_segments(result: Result) -> dict[int, Group]:
    """The group of each segment, by its number."""
    return {group.segment: group for group in groups(result) if group.segment}
