"""The kinds of object that a result becomes, and the UIDs of each.

A report's own UID belongs to its first form; every other object of the same result has a UID derived from it, so
that two classes, or two contents, never share one. Each kind has a series of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.records import UID, Result
from edge.report.identity import object_uid, series_uid


@dataclass(frozen=True, slots=True)
class Kind:
    """A SOP class of ours. `series_offset` is added to the report's Series Number (9001 and up)."""

    sop_class_uid: UID
    modality: str
    series_offset: int = 0
    date: str = "ContentDate"
    time: str = "ContentTime"


SR = Kind(UID("1.2.840.10008.5.1.4.1.1.88.34"), "SR")
"""Comprehensive 3D SR."""
OLD_SR = Kind(UID("1.2.840.10008.5.1.4.1.1.88.33"), "SR")
"""Comprehensive SR, for archives that do not take the newer class."""
SEG = Kind(UID("1.2.840.10008.5.1.4.1.1.66.4"), "SEG", 100)
PR = Kind(
    UID("1.2.840.10008.5.1.4.1.1.11.1"), "PR", 200, date="PresentationCreationDate", time="PresentationCreationTime"
)
"""Grayscale Softcopy Presentation State."""


KO = Kind(UID("1.2.840.10008.5.1.4.1.1.88.59"), "KO", 400)
"""Key Object Selection: a note that rejects results which were sent (IHE IOCM)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What one destination takes of a result."""

    sr: Kind = SR
    segmentation: bool = True
    presentation: bool = False


def series_of(result: Result, kind: Kind) -> UID:
    """The Series Instance UID of a result's objects of `kind`; both classes of report share one."""
    if kind.modality == "SR":
        return result.series_uid
    return series_uid(result.study_instance_uid, result.package.digest, kind.modality)


def report_uid_for(report: UID, form: Form, *, has_segments: bool) -> UID:
    """The UID of the SR of `form`: one that leaves out references, or has another class, is another object."""
    without_segments = has_segments and not form.segmentation
    if form.sr is SR and not without_segments:
        return report
    return object_uid(report, f"SR {form.sr.sop_class_uid}{' without segments' if without_segments else ''}")


def numbered_uid(report: UID, kind: Kind, number: int) -> UID:
    """The UID of the SEG or PR with this number, from 1."""
    return object_uid(report, f"{kind.modality} {number}")
