"""What a result says it has looked at: the instances of its study that the PACS must hold.

An SR lists them in its evidence sequences (PS3.3 C.17.2), SEG and PR in Referenced Series Sequence (C.12.4, C.11.11).
Whatever else in the object refers to an instance must be among these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.errors import BadObject
from edge.records import UID
from edge.relink.elements import DataSet, Element
from edge.relink.status import Refused, Status

Evidence = Mapping[UID, Mapping[UID, UID]]
"""SOP Class UID by SOP Instance UID, by Series Instance UID."""

_STUDY, _SERIES = 0x0020000D, 0x0020000E
_CURRENT_EVIDENCE, _OTHER_EVIDENCE = 0x0040A375, 0x0040A385
_REFERENCED_SERIES, _OTHER_STUDIES = 0x00081115, 0x00081200
_INSTANCES = (0x00081199, 0x0008114A, 0x00081140)
_REFERENCED_CLASS, _REFERENCED_INSTANCE = 0x00081150, 0x00081155
_PREDECESSORS = 0x0040A360


def collect(data_set: DataSet, study_instance_uid: UID) -> Evidence:
    """The instances that `data_set`, of the study given, has looked at.

    Raises
    ------
    Refused
        C102 if they are of another study, or if something refers to an instance that is not among them. An earlier
        report (Predecessor Documents Sequence) is not evidence: it may have been withdrawn since.
    BadObject
        If a reference has no UIDs.
    """
    evidence: dict[UID, dict[UID, UID]] = {}
    if _items(data_set, _OTHER_STUDIES):
        raise Refused(Status.EVIDENCE, "evidence-of-another-study")
    for tag in (_CURRENT_EVIDENCE, _OTHER_EVIDENCE):
        for study in _items(data_set, tag):
            if _uid(study, _STUDY) != study_instance_uid:
                raise Refused(Status.EVIDENCE, "evidence-of-another-study")
            _add_series(evidence, study)
    _add_series(evidence, data_set)
    known = {instance for instances in evidence.values() for instance in instances}
    if not known.issuperset(_referenced(data_set)):
        raise Refused(Status.EVIDENCE, "reference-without-evidence")
    return evidence


def _add_series(evidence: dict[UID, dict[UID, UID]], holder: DataSet) -> None:
    for series in _items(holder, _REFERENCED_SERIES):
        instances = evidence.setdefault(_uid(series, _SERIES), {})
        for tag in _INSTANCES:
            for item in _items(series, tag):
                instances[_uid(item, _REFERENCED_INSTANCE)] = _uid(item, _REFERENCED_CLASS)


def _referenced(data_set: DataSet) -> Iterator[UID]:
    """Every instance that anything in the object refers to, its predecessors excepted."""
    for each in data_set.values():
        if each.tag == _REFERENCED_INSTANCE:
            yield each.uid()
        elif each.tag != _PREDECESSORS:
            for item in each.items:
                yield from _referenced(item)


def _items(data_set: DataSet, tag: int) -> tuple[DataSet, ...]:
    found = data_set.get(tag)
    return found.items if found else ()


def _uid(data_set: DataSet, tag: int) -> UID:
    found: Element | None = data_set.get(tag)
    if found is None:
        raise BadObject("a reference is not whole", hint="look at the software that wrote it")
    return found.uid()
