"""A PHI-free result and its subject become the object that the PACS files: the same findings, now somebody's.

The result's own text is ASCII, which every character set of DICOM begins with: so the subject's values go in as the
bytes that the PACS gave, under the PACS's Specific Character Set, and nothing is transcoded or lost.
"""

from __future__ import annotations

from datetime import datetime

from edge.relink.elements import DataSet, element
from edge.relink.subject import CHARACTER_SET, Subject

DEIDENTIFICATION = (
    0x00120062,  # PatientIdentityRemoved
    0x00120063,  # DeidentificationMethod
    0x00120064,  # DeidentificationMethodCodeSequence
    0x00280303,  # LongitudinalTemporalInformationModified
)
"""Dropped: some archives would stamp the real patient's record with them."""

_DATES = (0x00080023, 0x00700082)  # ContentDate, PresentationCreationDate
_TIMES = (0x00080033, 0x00700083)


def merge(result: DataSet, subject: Subject, now: datetime) -> DataSet:
    """`result` with its subject's patient and study, without the de-identification tags, dated `now` (local time)."""
    merged = {tag: each for tag, each in result.items() if tag not in DEIDENTIFICATION and tag != CHARACTER_SET}
    merged.update(subject.data_set)
    for tags, vr, form in ((_DATES, "DA", "%Y%m%d"), (_TIMES, "TM", "%H%M%S")):
        for tag in tags:
            if tag in merged:
                merged[tag] = element(tag, vr, now.strftime(form).encode())
    return merged
