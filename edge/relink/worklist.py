"""The ordered worklist: what the boxes' reports in the PACS say, and about whom; urgent first, then the newest.

Nothing is kept for it. Each time the PACS is asked: studies with reports (C-FIND at STUDY level), the series that have
our numbers (SERIES), their reports (IMAGE, C-GET); what they say is read from the reports themselves.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.errors import BadObject, PeerFailure
from edge.records import UID
from edge.relink import elements
from edge.relink.archive import STUDY_ROOT_FIND
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, DataSet, Element, element
from edge.relink.person import Person, person_of
from edge.relink.result import SOP_CLASSES
from edge.relink.status import Refused
from edge.relink.subject import ATTRIBUTES, CHARACTER_SET, the_one
from edge.report.encode import part10
from edge.report.reader import ReportView, read_report
from edge.scu import Peer, Scu

STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
SECONDS = 60.0
"""For the whole list."""

_REPORTS = tuple(uid for uid, modality in SOP_CLASSES.items() if modality == "SR")
_OURS = range(9001, 9101)
"""Series Numbers of a box's reports."""
_LEVEL, _STUDY, _SERIES, _MODALITY, _MODALITIES = 0x00080052, 0x0020000D, 0x0020000E, 0x00080060, 0x00080061
_STUDY_DATE, _SERIES_NUMBER, _SOP_INSTANCE, _SOP_CLASS = 0x00080020, 0x00200011, 0x00080018, 0x00080016
_DATE, _TIME, _PREDECESSORS = 0x00080023, 0x00080033, 0x0040A360
_REFERENCED_SERIES, _REFERENCED_SOPS, _REFERENCED_INSTANCE = 0x00081115, 0x00081199, 0x00081155
_MOST_STUDIES, _MOST_SUBJECTS, _MOST_SERIES, _MOST_REPORTS = 2000, 64, 256, 2000


Got = tuple[str, bytes, DataSet]
"""SOP Class UID, encoded data set, and the same read."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One report that no later one replaces. `at`: local date and time of its filing, as DICOM writes them."""

    urgent: bool
    at: str
    person: Person
    report: ReportView


@dataclass(frozen=True, slots=True, repr=False)
class Worklist:
    """The entries in order; `left_out`: Study Instance UID and why, where not all can be told."""

    entries: tuple[Entry, ...]
    left_out: tuple[tuple[str, str], ...]


def read(pacs: Peer, character_set: str, since: datetime.date) -> Worklist:
    """The reports on studies of `since` and later. Raises PeerFailure, BadObject, Refused as the PACS's answers do."""
    proposals = [(each, EXPLICIT_VR_LITTLE_ENDIAN) for each in (STUDY_ROOT_FIND, STUDY_ROOT_GET, *_REPORTS)]
    with Scu(pacs, proposals, roles=_REPORTS) as scu:
        return _Reading(scu, character_set, since).all()


