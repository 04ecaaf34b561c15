"""One association from its first byte to its last: the acceptor's half of PS3.8 section 9.2, as one blocking thread.

Sta2 (waiting for A-ASSOCIATE-RQ) is `_establish`, Sta6 (data transfer) is `_serve`, Sta13 (waiting for the peer to
close) is `_end`. Whatever the peer does ends in the answer that PS3.8 names, is counted, and touches no other
association.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import time
import uuid
from dataclasses import dataclass

from edge.config.receive import Receive
from edge.dimse import ABORT, APPLICATION_CONTEXT, ASSOCIATE_RQ, RELEASE_RP, pdu
from edge.receive import negotiation
from edge.receive.admission import Address, Admission
from edge.receive.counters import Counters
from edge.receive.intake import Intake, Visit
from edge.receive.negotiation import MAX_REQUEST, Context, Malformed
from edge.receive.pdata import AbortReason, PData, ReleaseRequested, Violation
from edge.receive.requests import C_ECHO, C_STORE, Request, Status, read_request, write_response
from edge.receive.syntaxes import VERIFICATION, Offer
from edge.receive.wire import PeerGone, Stopping, TooSlow, Wire

LINGER_SECONDS = 2.0
"""How long a peer may take to close after our last word (ARTIM of Sta13), and a refused one to ask."""

_USER, _PROVIDER = 0, 2
_LOG = logging.getLogger("edge.receive")


@dataclass(frozen=True, slots=True)
class House:
    """What every association needs. `stop` is a descriptor that becomes readable when the room ends."""

    bounds: Receive
    admission: Admission
    offer: Offer
    intake: Intake
    counters: Counters
    tls: ssl.SSLContext | None
    stop: int


class Rejected(Exception):
    """An A-ASSOCIATE-RJ with (result, source, reason) of PS3.8 table 9-21; `code` is what is counted."""

    def __init__(self, code: str, result: int, source: int, reason: int) -> None:
        super().__init__(code)
        self.code = code
        self.pdu = negotiation.write_reject(result, source, reason)


class Association:
    """One connection.

    Parameters
    ----------
    refusal : Rejected, optional
        Already decided: the request is read only so that it can be answered, and within `LINGER_SECONDS`.
    """

    def __init__(
        self, house: House, connection: socket.socket, address: Address | None, refusal: Rejected | None = None
    ) -> None:
        self._house = house
        self._wire = Wire(connection, house.stop)
        self._address = address
        self._refusal = refusal
        self._peer = ""
        self._max_length = 0

    def run(self) -> None:
        """Serve the peer until either side ends; never raises."""
        try:
            self._serve(self._establish())
        except Rejected as rejected:
            self._end(rejected.pdu, rejected.code)
        except Malformed:
            self._end(_abort(_USER, 0), "request-malformed")
        except Violation as broken:
            self._end(_abort(_USER, 0) if broken.reason is None else _abort(_PROVIDER, broken.reason), broken.code)
        except TooSlow:
            self._end(_abort(_PROVIDER, 0) if self._peer else b"", "too-slow")
        except Stopping:
            self._end(_abort(_USER, 0), "")
        except PeerGone:
            self._house.counters.add("peer-gone")
        except Exception as error:  # noqa: BLE001 - a fault of ours must end this association only
            _LOG.error("association failed peer=%s error=%s", self._peer, type(error).__name__)
            self._end(_abort(_PROVIDER, 0), "internal")
        finally:
            self._wire.close()

    def _establish(self) -> dict[int, Context]:
        """Sta2: read, judge and answer the request; the accepted presentation contexts by id."""
        seconds = LINGER_SECONDS if self._refusal else self._house.bounds.artim_seconds
        certificate = b""
        if self._house.tls is not None:
            certificate = self._wire.handshake(self._house.tls, time.monotonic() + seconds)
        request = self._read_request(time.monotonic() + seconds)
        self._judge(request, certificate)
        accepted, results = negotiation.answer(request, self._house.offer)
        self._max_length = request.max_length
        self._send(negotiation.write_accept(request, accepted, results, self._house.bounds.max_pdu_bytes))
        return accepted

    def _read_request(self, deadline: float) -> negotiation.Request:
        kind, length = struct.unpack(">BxL", self._wire.read(6, deadline))
        if kind == ABORT:
            raise PeerGone
        if kind != ASSOCIATE_RQ or length > MAX_REQUEST:
            raise Malformed
        return negotiation.read_request(self._wire.read(length, deadline))

    def _judge(self, request: negotiation.Request, certificate: bytes) -> None:
        """Whether this caller may in. Raises Rejected."""
        if self._refusal:
            raise self._refusal
        if not request.version & 1:
            raise Rejected("protocol-version", 1, 2, 2)
        if request.application_context != APPLICATION_CONTEXT:
            raise Rejected("application-context", 1, 1, 2)
        admission = self._house.admission
        if not admission.is_called(request.called_ae_title):
            raise Rejected("called-ae-not-recognized", 1, 1, 7)
        peer = admission.peer(request.calling_ae_title, self._address, certificate)
        if peer is None:
            raise unknown_caller()
        self._peer = peer.alias

    def _serve(self, contexts: dict[int, Context]) -> None:
        """Sta6: answer requests until the peer releases the association."""
        association = uuid.uuid4().hex
        visit = Visit(self._house.intake, self._peer, association)
        pdata = PData(self._wire, self._house.bounds)
        _LOG.info("association opened peer=%s association=%s contexts=%d", self._peer, association, len(contexts))
        self._house.counters.add("associations")
        try:
            while True:
                identifier, command = pdata.command()
                if identifier not in contexts:
                    raise Violation("context-unknown", AbortReason.INVALID_PARAMETER)
                self._answer(command, contexts[identifier], pdata, visit)
        except ReleaseRequested:
            pass
        finally:
            visit.close()
            _LOG.info("association closed peer=%s association=%s stored=%d", self._peer, association, visit.stored)
        self._end(pdu(RELEASE_RP, bytes(4)), "")

    def _answer(self, command: bytes, context: Context, pdata: PData, visit: Visit) -> None:
        request = read_request(command)
        if request is None:
            return
        status = self._perform(request, context, pdata, visit)
        if status is not Status.SUCCESS:
            self._house.counters.refuse(f"status-{status:04x}", self._peer)
            _LOG.warning(
                "request refused peer=%s sop_instance_uid=%s status=%04X", self._peer, request.sop_instance_uid, status
            )
        self._send(write_response(request, status, context.id, self._max_length))

    def _perform(self, request: Request, context: Context, pdata: PData, visit: Visit) -> Status:
        verification = context.abstract_syntax == VERIFICATION
        if request.field == C_STORE and not verification:
            return visit.store(request, context, pdata) if request.has_data_set else Status.CANNOT_UNDERSTAND
        if request.has_data_set:
            pdata.drain(context.id)
        return Status.SUCCESS if request.field == C_ECHO and verification else Status.UNRECOGNIZED_OPERATION

    def _send(self, data: bytes) -> None:
        self._wire.send(data, time.monotonic() + self._house.bounds.pdu_seconds)

    def _end(self, last_word: bytes, code: str) -> None:
        """Sta13: our last PDU, then nothing more is heard; the peer closes, or we do.

        Without a last word (ARTIM in Sta2, PS3.8 AA-2) the connection is simply closed.
        """
        if code:
            self._house.counters.refuse(code, self._peer)
            _LOG.warning("association refused or aborted peer=%s reason=%s", self._peer or "unknown", code)
        if not last_word:
            return
        deadline = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(PeerGone, TooSlow):
            self._wire.send(last_word, deadline)
            self._wire.discard(deadline)


def unknown_caller() -> Rejected:
    """Permanent: calling AE title not recognized; also for a known title from another address or certificate."""
    return Rejected("calling-ae-not-recognized", 1, 1, 3)


def local_limit() -> Rejected:
    """Transient: local limit exceeded."""
    return Rejected("local-limit", 2, 3, 2)


def _abort(source: int, reason: int) -> bytes:
    """An A-ABORT (PS3.8 table 9-26)."""
    return pdu(ABORT, bytes((0, 0, source, reason)))
