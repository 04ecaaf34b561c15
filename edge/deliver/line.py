"""The association with one destination: opened when there is something to send, kept while busy, released when idle."""

from __future__ import annotations

import time

from edge.deliver import retry
from edge.deliver.implicit import EXPLICIT_VR_LITTLE_ENDIAN, implicit
from edge.deliver.retry import Decision
from edge.errors import PeerFailure
from edge.part10 import Part10
from edge.scu import IMPLICIT_VR_LITTLE_ENDIAN, Peer, Scu

IDLE_SECONDS = 2.0
"""An association that had nothing to send for so long is released."""


class Line:
    """At most one association at a time with `peer`. Used by one thread; `cut` alone may come from another."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._scu: Scu | None = None
        self._pairs: dict[tuple[str, str], None] = {}
        self._last = 0.0

    def open(self, parts: Part10) -> bool:
        """Make sure that an association is open that was asked for `parts`; whether it was open before.

        Raises
        ------
        PeerFailure
            If the destination cannot be reached or takes no association.
        """
        wanted = (parts.sop_class_uid, parts.transfer_syntax_uid)
        if self._scu is not None and wanted in self._pairs:
            return True
        self.release()
        self._pairs[wanted] = None
        if parts.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
            self._pairs[parts.sop_class_uid, IMPLICIT_VR_LITTLE_ENDIAN] = None
        self._scu = Scu(self._peer, self._pairs)
        try:
            self._scu.open()
        except PeerFailure:
            self._scu = None
            raise
        self._last = time.monotonic()
        return False

    def store(self, parts: Part10) -> Decision:
        """Send `parts` on the open association; what its status means. Raises PeerFailure: `drop` it then."""
        scu = self._scu
        if scu is None:
            raise PeerFailure("aborted")
        syntax, data_set = str(parts.transfer_syntax_uid), parts.data_set
        if scu.refused(parts.sop_class_uid, syntax) and not scu.refused(parts.sop_class_uid, IMPLICIT_VR_LITTLE_ENDIAN):
            syntax, data_set = IMPLICIT_VR_LITTLE_ENDIAN, implicit(data_set)
        status = scu.store(parts.sop_class_uid, parts.sop_instance_uid, syntax, data_set)
        self._last = time.monotonic()
        return retry.of_status(status)

    def idle_left(self) -> float | None:
        """Seconds until the open association has been idle for too long; None when none is open."""
        return None if self._scu is None else max(0.0, self._last + IDLE_SECONDS - time.monotonic())

    def release(self) -> None:
        """End the association, if one is open."""
        scu, self._scu = self._scu, None
        if scu is not None:
            scu.release()

    def drop(self) -> None:
        """Forget an association that failed."""
        scu, self._scu = self._scu, None
        if scu is not None:
            scu.abort()

    def cut(self) -> None:
        """Make a wait for the peer end now (another thread may call this)."""
        scu = self._scu
        if scu is not None:
            scu.cut()
