"""One association with a box: the acceptor's half of PS3.8 9.2 for C-ECHO and C-STORE, as one blocking thread.

Every wait has a deadline, every length a bound; what breaks the standard is aborted. Nothing but statuses goes back.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge import dimse
from edge.dimse import Context, Message, Stream
from edge.errors import BadObject, PeerFailure
from edge.records import parse_uid
from edge.relink.door import Address, Caller, Door
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.relink.result import SOP_CLASSES
from edge.relink.status import Status

VERIFICATION = "1.2.840.10008.1.1"
ARTIM_SECONDS = 10.0
PDU_SECONDS = 30.0
MESSAGE_SECONDS = 300.0
LINGER_SECONDS = 1.0

_C_STORE, _C_ECHO, _C_CANCEL = 0x0001, 0x0030, 0x0FFF
_RESPONSE = 0x8000
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 0, 3, 4
_USER, _PROVIDER = 0, 2
_VERIFICATION_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_LOG = logging.getLogger("edge.relink")

Store = Callable[[str, str, bytes, str], int]
"""(SOP Class UID, SOP Instance UID, data set, alias of the box) to a status."""


@dataclass(frozen=True, slots=True)
class House:
    """What every association needs."""

    door: Door
    store: Store
    tls: ssl.SSLContext | None
    idle_seconds: float
    max_object_bytes: int


class Rejected(Exception):
    """An A-ASSOCIATE-RJ with (result, source, reason) of PS3.8 table 9-21."""

    def __init__(self, code: str, result: int, source: int, reason: int) -> None:
        super().__init__(code)
        self.code = code
        self.body = bytes((0, result, source, reason))


def unknown_caller() -> Rejected:
    """Permanent: calling AE title not recognized; also for a listed title from another address or certificate."""
    return Rejected("calling-ae-not-recognized", 1, 1, 3)


def local_limit() -> Rejected:
    """Transient: local limit exceeded."""
    return Rejected("local-limit", 2, 3, 2)


class Association:
    """One connection. With `refusal` the request is read only so that it can be answered."""

    def __init__(
        self, house: House, connection: socket.socket, address: Address | None, refusal: Rejected | None = None
    ) -> None:
        self._house = house
        self._connection = connection
        self._stream = Stream(connection)
        self._address = address
        self._refusal = refusal
        self._box = ""
        self._longest = 0

    def run(self) -> None:
        """Serve the box until either side ends; never raises."""
        try:
            self._serve(self._establish())
        except Rejected as rejected:
            self._end(dimse.pdu(dimse.ASSOCIATE_RJ, rejected.body), rejected.code)
        except PeerFailure as failure:
            self._end(_abort(_PROVIDER), failure.reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours must end this association only
            self._end(_abort(_USER), f"internal-{type(error).__name__}")
        finally:
            self._stream.close()

    def leave(self) -> None:
        """Nothing more is heard; what is being stored is still answered (another thread may call this)."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RD)  # SSLSocket's own would end writing too

    def _establish(self) -> dict[int, str]:
        """Read, judge and answer the request; the abstract syntax of each accepted context by id."""
        certificate = self._handshake() if self._house.tls is not None else b""
        kind, body = self._stream.read(ARTIM_SECONDS)
        if kind != dimse.ASSOCIATE_RQ or len(body) < 68:
            raise dimse.failure("aborted" if kind == dimse.ABORT else "protocol")
        called, calling = (body[at : at + 16].decode("ascii", "replace").strip(" \0") for at in (4, 20))
        self._judge(body, Caller(called, calling, self._address, certificate))
        contexts = [_decide(value) for kind, value in dimse.items_of(body[68:]) if kind == 0x20]
        self._longest = next(
            (dimse.max_length(value, dimse.MAX_PDU) for kind, value in dimse.items_of(body[68:]) if kind == 0x50),
            dimse.MAX_PDU,
        )
        answer = dimse.associate(dimse.ASSOCIATE_AC, called, calling, contexts, dimse.RELINK_VERSION_NAME)
        self._stream.write(answer, PDU_SECONDS)
        return {context.id: context.abstract_syntax for context in contexts if context.result == _ACCEPTED}

    def _handshake(self) -> bytes:
        """Become TLS; returns the box's certificate in DER. Raises PeerFailure `tls`."""
        assert self._house.tls is not None
        # the socket's own timeout begins anew with every byte
        alarm = threading.Timer(ARTIM_SECONDS, self.leave)
        alarm.start()
        try:
            self._connection.settimeout(ARTIM_SECONDS)
            secured = self._house.tls.wrap_socket(self._connection, server_side=True)
        except OSError:
            raise dimse.failure("tls") from None
        finally:
            alarm.cancel()
        self._connection, self._stream = secured, Stream(secured)
        return secured.getpeercert(binary_form=True) or b""

    def _judge(self, body: bytes, caller: Caller) -> None:
        """Whether this caller may in. Raises Rejected."""
        if self._refusal:
            raise self._refusal
        if not body[1] & 1:
            raise Rejected("protocol-version", 1, 2, 2)
        names = [value for kind, value in dimse.items_of(body[68:]) if kind == 0x10]
        if [name.rstrip(b"\0") for name in names] != [dimse.APPLICATION_CONTEXT.encode()]:
            raise Rejected("application-context", 1, 1, 2)
        if not self._house.door.is_called(caller.called):
            raise Rejected("called-ae-not-recognized", 1, 1, 7)
        self._box = self._house.door.box(caller)
        if not self._box:
            raise unknown_caller()

    def _serve(self, contexts: dict[int, str]) -> None:
        """Answer requests until the box releases the association."""
        _LOG.info("association opened box=%s contexts=%d", self._box, len(contexts))
        while True:
            message = self._next()
            if message is None:
                self._end(dimse.pdu(dimse.RELEASE_RP, bytes(4)), "")
                return
            if message.context not in contexts:
                raise dimse.failure("protocol")
            self._answer(message, contexts[message.context])

    def _next(self) -> Message | None:
        """The next whole message; None when the box asks for release."""
        message = Message(self._house.max_object_bytes)
        seconds = self._house.idle_seconds
        deadline = time.monotonic() + seconds + MESSAGE_SECONDS
        while True:
            kind, body = self._stream.read(min(seconds, deadline - time.monotonic()))
            if kind == dimse.RELEASE_RQ and not message.command:
                return None
            if kind != dimse.DATA_TF:
                raise dimse.failure("aborted" if kind == dimse.ABORT else "protocol")
            if message.add(body):
                return message
            seconds = PDU_SECONDS

    def _answer(self, message: Message, abstract_syntax: str) -> None:
        field = dimse.number(message.command, 0x0100)
        if field & _RESPONSE:
            raise dimse.failure("protocol")
        if field == _C_CANCEL:
            return
        affected = (0x0002, 0x1000)
        response: dict[int, bytes] = {tag: message.command[tag] for tag in affected if tag in message.command}
        response |= {
            0x0100: dimse.short(field | _RESPONSE),
            0x0120: dimse.short(dimse.number(message.command, 0x0110)),
            0x0800: dimse.short(dimse.NO_DATA_SET),
            0x0900: dimse.short(self._perform(field, message, abstract_syntax)),
        }
        for piece in dimse.fragments(message.context, dimse.command(response), b"", self._longest):
            self._stream.write(piece, PDU_SECONDS)

    def _perform(self, field: int, message: Message, abstract_syntax: str) -> int:
        if field == _C_ECHO and abstract_syntax == VERIFICATION:
            return Status.SUCCESS
        if field != _C_STORE or abstract_syntax == VERIFICATION:
            return Status.UNRECOGNIZED_OPERATION
        try:
            sop_class, sop_instance = (_uid(message.command.get(tag, b"")) for tag in (0x0002, 0x1000))
        except BadObject:
            return Status.CANNOT_UNDERSTAND
        if sop_class != abstract_syntax:
            return Status.SOP_CLASS_NOT_SUPPORTED
        return self._house.store(sop_class, sop_instance, message.data(), self._box)

    def _end(self, last_word: bytes, code: str) -> None:
        """Our last PDU; then the box closes, or we do."""
        if code:
            _LOG.warning("association refused or aborted box=%s reason=%s", self._box or "unknown", code)
        with contextlib.suppress(PeerFailure):
            self._stream.write(last_word, LINGER_SECONDS)
            self._stream.drain(LINGER_SECONDS)


