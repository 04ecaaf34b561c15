"""Where a lane gets its next job: new instances are routed, complete units made ready, one job leased.

All three in one transaction, and one without a flush: what a power cut takes back of it is done again from the stored
object, which is durable. So an image costs two flushed commits in its life, its result and its delivery.
"""

from __future__ import annotations

import datetime
import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import SealError
from edge.infer import rejection
from edge.infer.completion import Completion
from edge.infer.headers import Headers
from edge.infer.refusal import Refusal
from edge.infer.rejection import Note, Rejector
from edge.infer.roster import Line
from edge.infer.routing import Decision, decide
from edge.journal import Journal, work
from edge.operate.logs import frames
from edge.records import Instance, Job

_BATCH = 16
_CATCH_UP_SECONDS = 1.0
_AGAIN_SECONDS = 10.0
_MOST_WAITING = 1024
"""Instances that cannot be read now: so many are passed over, so that younger ones do not wait behind them."""

log = logging.getLogger("edge.infer")


@dataclass(frozen=True, slots=True)
class _Routed:
    """An instance with its decision, or with the reason why there can be none. `note`: it rejects others."""

    instance: Instance
    decision: Decision | None
    reason: str
    note: Note | None = None


class Desk:
    """Hands out jobs to the lanes, one lane at a time."""

    def __init__(
        self, journal: Journal, headers: Headers, lines: Callable[[], tuple[Line, ...]], completion: Completion,
        rejector: Rejector, lease_seconds: Callable[[], float],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._headers = headers
        self._lines = lines
        self._completion = completion
        self._rejector = rejector
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()
        self._again: dict[str, float] = {}

    def take(self) -> Job | None:
        """The next job, or None when there is nothing to do now."""
        with self._lock:
            until = time.monotonic() + _CATCH_UP_SECONDS
            # what is urgent among many new ones can only be leased once it has been looked at
            while len(new := self._new()) == _BATCH and time.monotonic() < until:
                routed = self._decided_on(new)
                with self._journal.transaction(flush=False):
                    for each in routed:
                        self._record(each)
            # headers are parsed before the transaction: the receive room waits for it
            routed = self._decided_on(new)
            with self._journal.transaction(flush=False):
                for each in routed:
                    self._record(each)
                for unit in self._completion.ready(dict(row) for row in work.open_units(self._journal)):
                    work.ready(self._journal, unit.unit, unit.reason, unit.priority)
                return work.lease(self._journal, self._lease_seconds())

    def _decided_on(self, instances: list[Instance]) -> list[_Routed]:
        routed = [each for instance in instances if (each := self._look(instance)) is not None]
        return self._reject(routed) if any(each.note for each in routed) else routed

    def _new(self) -> list[Instance]:
        """The oldest instances to be looked at, without those whose next time has not come."""
        now = time.monotonic()
        self._again = {object_id: due for object_id, due in self._again.items() if due > now}
        found = work.new_instances(self._journal, min(_BATCH + len(self._again), _MOST_WAITING))
        return [instance for instance in found if instance.object_id not in self._again][:_BATCH]

    def _look(self, instance: Instance) -> _Routed | None:
        """None when the instance cannot be read now: it stays STORED and its time comes again."""
        try:
            return self._decided(instance)
        except Refusal as refusal:
            return _Routed(instance, None, refusal.reason)
        except SealError:
            return _Routed(instance, None, "sealed-object-damaged")
        except (OSError, MemoryError) as error:
            self._later(instance, error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever one object does, the others must not wait behind it
            log.error("instance %s: %s\n%s", instance.sop_instance_uid, type(error).__name__, frames(error))
            return _Routed(instance, None, "internal")

    def _reject(self, routed: list[_Routed]) -> list[_Routed]:
        """Carry out the notes among `routed`, after the rest is recorded; what then is left to be recorded."""
        with self._journal.transaction(flush=False):
            for each in routed:
                if each.note is None:
                    self._record(each)
        return [done for each in routed if each.note and (done := self._carried_out(each, each.note)) is not None]

    def _carried_out(self, routed: _Routed, note: Note) -> _Routed | None:
        """None when it cannot be done now, e.g. a file not removed: the note stays STORED and its time comes again."""
        try:
            self._rejector.carry_out(note, routed.instance.object_id)
        except OSError as error:
            self._later(routed.instance, error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever one note does, the others must not wait behind it
            log.error("note %s: %s\n%s", routed.instance.sop_instance_uid, type(error).__name__, frames(error))
            self._later(routed.instance, error)
            return None
        return routed

    def _later(self, instance: Instance, error: Exception) -> None:
        self._again[instance.object_id] = time.monotonic() + _AGAIN_SECONDS
        name = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        log.warning("instance %s cannot be read now: %s", instance.sop_instance_uid, name)

    def _decided(self, instance: Instance) -> _Routed:
        today = datetime.datetime.fromtimestamp(self._journal.clock(), datetime.UTC).date()
        dataset = self._headers.read(instance)
        if note := rejection.read(instance, dataset):
            return _Routed(instance, Decision((), note.reason, ()), note.reason, note)
        decision = decide(instance, dataset, self._lines(), today)
        if decision.targets:
            self._headers.keep(instance, dataset)
        return _Routed(instance, decision, decision.reason)

    def _record(self, routed: _Routed) -> None:
        if routed.decision is None:
            work.quarantine_instance(self._journal, routed.instance.object_id, routed.reason)
            log.warning("instance %s quarantined: %s", routed.instance.sop_instance_uid, routed.reason)
        else:
            work.route(self._journal, routed.instance, list(routed.decision.targets), routed.reason)
