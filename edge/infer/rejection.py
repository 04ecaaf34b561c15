"""An inbound rejection note (IHE IOCM): its jobs stop, its images are erased, results not yet sent are withdrawn.

Comes in: a Key Object Selection whose title is one of four (PS3.16 CID 7011). It is received and sealed like any
object. Until all of it is done the note stays STORED, so that what a crash interrupts is done again.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydicom.dataset import Dataset

from edge.errors import BadObject
from edge.infer.header import values
from edge.infer.headers import Headers
from edge.infer.refusal import Refusal
from edge.infer.takeback import Takebacks
from edge.journal import Journal, rejecting
from edge.records import UID, Instance, parse_uid
from edge.report.kinds import KO
from edge.report.rejection import TITLES
from edge.vault import Opener

REASONS: Mapping[str, str] = MappingProxyType({code.value: reason for reason, code in TITLES.items()})
"""Of the journal, by Code Value of the title."""

log = logging.getLogger("edge.infer")


@dataclass(frozen=True, slots=True)
class Note:
    """What a rejection note rejects: SOP Instance UIDs by study, and why, as a reason of the journal."""

    reason: str
    instances: Mapping[UID, frozenset[UID]]


def read(instance: Instance, dataset: Dataset) -> Note | None:
    """The note that `dataset` is; None for any other object.

    Raises
    ------
    Refusal
        `unreadable`: it is one, but what it refers to cannot be read.
    """
    if instance.sop_class_uid != KO.sop_class_uid:
        return None
    title = next(iter(values(dataset, "ConceptNameCodeSequence")), "")
    if title not in REASONS or _scheme(dataset) != "DCM":
        return None
    found: defaultdict[UID, set[UID]] = defaultdict(set)
    try:
        for study, uid in _references(dataset):
            found[study].add(uid)
    except (AttributeError, TypeError, ValueError, LookupError, RecursionError, BadObject):
        raise Refusal("unreadable", "what the rejection note refers to cannot be read") from None
    return Note(REASONS[title], MappingProxyType({study: frozenset(uids) for study, uids in found.items()}))


class Rejector:
    """Carries notes out, one at a time."""

    def __init__(
        self, spool: Path, outbox: Path, journal: Journal, opener: Opener, headers: Headers, takebacks: Takebacks
    ) -> None:
        self._takebacks = takebacks
        self._spool = spool
        self._outbox = outbox
        self._journal = journal
        self._opener = opener
        self._headers = headers

    def carry_out(self, note: Note, object_id: str) -> None:
        """Stop, erase, withdraw whatever of it came before the note, the object `object_id`. Safe to be done again."""
        for study, uids in note.instances.items():
            rejected = rejecting.find(self._journal, study, uids, object_id)
            if rejected:
                self._reject(study, rejected, note.reason)

    def _reject(self, study: UID, rejected: tuple[rejecting.Rejected, ...], reason: str) -> None:
        stopped = rejecting.stop(self._journal, study, rejected, reason)
        for report in stopped.reports:
            (self._outbox / f"{report}.dcm").unlink(missing_ok=True)
        self._takebacks.send(study, rejected, reason)
        self._opener.slots.erase(rejecting.spare_slots(self._journal, rejected))
        for each in rejected:
            (self._spool / each.object_id).unlink(missing_ok=True)
            self._headers.forget(each.object_id)
        rejecting.gone(self._journal, study, rejected, reason)
        log.warning(
            "study %s: %s, %d objects erased, %d jobs stopped, %d deliveries withdrawn",
            study, reason, len(rejected), stopped.jobs, stopped.deliveries,
        )  # fmt: skip


def _scheme(dataset: Dataset) -> str:
    try:
        return str(dataset.ConceptNameCodeSequence[0].CodingSchemeDesignator).strip()
    except (AttributeError, TypeError, ValueError, LookupError):
        return ""


def _references(dataset: Dataset) -> Iterator[tuple[UID, UID]]:
    """Study and SOP Instance UID of everything that the note selects (PS3.3 C.17.6.2)."""
    for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or ():
        study_uid = parse_uid(str(study.StudyInstanceUID))
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield study_uid, parse_uid(str(item.ReferencedSOPInstanceUID))