def _decide(item: bytes) -> Context:
    """A proposed presentation context as we answer it (PS3.8 9.3.3.2). Raises PeerFailure for one that is broken."""
    if len(item) < 4 or not item[0] & 1:
        raise dimse.failure("protocol")
    inner = list(dimse.items_of(item[4:]))
    abstract = [dimse.uid_text(value) for kind, value in inner if kind == 0x30]
    offered = [dimse.uid_text(value) for kind, value in inner if kind == 0x40]
    if len(abstract) != 1:
        raise dimse.failure("protocol")
    if abstract[0] != VERIFICATION and abstract[0] not in SOP_CLASSES:
        return Context(item[0], abstract[0], IMPLICIT_VR_LITTLE_ENDIAN, _NO_ABSTRACT_SYNTAX)
    taken = _VERIFICATION_SYNTAXES if abstract[0] == VERIFICATION else (EXPLICIT_VR_LITTLE_ENDIAN,)
    syntax = next((each for each in offered if each in taken), None)
    if syntax is None:
        return Context(item[0], abstract[0], IMPLICIT_VR_LITTLE_ENDIAN, _NO_TRANSFER_SYNTAX)
    return Context(item[0], abstract[0], syntax, _ACCEPTED)


def _uid(value: bytes) -> str:
    return parse_uid(value.decode("ascii", "replace"))


def _abort(source: int) -> bytes:
    """An A-ABORT without a particular reason (PS3.8 table 9-26)."""
    return dimse.pdu(dimse.ABORT, bytes((0, 0, source, 0)))
