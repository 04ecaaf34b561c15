"""Shadows: a candidate looks at what the ACTIVE package looked at, when no job waits. It says so to the journal alone.

One at a time and only by a lane that has nothing to do, so the next job waits for one run of a shadow at most.
"""

from __future__ import annotations

import threading

from edge.infer import trace
from edge.infer.dispatcher import Dispatcher
from edge.infer.pipeline import Request
from edge.infer.roster import Roster
from edge.journal import Journal, shadows, work
from edge.records import UID


class Shadows:
    """Used by all lanes."""

    def __init__(self, journal: Journal, roster: Roster, dispatcher: Dispatcher, device_uid: UID) -> None:
        self._journal = journal
        self._roster = roster
        self._dispatcher = dispatcher
        self._device_uid = device_uid
        self._software = trace.software()
        self._one = threading.Lock()

    def run_one(self) -> bool:
        """Let a shadow look at one job; False when there is nothing to do, or another lane does it."""
        if not any(line.candidate for line in self._roster.lines) or not self._one.acquire(blocking=False):
            return False
        try:
            found = shadows.take(self._journal)
            if found is None:
                return False
            self._look(*found)
            return True
        finally:
            self._one.release()

    def _look(self, job_id: int, digest: str) -> None:
        job = work.job(self._journal, job_id)
        members = tuple(work.members(self._journal, job)) if job else ()
        with self._roster.hold(job.route if job else "") as line:
            candidate = line.candidate if line else None
            if job is None or not members or candidate is None or candidate.digest != digest:
                shadows.drop(self._journal, job_id, digest)
                return
            request = Request(
                job.scope, job.uid, job.study_instance_uid, job.revision, job.route, candidate, self._device_uid, None
            )
            seen, verdict = self._dispatcher.examine(request, members)
            told = trace.told(request, seen.members, verdict, outputs={}, versions=self._software)
        shadows.done(self._journal, job_id, digest, told)