class _Reading:
    def __init__(self, scu: Scu, character_set: str, since: datetime.date) -> None:
        self._scu = scu
        self._character_set = character_set
        self._since = since
        self._deadline = time.monotonic() + SECONDS

    def all(self) -> Worklist:
        """Every study in turn."""
        entries: list[Entry] = []
        replaced: set[str] = set()
        left_out: list[tuple[str, str]] = []
        for uid in self._studies():
            series = self._series(uid)
            if not series:
                continue
            try:
                person = person_of(the_one(self._subjects(uid), uid))
            except Refused as refused:
                left_out.append((uid, refused.reason))
                continue
            for got, whole in (self._reports(uid, each) for each in series):
                left_out += [] if whole else [(uid, "not-all-retrieved")]
                for each in got:
                    replaced.update(_predecessors(each))
                    entries += _entries(each, person)
        current = [each for each in entries if each.report.sop_instance_uid not in replaced]
        current.sort(key=lambda each: each.at, reverse=True)
        return Worklist(tuple(sorted(current, key=lambda each: not each.urgent)), tuple(left_out))

    def _studies(self) -> list[str]:
        """The studies that have a report of anybody's."""
        keys = {
            _STUDY_DATE: element(_STUDY_DATE, "DA", f"{self._since:%Y%m%d}-".encode()),
            _MODALITIES: element(_MODALITIES, "CS", b"SR"),
            _STUDY: element(_STUDY, "UI"),
        }
        return sorted({_text(each, _STUDY) for each in self._find("STUDY", keys, _MOST_STUDIES)})

    def _subjects(self, study: str) -> list[DataSet]:
        """What the PACS says of the study, asked by its UID alone: another patient may have it without reports."""
        keys = {tag: element(tag, vr) for tag, vr in ATTRIBUTES.items()}
        keys[_STUDY] = element(_STUDY, "UI", study.encode())
        if self._character_set:
            keys[CHARACTER_SET] = element(CHARACTER_SET, "CS", self._character_set.encode())
        return self._find("STUDY", keys, _MOST_SUBJECTS)

    def _series(self, study: str) -> list[str]:
        """The series of `study` that have a number of ours."""
        keys = {
            _STUDY: element(_STUDY, "UI", study.encode()), _SERIES: element(_SERIES, "UI"),
            _MODALITY: element(_MODALITY, "CS", b"SR"), _SERIES_NUMBER: element(_SERIES_NUMBER, "IS"),
        }  # fmt: skip
        found = self._find("SERIES", keys, _MOST_SERIES)
        return [_text(each, _SERIES) for each in found if _number(_text(each, _SERIES_NUMBER)) in _OURS]

    def _reports(self, study: str, series: str) -> tuple[list[Got], bool]:
        """The reports of a series, and whether all of them came; what is of no report's class is not asked for."""
        keys = {_STUDY: element(_STUDY, "UI", study.encode()), _SERIES: element(_SERIES, "UI", series.encode())}
        wanted = {_SOP_INSTANCE: element(_SOP_INSTANCE, "UI"), _SOP_CLASS: element(_SOP_CLASS, "UI")}
        held = self._find("IMAGE", {**keys, **wanted}, _MOST_REPORTS)
        uids = [_text(each, _SOP_INSTANCE) for each in held if _text(each, _SOP_CLASS) in _REPORTS]
        if not uids:
            return [], len(held) == 0
        keys[_SOP_INSTANCE] = element(_SOP_INSTANCE, "UI", "\\".join(uids).encode())
        identifier = self._identifier("IMAGE", keys)
        found, whole = self._scu.get(
            STUDY_ROOT_GET, EXPLICIT_VR_LITTLE_ENDIAN, identifier, most=_MOST_REPORTS, seconds=self._left()
        )
        return [(sop_class, data, elements.read(data, EXPLICIT_VR_LITTLE_ENDIAN)) for sop_class, data in found], (
            whole and len(found) == len(uids)
        )

    def _find(self, level: str, keys: DataSet, most: int) -> list[DataSet]:
        identifier = self._identifier(level, keys)
        answers = self._scu.find(
            STUDY_ROOT_FIND, EXPLICIT_VR_LITTLE_ENDIAN, identifier, most=most, seconds=self._left()
        )
        return [elements.read(answer, EXPLICIT_VR_LITTLE_ENDIAN) for answer in answers]

    def _identifier(self, level: str, keys: DataSet) -> bytes:
        return elements.write({**keys, _LEVEL: element(_LEVEL, "CS", level.encode())}, EXPLICIT_VR_LITTLE_ENDIAN)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise PeerFailure("silent")
        return left


def _entries(got: Got, person: Person) -> Iterator[Entry]:
    """The report as an entry, if it is one of a box's."""
    sop_class, data, data_set = got
    try:
        view = read_report(part10(sop_class, UID(_text(data_set, _SOP_INSTANCE)), data))
    except BadObject:
        return
    if view.outcome:
        urgent = any(each.urgent and each.present for each in view.findings)
        yield Entry(urgent, f"{_text(data_set, _DATE)} {_text(data_set, _TIME)}"[:15], person, view)


def _predecessors(got: Got) -> Iterator[str]:
    """SOP Instance UIDs of the reports that this one replaces (PS3.3 C.17.2.3)."""
    for study in _items([got[2]], _PREDECESSORS):
        for item in _items(_items([study], _REFERENCED_SERIES), _REFERENCED_SOPS):
            yield _text(item, _REFERENCED_INSTANCE)


def _items(holders: Sequence[DataSet], tag: int) -> list[DataSet]:
    return [item for holder in holders for item in holder.get(tag, Element(tag, "SQ")).items]


def _text(data_set: DataSet, tag: int) -> str:
    return data_set.get(tag, Element(tag, "")).text().decode("ascii", "replace")


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0
