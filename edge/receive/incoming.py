"""One object on its way into the spool: sealed as it arrives, checked against its command, dropped at any trouble."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import BadObject
from edge.receive.head import Head, read_head
from edge.receive.negotiation import Context
from edge.receive.requests import Request, Status
from edge.receive.reserve import Reserve
from edge.records import UID, Instance
from edge.slots import StudyKey
from edge.vault import Buffers, Sealer

_CHECK_RESERVE_EVERY = 1 << 24


class Mismatch(Exception):
    """The data set is not the object that the command announced."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which association of which peer, and the data keys it has made, one for each study."""

    peer: str
    association: str
    sealer: Sealer
    keys: dict[str, StudyKey]

    def study_key(self, study_instance_uid: str) -> StudyKey:
        """This association's data key of the study."""
        key = self.keys.get(study_instance_uid)
        if key is None:
            key = self.keys[study_instance_uid] = self.sealer.study_key()
        return key


class Incoming:
    """Takes the bytes of one data set. `status` leaves SUCCESS at the first trouble; then nothing of it stays."""

    def __init__(self, origin: Origin, request: Request, context: Context, reserve: Reserve, memory: Buffers) -> None:
        self.status = Status.SUCCESS
        self._origin = origin
        self._request = request
        self._context = context
        self._reserve = reserve
        self._head: Head | None = None
        self._checked = 0
        self._writer = origin.sealer.writer(UID(context.transfer_syntax), self._key_of, memory)

    @property
    def is_findable(self) -> bool:
        """Whether the flushed file is found without its name."""
        return self._writer.is_findable

    def free(self) -> memoryview:
        """Where the next bytes go."""
        return self._writer.free()

    def advance(self, count: int) -> None:
        """`count` bytes were put into `free()`; never raises."""
        self._guard(lambda: self._advance(count))

    def finish(self) -> Instance | None:
        """The sealed, named and flushed object; None when `status` says why not."""
        if self.status is not Status.SUCCESS:
            return None
        return self._guard(lambda: self._writer.finish(self._record))

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()

    def _advance(self, count: int) -> None:
        self._writer.advance(count)
        if self._writer.size - self._checked >= _CHECK_RESERVE_EVERY:
            self._checked = self._writer.size
            if self._reserve.reached():
                raise OSError(errno.ENOSPC, "the reserve is reached")

    def _guard(self, step: Callable[[], Instance | None]) -> Instance | None:
        try:
            return step()
        except OSError:
            self.status = Status.OUT_OF_RESOURCES
        except BadObject:
            self.status = Status.CANNOT_UNDERSTAND
        except Mismatch:
            self.status = Status.DATA_SET_MISMATCH
        self._writer.abort()
        return None

    def _key_of(self, first: memoryview) -> StudyKey:
        """Called once, with the first bytes: is this what was announced, and whose key does it get?"""
        self._head = head = read_head(first, self._context.transfer_syntax)
        if (head.sop_class_uid, head.sop_instance_uid) != (self._request.sop_class_uid, self._request.sop_instance_uid):
            raise Mismatch
        return self._origin.study_key(head.study_instance_uid)

    def _record(self, object_id: str, tag: str, size: int, slot: int) -> Instance:
        """The object as the journal and the sealed file's own record know it."""
        head = self._head
        assert head is not None
        return Instance(
            object_id=object_id,
            sop_instance_uid=UID(head.sop_instance_uid),
            sop_class_uid=UID(head.sop_class_uid),
            study_instance_uid=head.study_instance_uid,
            series_instance_uid=head.series_instance_uid,
            transfer_syntax_uid=UID(self._context.transfer_syntax),
            modality=head.modality,
            peer=self._origin.peer,
            association=self._origin.association,
            tag=tag,
            size=size,
            slot=slot,
            received_at=time.time(),
        )
