"""From the bytes of a C-STORE to Success, or to a status that says why not.

The data set goes from the socket into the sealer's own memory, chunk by chunk; it is never whole in memory and never in
clear on disk. Success only after the group commit; every other end leaves nothing behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal import Journal, intake
from edge.journal.database import DatabaseError
from edge.journal.intake import Stored
from edge.receive.commit import GroupCommit
from edge.receive.incoming import Incoming, Origin
from edge.receive.negotiation import Context
from edge.receive.pdata import PData
from edge.receive.requests import Request, Status
from edge.receive.reserve import Reserve
from edge.records import Instance
from edge.vault import Buffers, Sealer

_SPARE_BUFFERS = 16


@dataclass(frozen=True, slots=True)
class Intake:
    """What all associations share. `ring` tells infer that the journal changed."""

    spool: Path
    sealer: Sealer
    journal: Journal
    commit: GroupCommit
    reserve: Reserve
    ring: Callable[[], None]
    spare: deque[Buffers] = field(default_factory=lambda: deque(maxlen=_SPARE_BUFFERS))

    def buffers(self) -> Buffers:
        """Memory to seal one object with; append it to `spare` afterwards."""
        try:
            return self.spare.pop()
        except IndexError:
            return Buffers()


class Visit:
    """One association's storing; its data keys are forgotten with it.

    Parameters
    ----------
    peer, association : str
        The configured alias, and 32 hexadecimal digits.
    """

    def __init__(self, shared: Intake, peer: str, association: str) -> None:
        self.stored = 0
        self._shared = shared
        self._origin = Origin(peer, association, shared.sealer, {})

    def store(self, request: Request, context: Context, pdata: PData) -> Status:
        """Take the data set that follows and say what became of it. What the wire raises leaves nothing behind."""
        refusal = self._refusal(request, context)
        if refusal is not None:
            pdata.drain(context.id)
            return refusal
        buffers = self._shared.buffers()
        try:
            incoming = Incoming(self._origin, request, context, self._shared.reserve, buffers)
            return self._receive(incoming, pdata, context.id)
        finally:
            self._shared.spare.append(buffers)

    def close(self) -> None:
        """The association ended: what waited for it may become ready."""
        if self.stored:
            intake.close_association(self._shared.journal, self._origin.association)
            self._shared.ring()

    def _refusal(self, request: Request, context: Context) -> Status | None:
        if request.sop_class_uid != context.abstract_syntax:
            return Status.SOP_CLASS_NOT_SUPPORTED
        if request.sop_instance_uid is None:
            return Status.INVALID_SOP_INSTANCE
        return Status.OUT_OF_RESOURCES if self._shared.reserve.reached() else None

    def _receive(self, incoming: Incoming, pdata: PData, context: int) -> Status:
        try:
            for length in pdata.data_set(context):
                rest = length
                while rest and incoming.status is Status.SUCCESS:
                    room = incoming.free()[:rest]
                    pdata.read_into(room)
                    incoming.advance(len(room))
                    rest -= len(room)
                pdata.skip(rest)
            instance = incoming.finish()
        except BaseException:
            incoming.abort()
            raise
        return self._commit(instance, findable=incoming.is_findable) if instance else incoming.status

    def _commit(self, instance: Instance, *, findable: bool) -> Status:
        path = self._shared.spool / instance.object_id
        try:
            stored = self._shared.commit.join(instance, findable=findable)
        except (OSError, DatabaseError):
            path.unlink(missing_ok=True)
            return Status.OUT_OF_RESOURCES
        if stored in (Stored.DUPLICATE, Stored.CONFLICT):
            path.unlink(missing_ok=True)
            return Status.SUCCESS if stored is Stored.DUPLICATE else Status.PROCESSING_FAILURE
        self.stored += 1
        return Status.SUCCESS
