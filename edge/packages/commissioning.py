"""Commissioning: what a package says about this site's own labelled studies, before it is let to work on others.

In: a truth file (CSV with the columns UID, finding, label) and the box's own results on those studies. Out:
sensitivity, specificity and flag rate of each finding with 95 % intervals (Wilson), to be kept as a record.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from edge.errors import BadObject, PackageError, UsageError
from edge.journal.traces import Result
from edge.packages.manifest import Manifest
from edge.records import parse_uid

COLUMNS = ("UID", "finding", "label")
MOST_BYTES = 16 << 20
LABELS = MappingProxyType(
    {**dict.fromkeys(("1", "true", "yes", "positive", "present"), True),
     **dict.fromkeys(("0", "false", "no", "negative", "absent"), False)}
)  # fmt: skip
Z = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Label:
    """One line of the truth: whether the finding (a code's value) is there in this image, series or study."""

    uid: str
    finding: str
    present: bool


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of`, with the ends of its 95 % interval; all zero where there was nothing to count."""

    count: int
    of: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one finding; `missing` labels have no result of this package on this box."""

    finding: str
    positives: int
    negatives: int
    missing: int
    sensitivity: Share
    specificity: Share
    flag_rate: Share


@dataclass(slots=True)
class _Count:
    found: int = 0
    missed: int = 0
    false: int = 0
    clear: int = 0
    missing: int = 0
    seen: list[bool] = field(default_factory=list)


def read_truth(data: bytes, manifest: Manifest) -> list[Label]:
    """The labels in a CSV; a finding may be named by its code's value or by its name in the manifest.

    Raises
    ------
    UsageError
        If it is no such CSV; the line is named, its content is not.
    """
    known = findings(manifest)
    return [_label(row, line, known) for row, line in read_rows(data, COLUMNS)]


def read_rows(data: bytes, columns: tuple[str, ...]) -> Sequence[tuple[Mapping[str, str | None], int]]:
    """The rows of a truth file, each with the number of its line. Raises UsageError as `read_truth`."""
    if len(data) > MOST_BYTES:
        raise UsageError("the truth file is larger than 16 MiB", which="--truth", hint="leave out other columns")
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if reader.fieldnames is None or not set(columns) <= set(reader.fieldnames):
            raise UsageError(f"the truth file lacks a column of {', '.join(columns)}", which="--truth", hint="add it")
        rows = [(row, reader.line_num) for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise UsageError("the truth file is no CSV in UTF-8", which="--truth", hint="save it as CSV UTF-8") from None
    if not rows:
        raise UsageError("the truth file has no lines", which="--truth", hint=f"columns: {', '.join(columns)}")
    return rows


def findings(manifest: Manifest) -> Mapping[str, str]:
    """Code values by what a line may call them: the code's value or the finding's name."""
    entries = [entry for output in manifest.outputs for entry in output.classes]
    return {name: entry.code.value for entry in entries for name in (entry.name, entry.code.value)}


def _label(row: Mapping[str, str | None], line: int, known: Mapping[str, str]) -> Label:
    where = f"line {line}"
    try:
        uid = parse_uid((row["UID"] or "").strip(), "UID")
    except BadObject:
        raise UsageError("this is not a UID", which=where, hint="digits and dots") from None
    finding = known.get((row["finding"] or "").strip())
    if finding is None:
        raise UsageError("the package has no such finding", which=where, hint=f"one of: {', '.join(known)}")
    present = LABELS.get((row["label"] or "").strip().lower())
    if present is None:
        raise UsageError("this is no label", which=where, hint=f"one of: {', '.join(LABELS)}")
    return Label(uid, finding, present)


def measure(labels: Iterable[Label], results: Iterable[Result]) -> list[Measured]:
    """Each finding's numbers. A label with the UID of a study meets the results on all units of it: any is enough.

    Raises
    ------
    PackageError
        If not one label meets a result.
    """
    by_uid: dict[str, list[Result]] = {}
    for result in results:
        for uid in {result.unit, result.study_instance_uid}:
            by_uid.setdefault(uid, []).append(result)
    counts: dict[str, _Count] = {}
    for label in labels:
        count = counts.setdefault(label.finding, _Count())
        flags = [flag for each in by_uid.get(label.uid, ()) if (flag := each.presence(label.finding)) is not None]
        _add(count, label.present, flags)
    if not any(count.seen for count in counts.values()):
        raise PackageError(
            "there is no result of this package on any study of the truth file", which="--truth",
            hint="`edge models shadow` it, push these studies, and wait for `edge models compare`",
        )  # fmt: skip
    return [_measured(finding, count) for finding, count in counts.items()]


def _add(count: _Count, present: bool, flags: list[bool]) -> None:
    if not flags:
        count.missing += 1
        return
    flagged = any(flags)
    count.seen.append(flagged)
    if present:
        count.found += flagged
        count.missed += not flagged
    else:
        count.false += flagged
        count.clear += not flagged


def _measured(finding: str, count: _Count) -> Measured:
    positives, negatives = count.found + count.missed, count.false + count.clear
    return Measured(
        finding, positives, negatives, count.missing,
        share(count.found, positives), share(count.clear, negatives), share(sum(count.seen), len(count.seen)),
    )  # fmt: skip


def share(count: int, of: int) -> Share:
    """`count` of `of` with its Wilson score interval of 95 %."""
    if not of:
        return Share(0, 0, 0.0, 0.0, 0.0)
    value = count / of
    centre = (value + Z**2 / (2 * of)) / (1 + Z**2 / of)
    half = Z / (1 + Z**2 / of) * math.sqrt(value * (1 - value) / of + Z**2 / (4 * of**2))
    return Share(count, of, value, max(0.0, centre - half), min(1.0, centre + half))
