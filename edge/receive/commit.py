"""One flush for many senders: the durable step between a sealed file and Success.

Whoever comes first leads: it flushes and records everything that waits, the others find their result there. A lone
sender leads its own group of one, so nothing is handed from thread to thread.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal import Journal, intake
from edge.journal.intake import Stored
from edge.records import Instance
from edge.slots import Slots


@dataclass(slots=True)
class _Ticket:
    instance: Instance
    findable: bool
    done: bool = False
    stored: Stored | None = None
    error: BaseException | None = field(default=None)


class GroupCommit:
    """Joins the commits of all associations.

    Parameters
    ----------
    act : callable
        Makes a sequence of instances durable, together, and says what became of each; all or nothing. The second
        argument is whether their names in the folder must be flushed too.
    """

    def __init__(self, act: Callable[[Sequence[Instance], bool], Sequence[Stored]]) -> None:
        self._act = act
        self._waiting: deque[_Ticket] = deque()
        self._lock = threading.Lock()

    def join(self, instance: Instance, *, findable: bool) -> Stored:
        """Return when `instance` is durable. Raises what `act` raised for its group.

        `findable` says that its flushed file is found without its name.
        """
        ticket = _Ticket(instance, findable)
        self._waiting.append(ticket)
        with self._lock:
            if not ticket.done:
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.stored is not None
        return ticket.stored

    def _lead(self) -> None:
        group = []
        while self._waiting:
            group.append(self._waiting.popleft())
        names = not all(ticket.findable for ticket in group)
        try:
            for ticket, stored in zip(group, self._act([each.instance for each in group], names), strict=True):
                ticket.stored = stored
        except Exception as error:  # noqa: BLE001 - every member of the group must learn of it
            for ticket in group:
                ticket.error = error
        for ticket in group:
            ticket.done = True


class Durable:
    """What a group needs before Success: the key slots, the names in the spool, the journal's rows.

    `ring` tells infer that there is something new.
    """

    def __init__(
        self, spool: Path, slots: Slots, journal: Journal, ring: Callable[[], None], *, refuse_conflicts: bool
    ) -> None:
        self._folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
        self._slots = slots
        self._journal = journal
        self._ring = ring
        self._refuse_conflicts = refuse_conflicts

    def __call__(self, instances: Sequence[Instance], names: bool) -> list[Stored]:
        """Flush and record. Raises OSError or DatabaseError; then nothing is recorded."""
        self._slots.flush()
        if names:
            os.fsync(self._folder)
        stored = intake.store(self._journal, instances, refuse_conflicts=self._refuse_conflicts)
        self._ring()
        return stored

    def close(self) -> None:
        os.close(self._folder)
