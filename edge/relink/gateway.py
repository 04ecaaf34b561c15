"""The rule of the door: Success only when the PACS has the result, filed under the one right patient.

    read and check ─▶ is it there already? ─▶ whose study? ─▶ is all its evidence there? ─▶ merge ─▶ store ─▶ tell

There is no queue and nothing on disk: the box keeps what was not answered with Success. Being killed anywhere leaves
either nothing or a whole object in the PACS, and the next attempt finds which by asking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from edge.errors import BadObject, PeerFailure
from edge.relink import archive, result, subject
from edge.relink.also import Also
from edge.relink.archive import Archive
from edge.relink.merge import merge
from edge.relink.result import Result
from edge.relink.status import Refused, Status
from edge.relink.subject import Subject
from edge.scu import Peer

_REMEMBERED = 4096
_TURN_SECONDS = 50.0
_WARNING = 0xB
_LOG = logging.getLogger("edge.relink")


class Gateway:
    """Used by many associations at once; one result is handled by one of them at a time.

    Parameters
    ----------
    pacs : Peer
        Whom to ask and to store to.
    character_set : str
        Specific Character Set that the questions declare; empty for none.
    evidence_wait : float
        Seconds for which a referenced instance may be missing from a study that is there: images may still be
        arriving. After that it is a contradiction.
    iocm : bool
        Whether a box may take back its own results with a rejection note.
    also : Also
        What is done with a filed report besides.
    """

    def __init__(
        self,
        pacs: Peer,
        *,
        character_set: str = "ISO_IR 192",
        evidence_wait: float = 3600.0,
        iocm: bool = False,
        also: Also | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._pacs = pacs
        self._character_set = character_set
        self._patience = Patience(evidence_wait)
        self._iocm = iocm
        self._also = also or Also()
        self._turns = Turns()
        self._now = now

    def store(self, sop_class_uid: str, sop_instance_uid: str, data_set: bytes, box: str) -> int:
        """What becomes of a result that the box called `box` sent: the status to answer with. Never raises."""
        try:
            status, reason = self._store(sop_class_uid, sop_instance_uid, data_set)
        except Refused as refused:
            status, reason = int(refused.status), refused.reason
        except PeerFailure as failure:
            status, reason = int(Status.PACS_AWAY), f"pacs-{failure.reason}"
        except BadObject:
            status, reason = int(Status.PACS_AWAY), "pacs-answer-unreadable"
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the gateway, nor show a value
            status, reason = int(Status.PACS_AWAY), f"internal-{type(error).__name__}"
        level = logging.INFO if status == Status.SUCCESS else logging.WARNING
        _LOG.log(
            level, "result box=%s sop_instance_uid=%s status=%04X reason=%s", box, sop_instance_uid, status, reason
        )
        return status

    def _store(self, sop_class_uid: str, sop_instance_uid: str, data_set: bytes) -> tuple[int, str]:
        arrived = result.read(sop_class_uid, sop_instance_uid, data_set)
        if result.SOP_CLASSES[arrived.sop_class_uid] == "KO" and not self._iocm:
            raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "iocm-is-off")
        with (
            self._turns.of(arrived.sop_instance_uid),
            archive.calling(self._pacs, (arrived.sop_class_uid, *self._also.sop_classes), self._character_set) as pacs,
        ):
            there = pacs.holds(arrived)
            if there and not self._also:
                return Status.SUCCESS, "there-already"
            owner = subject.the_one(pacs.studies(arrived.study_instance_uid), arrived.study_instance_uid)
            status = Status.SUCCESS if there else self._file(arrived, owner, pacs)
            if status == Status.SUCCESS or status >> 12 == _WARNING:
                self._also.do(arrived, owner, pacs, self._now())
            return status, "pacs-status" if status else "there-already" if there else "stored"

    def _file(self, arrived: Result, owner: Subject, pacs: Archive) -> int:
        """Store the result under its subject; the PACS's status. Raises Refused, PeerFailure."""
        self._check_evidence(arrived, pacs)
        if not pacs.takes(arrived.sop_class_uid):
            raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "pacs-takes-no-such-class")
        return pacs.store(arrived, merge(arrived.data_set, owner, self._now()))

    def _check_evidence(self, arrived: Result, pacs: Archive) -> None:
        """Raises Refused unless the PACS holds every referenced instance in its series, as what it is said to be."""
        missing = False
        for series, instances in arrived.evidence.items():
            found = pacs.instances(arrived.study_instance_uid, series, sorted(instances))
            if any(found.get(uid, "") not in ("", sop_class) for uid, sop_class in instances.items()):
                raise Refused(Status.EVIDENCE, "evidence-of-another-class")
            missing = missing or len(found) < len(instances)
        if not missing:
            self._patience.forget(arrived.sop_instance_uid)
        elif self._patience.lasts(arrived.sop_instance_uid):
            raise Refused(Status.NOT_THERE_YET, "evidence-not-there-yet")
        else:
            raise Refused(Status.EVIDENCE, "evidence-missing")


class Patience:
    """Since when each of the last results has been waiting for evidence. In memory: a restart begins anew."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def lasts(self, uid: str) -> bool:
        """Whether `uid` may go on waiting."""
        now = self._clock()
        with self._lock:
            waited = now - self._since.setdefault(uid, now)
            if len(self._since) > _REMEMBERED:
                self._since.popitem(last=False)
        return waited < self._seconds

    def forget(self, uid: str) -> None:
        """Its evidence came."""
        with self._lock:
            self._since.pop(uid, None)


class Turns:
    """One at a time for each SOP Instance UID: a box that lost patience sends again while the first is being stored."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._freed = threading.Condition()

    @contextmanager
    def of(self, uid: str) -> Iterator[None]:
        """Hold the turn of `uid`. Raises Refused (A702) when another has it for too long."""
        with self._freed:
            if not self._freed.wait_for(lambda: uid not in self._busy, _TURN_SECONDS):
                raise Refused(Status.PACS_AWAY, "busy")
            self._busy.add(uid)
        try:
            yield
        finally:
            with self._freed:
                self._busy.discard(uid)
                self._freed.notify_all()
