"""The PACS: one association for one result, on which it is asked and then given (PS3.4 C.4.1, B).

Every answer is bounded in number, bytes and time; whatever goes wrong is a PeerFailure, which the box sees as A702.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge.relink import elements
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, DataSet, element
from edge.relink.result import Result
from edge.relink.status import Refused
from edge.relink.subject import ATTRIBUTES, CHARACTER_SET
from edge.scu import Peer, Scu

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
FIND_SECONDS = 20.0
"""For all questions about one result together; with connecting and storing it stays below a box's own 60 s."""

_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_LEVEL, _STUDY, _SERIES, _SOP_INSTANCE, _SOP_CLASS = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
_MOST_STUDIES = 64
_MOST_INSTANCES = 20_000
_UIDS_AT_ONCE = 100


class Archive:
    """An open association with the PACS."""

    def __init__(self, scu: Scu, character_set: str) -> None:
        self._scu = scu
        self._character_set = character_set.encode()
        self._deadline = time.monotonic() + FIND_SECONDS

    def holds(self, result: Result) -> bool:
        """Whether the PACS has this very SOP Instance UID."""
        uid = result.sop_instance_uid
        return uid in self._instances(result.study_instance_uid, result.series_instance_uid, [uid], 2)

    def studies(self, study_instance_uid: str) -> list[DataSet]:
        """What the PACS says of the study: one answer for each patient that it files it under."""
        keys = {tag: element(tag, vr) for tag, vr in ATTRIBUTES.items()}
        if self._character_set:
            keys[CHARACTER_SET] = element(CHARACTER_SET, "CS", self._character_set)
        return self._find("STUDY", keys | {_STUDY: _uid(_STUDY, study_instance_uid)}, _MOST_STUDIES)

    def instances(self, study_instance_uid: str, series_instance_uid: str, wanted: Sequence[str]) -> dict[str, str]:
        """SOP Class UID (empty where the PACS does not say) by SOP Instance UID of those of `wanted` that it has.

        A PACS that takes no list of UIDs (PS3.4 C.2.2.2.2) is asked for the whole series.
        """
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _UIDS_AT_ONCE):
            some = wanted[start : start + _UIDS_AT_ONCE]
            found |= self._instances(study_instance_uid, series_instance_uid, some, 2 * len(some))
        if len(wanted) > 1 and not found.keys() >= set(wanted):
            found |= self._instances(study_instance_uid, series_instance_uid, [], _MOST_INSTANCES)
        return {uid: found[uid] for uid in wanted if uid in found}

    def store(self, result: Result, merged: DataSet) -> int:
        """Store `merged` under the result's UIDs; returns the PACS's status. Raises PeerFailure."""
        sop_class = result.sop_class_uid
        syntax = next((each for each in _SYNTAXES if not self._scu.refused(sop_class, each)), _SYNTAXES[0])
        return self._scu.store(sop_class, result.sop_instance_uid, syntax, elements.write(merged, syntax))

    def takes(self, sop_class_uid: str) -> bool:
        """Whether the PACS accepted to store this SOP class."""
        return any(not self._scu.refused(sop_class_uid, each) for each in _SYNTAXES)

    def _instances(self, study: str, series: str, uids: Sequence[str], most: int) -> dict[str, str]:
        keys = {
            _STUDY: _uid(_STUDY, study),
            _SERIES: _uid(_SERIES, series),
            _SOP_INSTANCE: _uid(_SOP_INSTANCE, "\\".join(uids)),
            _SOP_CLASS: _uid(_SOP_CLASS, ""),
        }
        return dict(_named(self._find("IMAGE", keys, most)))

    def _find(self, level: str, keys: DataSet, most: int) -> list[DataSet]:
        syntax = next((each for each in _SYNTAXES if not self._scu.refused(STUDY_ROOT_FIND, each)), _SYNTAXES[1])
        identifier = elements.write({**keys, _LEVEL: element(_LEVEL, "CS", level.encode())}, syntax)
        left = self._deadline - time.monotonic()
        answers = self._scu.find(STUDY_ROOT_FIND, syntax, identifier, most=most, seconds=left)
        return [elements.read(answer, syntax) for answer in answers]


@contextmanager
def calling(peer: Peer, sop_class_uids: Sequence[str], character_set: str) -> Iterator[Archive]:
    """An association with the PACS on which objects of these classes can be asked about and stored."""
    proposals = [(each, syntax) for each in (STUDY_ROOT_FIND, *sop_class_uids) for syntax in _SYNTAXES]
    scu = Scu(peer, proposals)
    scu.open()
    try:
        yield Archive(scu, character_set)
    except Refused:
        scu.release()
        raise
    except BaseException:
        scu.abort()
        raise
    scu.release()


def _named(answers: Sequence[DataSet]) -> Iterator[tuple[str, str]]:
    for answer in answers:
        uid = answer.get(_SOP_INSTANCE)
        if uid is not None:
            sop_class = answer.get(_SOP_CLASS)
            yield (
                uid.text().decode("ascii", "replace"),
                sop_class.text().decode("ascii", "replace") if sop_class else "",
            )


def _uid(tag: int, value: str) -> elements.Element:
    return element(tag, "UI", value.encode())
