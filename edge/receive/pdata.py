"""The established association as a row of presentation data values (PS3.8 9.3.5, annex E).

A PDV is announced by its length; its bytes are then read straight to where they belong. PDU borders are not seen
outside. Declared lengths are checked before anything is read, and every PDU has a deadline from its first byte.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from edge.config.receive import Receive
from edge.dimse import ABORT, DATA_TF, RELEASE_RQ
from edge.receive.wire import PeerGone, TooSlow, Wire

MAX_COMMAND = 1 << 14
_FLOOR_BYTES_PER_SECOND = 4096.0
_SCRATCH = 1 << 16
_PDU_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")
_KNOWN = range(1, 8)


class AbortReason(IntEnum):
    """Reasons of a service-provider abort (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class Violation(Exception):
    """The peer broke PS3.7 or PS3.8; the association is aborted.

    `reason` None is an abort by the service user (PS3.7), else by the service provider. `code` is what is counted.
    """

    def __init__(self, code: str, reason: AbortReason | None) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


class ReleaseRequested(Exception):
    """The peer asked for an orderly release."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One PDV: `length` bytes that are still to be read."""

    context: int
    command: bool
    last: bool
    length: int


class PData:
    """Reads PDVs from an established association; one thread.

    Parameters
    ----------
    wire : Wire
        Where they come from.
    bounds : Receive
        `max_pdu_bytes`, `max_object_mib`, `pdu_seconds`, `idle_seconds`.
    """

    def __init__(self, wire: Wire, bounds: Receive) -> None:
        self._wire = wire
        self._bounds = bounds
        self._left = 0
        self._deadline = 0.0
        self._scratch: memoryview | None = None

    def command(self) -> tuple[int, bytes]:
        """Wait for the next message: its presentation context and its command set, bounded.

        Raises
        ------
        ReleaseRequested, PeerGone, TooSlow, Stopping, Violation
        """
        fragment = self._next(self._bounds.idle_seconds)
        context, data = fragment.context, b""
        while True:
            if not fragment.command or fragment.context != context:
                raise Violation("command-expected", AbortReason.UNEXPECTED_PARAMETER)
            if len(data) + fragment.length > MAX_COMMAND:
                raise Violation("command-too-long", AbortReason.INVALID_PARAMETER)
            data += self._wire.read(fragment.length, self._deadline)
            if fragment.last:
                return context, data
            fragment = self._next(self._bounds.pdu_seconds)

    def data_set(self, context: int) -> Iterator[int]:
        """The lengths of the fragments of a data set; read each whole with `read_into` before asking for the next.

        The data set as a whole is bounded too, in length and by the time that its bytes may take.
        """
        limit = self._bounds.max_object_mib << 20
        begun = time.monotonic()
        total = 0
        while True:
            try:
                fragment = self._next(self._bounds.pdu_seconds)
            except ReleaseRequested:
                raise Violation("release-in-data-set", AbortReason.UNEXPECTED_PDU) from None
            if fragment.command or fragment.context != context:
                raise Violation("data-set-expected", AbortReason.UNEXPECTED_PARAMETER)
            total += fragment.length
            if total > limit:
                raise Violation("object-too-large", None)
            if time.monotonic() - begun > self._bounds.pdu_seconds + total / _FLOOR_BYTES_PER_SECOND:
                raise TooSlow
            if fragment.length:
                yield fragment.length
            if fragment.last:
                return

    def read_into(self, view: memoryview) -> None:
        """Fill `view` with bytes of the fragment announced last."""
        self._wire.read_into(view, self._deadline)

    def skip(self, length: int) -> None:
        """Read and forget `length` bytes of the fragment announced last."""
        if self._scratch is None:
            self._scratch = memoryview(bytearray(_SCRATCH))
        while length:
            count = min(length, _SCRATCH)
            self.read_into(self._scratch[:count])
            length -= count

    def drain(self, context: int) -> None:
        """Read and forget a data set."""
        for length in self.data_set(context):
            self.skip(length)

    def _next(self, seconds: float) -> Fragment:
        """The next PDV. `seconds` is how long the first byte of its PDU may take."""
        if not self._left:
            self._left = self._next_pdu(seconds)
        if self._left < _PDV_HEADER.size:
            raise Violation("pdv-header", AbortReason.INVALID_PARAMETER)
        length, context, control = _PDV_HEADER.unpack(self._wire.read(_PDV_HEADER.size, self._deadline))
        if length < 2 or length + 4 > self._left:
            raise Violation("pdv-length", AbortReason.INVALID_PARAMETER)
        self._left -= length + 4
        return Fragment(context, bool(control & 1), bool(control & 2), length - 2)

    def _next_pdu(self, seconds: float) -> int:
        """The length of the next P-DATA-TF; anything else ends the row."""
        self._wire.wait(time.monotonic() + seconds)
        self._deadline = time.monotonic() + self._bounds.pdu_seconds
        kind, length = _PDU_HEADER.unpack(self._wire.read(_PDU_HEADER.size, self._deadline))
        if kind == DATA_TF:
            if length > self._bounds.max_pdu_bytes:
                raise Violation("pdu-too-long", AbortReason.INVALID_PARAMETER)
            return int(length)
        if kind not in _KNOWN:
            raise Violation("pdu-unknown", AbortReason.UNRECOGNIZED_PDU)
        if kind not in (RELEASE_RQ, ABORT):
            raise Violation("pdu-unexpected", AbortReason.UNEXPECTED_PDU)
        if length != 4:
            raise Violation("pdu-length", AbortReason.INVALID_PARAMETER)
        self._wire.read(4, self._deadline)
        if kind == ABORT:
            raise PeerGone
        raise ReleaseRequested
