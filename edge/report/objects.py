"""All objects of one result for one destination, in the order in which an archive needs them.

A report refers to its segmentations, so it goes last: a relink gateway, and any archive that checks, then finds what
it names. Each object is whole by itself; what belongs together carries the same tracking UIDs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.records import UID, Result
from edge.report.identity import BoxIdentity
from edge.report.kinds import OLD_SR, PR, SEG, SR, Form, Kind, numbered_uid, report_uid_for
from edge.report.presentation import build_presentations, shown_alike
from edge.report.segmentation import build_segmentations, layouts
from edge.report.sr import build_sr


@dataclass(frozen=True, slots=True)
class Built:
    """One encoded object: `blob` is a whole DICOM file."""

    kind: Kind
    sop_instance_uid: UID
    blob: bytes


def build(result: Result, *, box: BoxIdentity, form: Form) -> tuple[Built, ...]:
    """The objects of `result` in `form`, the report last. Raises as `build_sr` does."""
    return tuple(_build(result, box, form))


def _build(result: Result, box: BoxIdentity, form: Form) -> Iterator[Built]:
    if form.segmentation:
        for uid, blob in build_segmentations(result, box=box):
            yield Built(SEG, uid, blob)
    if form.presentation:
        for uid, blob in build_presentations(result, box=box):
            yield Built(PR, uid, blob)
    uid = report_uid_for(result.report_uid, form, has_segments=bool(layouts(result)))
    yield Built(form.sr, uid, build_sr(result, box=box, form=form))


def object_uids(result: Result) -> dict[UID, Kind]:
    """Every SOP Instance UID that an object of `result` may have, in whatever form, with its kind."""
    found: dict[UID, Kind] = {}
    has_segments = bool(layouts(result))
    for kind in (SR, OLD_SR):
        for segmentation in (True, False):
            form = Form(kind, segmentation)
            found[report_uid_for(result.report_uid, form, has_segments=has_segments)] = kind
    found |= {layout.uid: SEG for layout in layouts(result)}
    found |= {numbered_uid(result.report_uid, PR, number): PR for number in range(1, len(shown_alike(result)) + 1)}
    return found
