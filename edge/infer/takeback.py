"""Taking back what was sent: a rejection note of our own to each destination that has results on rejected images.

Only where a destination says `iocm = true`. The note passes the egress gate, is signed, and goes the way of a result;
a relink gateway finds the patient for it. Its UID follows from what it rejects, so a repeated one is the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection

from edge import crypto
from edge.config import Settings
from edge.errors import GateHit
from edge.infer import egress, outbox
from edge.journal import Journal, rejecting, work
from edge.journal.rejecting import Rejected, Sent
from edge.journal.work import Outgoing
from edge.records import UID
from edge.report.identity import BoxIdentity, series_uid
from edge.report.kinds import KO, PR, SEG
from edge.report.rejection import TITLES, Note, build_note
from edge.report.skeleton import Referenced
from edge.statement import NO_SIGNATURE, result_statement

log = logging.getLogger("edge.infer")


class Takebacks:
    """Writes the notes of one box; used by one thread at a time."""

    def __init__(self, settings: Settings, journal: Journal, box: BoxIdentity, sign_key: bytes) -> None:
        self._outbox = settings.outbox
        self._journal = journal
        self._box = box
        self._sign_key = sign_key
        self._aliases = sorted(alias for alias, each in settings.destinations.items() if each.iocm)

    def send(self, study: UID, rejected: Collection[Rejected], reason: str) -> None:
        """Queue a note for each destination that was sent something on `rejected`, and wants one."""
        for alias in self._aliases:
            sent = rejecting.sent(self._journal, study, rejected, alias)
            if sent:
                note = Note(study, TITLES[reason], tuple(_referenced(study, each) for each in sent))
                self._queue(note, alias, sent[-1].job)

    def _queue(self, note: Note, alias: str, number: int) -> None:
        job = work.job(self._journal, number)
        assert job is not None
        uid, blob, held = note.sop_instance_uid, build_note(note, self._box), ""
        digest = hashlib.sha256(blob).hexdigest()
        try:
            egress.release_note(blob, note=note, box=self._box)
            outbox.write(self._outbox, uid, blob)
        except GateHit as hit:
            log.error("rejection note %s held: %s", uid, hit.reason)
            held = hit.reason
        statement = result_statement(uid, alias, digest)
        signature = NO_SIGNATURE if held else crypto.sign(self._sign_key, statement).hex()
        with self._journal.transaction():
            work.queue(self._journal, job, Outgoing(uid, KO.sop_class_uid, alias, digest, signature, held))


def _referenced(study: UID, sent: Sent) -> Referenced:
    """A sent object with its series, which follows from the package that made it."""
    kind = next((each for each in (SEG, PR) if each.sop_class_uid == sent.sop_class_uid), None)
    series = series_uid(study, sent.package_digest, kind.modality if kind else "SR")
    return Referenced(UID(sent.sop_class_uid), UID(sent.sop_instance_uid), series, study)
