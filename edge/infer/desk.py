"""Where a lane gets its next job: new instances are routed, complete units made ready, one job leased.

All three in one transaction, and one without a flush: what a power cut takes back of it is done again from the stored
object, which is durable. So an image costs two flushed commits in its life, its result and its delivery.
"""

from __future__ import annotations

import datetime
import logging
import threading
from dataclasses import dataclass

from edge.errors import SealError
from edge.infer.completion import Completion
from edge.infer.headers import Headers
from edge.infer.refusal import Refusal
from edge.infer.roster import Line
from edge.infer.routing import Decision, decide
from edge.journal import Journal, work
from edge.records import Instance, Job

_BATCH = 16

log = logging.getLogger("edge.infer")


@dataclass(frozen=True, slots=True)
class _Routed:
    """An instance with its decision, or with the reason why there can be none."""

    instance: Instance
    decision: Decision | None
    reason: str


class Desk:
    """Hands out jobs to the lanes, one lane at a time."""

    def __init__(
        self, journal: Journal, headers: Headers, lines: tuple[Line, ...], completion: Completion, lease_seconds: float
    ) -> None:
        self._journal = journal
        self._headers = headers
        self._lines = lines
        self._completion = completion
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()

    def take(self) -> Job | None:
        """The next job, or None when there is nothing to do now."""
        with self._lock:
            # headers are parsed before the transaction: the receive room waits for it
            routed = [self._look(instance) for instance in work.new_instances(self._journal, _BATCH)]
            with self._journal.transaction(flush=False):
                for each in routed:
                    self._record(each)
                for unit in self._completion.ready(dict(row) for row in work.open_units(self._journal)):
                    work.ready(self._journal, unit.unit, unit.reason, unit.priority)
                return work.lease(self._journal, self._lease_seconds)

    def _look(self, instance: Instance) -> _Routed:
        today = datetime.datetime.fromtimestamp(self._journal.clock(), datetime.UTC).date()
        try:
            dataset = self._headers.read(instance)
            decision = decide(instance, dataset, self._lines, today)
        except Refusal as refusal:
            return _Routed(instance, None, refusal.reason)
        except SealError:
            return _Routed(instance, None, "sealed-object-damaged")
        if decision.targets:
            self._headers.keep(instance, dataset)
        return _Routed(instance, decision, decision.reason)

    def _record(self, routed: _Routed) -> None:
        if routed.decision is None:
            work.quarantine_instance(self._journal, routed.instance.object_id, routed.reason)
            log.warning("instance %s quarantined: %s", routed.instance.sop_instance_uid, routed.reason)
        else:
            work.route(self._journal, routed.instance, list(routed.decision.targets), routed.reason)
