"""On which side of the patient a region lies: from Patient Orientation (PS3.3 C.7.6.1.1.1), or not at all.

Patient Orientation says where the rows and the columns of the *stored* image run to; regions are in stored pixels, so
nothing has to be turned. The middle is the image's own, which is not always the patient's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge.records import UID, Region, Source
from edge.report.words import Phrase

MIDDLE = 0.05
"""A region whose centre is nearer to the middle than this share of the image belongs to neither side."""

_OPPOSITE: Mapping[str, Phrase] = {"L": Phrase.RIGHT_SIDE, "R": Phrase.LEFT_SIDE}
_SAME: Mapping[str, Phrase] = {"L": Phrase.LEFT_SIDE, "R": Phrase.RIGHT_SIDE}


def side(regions: Iterable[Region], sources: Mapping[UID, Source]) -> Phrase:
    """The one side of all `regions`; both, where they are on both; not stated, where one of them cannot be told."""
    found = {_side(region, sources.get(region.source)) for region in regions}
    if Phrase.SIDE_NOT_STATED in found or not found:
        return Phrase.SIDE_NOT_STATED
    sides = found - {Phrase.IN_THE_MIDDLE}
    if len(sides) == 2:
        return Phrase.BOTH_SIDES
    return next(iter(sides), Phrase.IN_THE_MIDDLE)


def _side(region: Region, source: Source | None) -> Phrase:
    if source is None or source.patient_orientation is None or not source.rows or not source.columns:
        return Phrase.SIDE_NOT_STATED
    column, row = _centre(region)
    # the first letter is the main direction; a second one only says how far it is tilted
    for direction, at in zip(source.patient_orientation, (column / source.columns, row / source.rows), strict=True):
        if direction[0] in _SAME:
            if abs(at - 0.5) < MIDDLE:
                return Phrase.IN_THE_MIDDLE
            return _SAME[direction[0]] if at > 0.5 else _OPPOSITE[direction[0]]
    return Phrase.SIDE_NOT_STATED


def _centre(region: Region) -> tuple[float, float]:
    columns, rows = zip(*region.points, strict=True)
    return (min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2
