"""One destination's deliveries, one at a time, in a thread of its own: another that hangs cannot delay it.

Comes in: what the journal says is due here, asked anew each time, so an urgent result overtakes. Goes out: signed
files as C-STORE or STOW-RS requests, and in the journal how each ended. A kill between the peer's Success and the
journal's SENT means one more send of the same UID with the same bytes, which an archive keeps once.

A destination that takes no association, or whose web service is not there, is left alone for a while as a whole
(`peer-...`); an object that fails on an open association waits by itself, so it cannot hold up the others.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.deliver import outbox, retry
from edge.deliver.line import Line
from edge.deliver.outbox import Refused
from edge.deliver.pace import Pace
from edge.deliver.retry import Backoff, Decision
from edge.deliver.web import Web, WebLine
from edge.errors import JournalError, PeerFailure
from edge.journal import Journal, outgoing
from edge.operate.logs import frames
from edge.part10 import Part10
from edge.records import Delivery, DeliveryState
from edge.scu import Peer

_POLL_SECONDS = 1.0
_WENT_AWAY = frozenset({"aborted", "released"})
_log = logging.getLogger("edge.deliver")


@dataclass(frozen=True, slots=True)
class Way:
    """Where results lie, who signed them, whom to call, and how long to wait after a failure."""

    alias: str
    outbox: Path
    verify_key: bytes
    peer: Peer | Web
    backoff: Backoff = field(default_factory=Backoff)


class Sender:
    """Works for one destination until told to stop."""

    def __init__(self, journal: Journal, way: Way, pace: Pace | None = None) -> None:
        self._journal = journal
        self._pace = pace or Pace(0)
        self._way = way
        self._line = WebLine(way.peer) if isinstance(way.peer, Web) else Line(way.peer)
        self._bell = threading.Event()
        self._failures = 0
        self._closed_until = 0.0
        self._thread = threading.Thread(target=self._guarded, name=f"deliver-{way.alias}", daemon=True)
        self._stopping = threading.Event()
        self.failed = threading.Event()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """The journal may have something new."""
        self._bell.set()

    def stop(self) -> None:
        """Take nothing new; what is being sent may end."""
        self._stopping.set()
        self._bell.set()

    def join(self, seconds: float) -> bool:
        """Whether the thread ended within `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def cut(self) -> None:
        """End a wait for the peer: what was being sent stays PENDING."""
        self._line.cut()

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException:
            self.failed.set()
            raise
        finally:
            self._line.release()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            item = None if self._closed() else next(iter(outgoing.due(self._journal, self._way.alias, 1)), None)
            if item is None or not self._pace.allows(item.priority):
                self._rest()
            else:
                self._deliver(item)

    def _closed(self) -> float:
        return max(0.0, self._closed_until - time.monotonic())

    def _rest(self) -> None:
        """Wait for the bell; release the association when it has been idle for too long."""
        idle = self._line.idle_left()
        if idle == 0.0:
            self._line.release()
            idle = None
        self._bell.wait(_POLL_SECONDS if idle is None else min(_POLL_SECONDS, idle))

    def _deliver(self, item: Delivery) -> None:
        try:
            decision = self._attempt(item)
        except Refused as error:
            decision = Decision(DeliveryState.FAILED, error.reason)
        except PeerFailure as error:
            self._close(item, f"peer-{error.reason}")
            return
        except OSError:
            decision = Decision(DeliveryState.PENDING, "outbox-unreadable")
        except Exception as error:  # noqa: BLE001 - one bad object must not end the room
            self._line.drop()
            _log.error("internal error with %s (%s)\n%s", item.sop_instance_uid, type(error).__name__, frames(error))
            decision = Decision(DeliveryState.PENDING, "internal")
        if _is_closed(decision):
            self._close(item, decision.reason)
        else:
            self._record(item, decision)

    def _attempt(self, item: Delivery) -> Decision:
        """Read, verify and send. Raises PeerFailure only where the destination as a whole cannot be talked to."""
        parts = outbox.read(self._way.outbox, item, self._way.verify_key)
        if self._line.open(parts):
            try:
                return self._line.store(parts)
            except PeerFailure as error:
                self._line.drop()
                if error.reason not in _WENT_AWAY:
                    return retry.of_failure(error.reason)
            self._line.open(parts)  # it had gone away while idle
        decision = self._store(parts)
        if not _is_closed(decision):
            self._reachable()
        return decision

    def _store(self, parts: Part10) -> Decision:
        try:
            return self._line.store(parts)
        except PeerFailure as error:
            self._line.drop()
            return retry.of_failure(error.reason)

    def _reachable(self) -> None:
        """The destination is back: what waited only for that may go at once."""
        if self._failures:
            self._failures = 0
            outgoing.hurry(self._journal, self._way.alias)

    def _close(self, item: Delivery, reason: str) -> None:
        """The destination takes no association now: leave it alone for a while."""
        pause = self._way.backoff.seconds(self._failures)
        self._failures += 1
        self._closed_until = time.monotonic() + pause
        self._postpone(item, pause, reason)

    def _record(self, item: Delivery, decision: Decision) -> None:
        try:
            if decision.state is DeliveryState.SENT:
                self._pace.sent()
                outgoing.sent(self._journal, item, decision.reason)
            elif decision.state is DeliveryState.FAILED:
                outgoing.failed(self._journal, item, decision.reason)
            else:
                self._postpone(item, self._way.backoff.seconds(item.attempts), decision.reason)
                return
        except JournalError:
            return  # superseded or discarded while it was being sent, and refused: that stays as it is
        _log.info("%s %s to %s %s", decision.state, item.sop_instance_uid, self._way.alias, decision.reason)

    def _postpone(self, item: Delivery, pause: float, reason: str) -> None:
        outgoing.postponed(self._journal, item, self._journal.clock() + pause, reason)
        _log.info("PENDING %s to %s %s, again in %.0f s", item.sop_instance_uid, self._way.alias, reason, pause)


def _is_closed(decision: Decision) -> bool:
    """Whether the answer was about the destination and not about the object."""
    return decision.state is DeliveryState.PENDING and decision.reason.startswith("peer-")
