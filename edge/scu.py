"""The sending side of an association: open, store, echo, release. One blocking socket, no thread, no polling.

Comes in: an address and the presentation contexts to propose. Goes out: data sets, byte for byte as they were given,
and the peer's status for each. Every wait has a deadline; whatever goes wrong with the peer is a `PeerFailure`
whose reason is one of `unreachable`, `tls`, `silent`, `aborted`, `released`, `protocol`, `rejected-RESULT-REASON`
(PS3.8 9.3.4) and `context-refused-RESULT` (PS3.8 9.3.3.2); of a query also `find-STATUS`, `get-STATUS` and
`too-many-answers`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from edge import dimse
from edge.dimse import Context, Message, Stream, failure

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"

_C_STORE_RQ, _C_GET_RQ, _C_FIND_RQ, _C_ECHO_RQ = 0x0001, 0x0010, 0x0020, 0x0030
_RESPONSE = 0x8000
_PRIORITY_MEDIUM = 0
_PENDING = (0xFF00, 0xFF01)
_SOME_FAILED = 0xB000
_ANSWERS_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call, as what, and how long to wait (seconds).

    `connect` bounds the TCP and TLS handshakes, `associate` the negotiation, `answer` each response.
    """

    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None
    connect: float = 10.0
    associate: float = 30.0
    answer: float = 60.0


class Scu:
    """An association with `peer`; `with Scu(...)` opens and releases it.

    Parameters
    ----------
    peer : Peer
        Whom to call.
    proposals : iterable of (str, str)
        Abstract syntax and transfer syntax; each pair becomes a presentation context of its own (128 at most).
    roles : tuple of str
        Those abstract syntaxes whose objects `get` may bring.
    """

    def __init__(self, peer: Peer, proposals: Iterable[tuple[str, str]], roles: tuple[str, ...] = ()) -> None:
        self._peer = peer
        self._roles = roles
        self._message_id = 0
        self._contexts = [Context(2 * at + 1, *pair) for at, pair in enumerate(dict.fromkeys(proposals))]
        self._results: dict[int, tuple[int, str]] = {}
        self._longest = 0
        self.announced = ""
        """The Implementation Version Name of the peer (`dimse.RELINK_VERSION_NAME` is a relink gateway)."""
        self._socket = socket.socket(socket.AF_INET6 if ":" in peer.host else socket.AF_INET)
        self._stream = Stream(self._socket)

    def open(self) -> None:
        """Connect and negotiate. Raises PeerFailure if there is no association afterwards."""
        try:
            self._connect()
            self._results, self._longest = self._negotiate()
        except BaseException:
            self.abort()
            raise

    def refused(self, abstract_syntax: str, transfer_syntax: str) -> str:
        """Why this pair cannot be sent here (`context-refused-RESULT`), or an empty string when it can."""
        return self._look_up(abstract_syntax, transfer_syntax)[1]

    def store(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, data_set: bytes) -> int:
        """C-STORE (PS3.7 9.1.1): send `data_set` as it is; returns the status.

        Raises
        ------
        PeerFailure
            If there is no answer, or none of the contexts takes the object; the association is then over,
            unless the reason is `context-refused-...`.
        """
        context, why = self._look_up(sop_class_uid, transfer_syntax)
        if why:
            raise failure(why)
        request = {
            0x0002: dimse.uid_value(sop_class_uid),
            0x0700: dimse.short(_PRIORITY_MEDIUM),
            0x1000: dimse.uid_value(sop_instance_uid),
        }
        return self._ask(context, _C_STORE_RQ, request, data_set)

    def find(
        self, sop_class_uid: str, transfer_syntax: str, identifier: bytes, *, most: int, seconds: float
    ) -> list[bytes]:
        """C-FIND (PS3.7 9.1.2): the identifiers that match `identifier`, each a data set in `transfer_syntax`.

        Parameters
        ----------
        most : int
            More answers than these are a failure, and so are 16 MiB of them.
        seconds : float
            How long the whole row of answers may take.

        Raises
        ------
        PeerFailure
            Also when the final status is not Success; the association is then over.
        """
        deadline = time.monotonic() + seconds
        with self._asked(_C_FIND_RQ, sop_class_uid, transfer_syntax, identifier):
            return self._answers(most, deadline)

    def get(
        self, sop_class_uid: str, transfer_syntax: str, identifier: bytes, *, most: int, seconds: float
    ) -> tuple[list[tuple[str, bytes]], bool]:
        """C-GET (PS3.7 9.1.3): SOP Class UID and data set of each object that matches `identifier`, and whether of all.

        Parameters and failures are those of `find`; an object comes in the syntax of its own context.
        """
        deadline = time.monotonic() + seconds
        with self._asked(_C_GET_RQ, sop_class_uid, transfer_syntax, identifier):
            return self._objects(most, deadline)

    @contextlib.contextmanager
    def _asked(self, field: int, sop_class_uid: str, transfer_syntax: str, identifier: bytes) -> Iterator[None]:
        """A query is sent, its answers are read inside; whatever goes wrong ends the association."""
        context, why = self._look_up(sop_class_uid, transfer_syntax)
        if why:
            raise failure(why)
        request = {0x0002: dimse.uid_value(sop_class_uid), 0x0700: dimse.short(_PRIORITY_MEDIUM)}
        try:
            self._send(context, field, request, identifier)
            yield
        except BaseException:
            self.abort()
            raise

    def echo(self) -> int:
        """C-ECHO (PS3.7 9.1.5); returns the status. Raises PeerFailure."""
        context, why = self._look_up(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN)
        if why:
            raise failure(why)
        return self._ask(context, _C_ECHO_RQ, {0x0002: dimse.uid_value(VERIFICATION)}, b"")

    def release(self) -> None:
        """End the association in order; a peer that does not answer is left."""
        with contextlib.suppress(Exception):
            self._stream.write(dimse.pdu(dimse.RELEASE_RQ, bytes(4)), 1.0)
            self._stream.read(1.0)
        self._stream.close()

    def abort(self) -> None:
        """End the association at once (A-ABORT by the service user)."""
        with contextlib.suppress(Exception):
            self._stream.write(dimse.pdu(dimse.ABORT, bytes(4)), 1.0)
        self._stream.close()

    def cut(self) -> None:
        """Make a wait in another thread end now: it fails."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Scu:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    def _connect(self) -> None:
        """Connect; small messages then leave at once. Raises PeerFailure `unreachable` or `tls`."""
        peer = self._peer
        try:
            self._socket.settimeout(peer.connect)
            self._socket.connect((peer.host, peer.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            raise failure("unreachable") from None
        if peer.tls is None:
            return
        try:
            self._socket = peer.tls.wrap_socket(self._socket, server_hostname=peer.host)
            self._stream = Stream(self._socket)
        except OSError:
            raise failure("tls") from None

    def _negotiate(self) -> tuple[dict[int, tuple[int, str]], int]:
        peer = self._peer
        request = dimse.associate(dimse.ASSOCIATE_RQ, peer.called, peer.calling, self._contexts, roles=self._roles)
        self._stream.write(request, peer.associate)
        kind, body = self._stream.read(peer.associate)
        if kind == dimse.ASSOCIATE_RJ and len(body) == 4:
            raise failure(f"rejected-{body[1]}-{body[3]}")
        if kind != dimse.ASSOCIATE_AC:
            raise failure("aborted" if kind == dimse.ABORT else "protocol")
        self.announced = dimse.announced_version(body)
        return dimse.answered_contexts(body)

    def _look_up(self, abstract_syntax: str, transfer_syntax: str) -> tuple[int, str]:
        """The id of the accepted context for a pair, or why there is none."""
        why = "context-refused-3"
        for context in self._contexts:
            if (context.abstract_syntax, context.transfer_syntax) == (abstract_syntax, transfer_syntax):
                result, accepted = self._results.get(context.id, (3, ""))
                if result == 0 and accepted == transfer_syntax:
                    return context.id, ""
                why = f"context-refused-{result or 4}"
        return 0, why

    def _ask(self, context: int, field: int, request: dict[int, bytes], data: bytes) -> int:
        try:
            return self._exchange(context, field, request, data)
        except BaseException:
            self.abort()
            raise

    def _exchange(self, context: int, field: int, request: dict[int, bytes], data: bytes) -> int:
        self._send(context, field, request, data)
        return self._status(self._response(self._peer.answer), field)

    def _answers(self, most: int, deadline: float) -> list[bytes]:
        answers: list[bytes] = []
        left = _ANSWERS_LIMIT
        while True:
            message = self._response(deadline - time.monotonic())
            status = self._status(message, _C_FIND_RQ)
            if status == 0:
                return answers
            if status not in _PENDING:
                raise failure(f"find-{status:04X}")
            answers.append(message.data())
            left -= len(answers[-1])
            if len(answers) > most or left < 0:
                raise failure("too-many-answers")

    def _objects(self, most: int, deadline: float) -> tuple[list[tuple[str, bytes]], bool]:
        """What the sub-operations of a C-GET bring, each answered with Success."""
        classes = {context.id: context.abstract_syntax for context in self._contexts}
        found: list[tuple[str, bytes]] = []
        left = _ANSWERS_LIMIT
        while True:
            message = self._response(deadline - time.monotonic())
            if dimse.number(message.command, 0x0100) == _C_STORE_RQ and message.context in classes:
                found.append((classes[message.context], message.data()))
                left -= len(found[-1][1])
                if len(found) > most or left < 0:
                    raise failure("too-many-answers")
                self._take(message)
                continue
            status = self._status(message, _C_GET_RQ)
            if status in (0, _SOME_FAILED):
                return found, status == 0
            if status not in _PENDING:
                raise failure(f"get-{status:04X}")

    def _take(self, message: Message) -> None:
        """Answer a C-STORE of the peer's with Success."""
        answer = {tag: message.command[tag] for tag in (0x0002, 0x1000) if tag in message.command} | {
            0x0100: dimse.short(_C_STORE_RQ | _RESPONSE),
            0x0120: dimse.short(dimse.number(message.command, 0x0110)),
            0x0800: dimse.short(dimse.NO_DATA_SET),
            0x0900: dimse.short(0),
        }
        for piece in dimse.fragments(message.context, dimse.command(answer), b"", self._longest):
            self._stream.write(piece, self._peer.answer)

    def _send(self, context: int, field: int, request: dict[int, bytes], data: bytes) -> None:
        self._message_id = self._message_id % 65535 + 1
        command = dimse.command(
            request
            | {
                0x0100: dimse.short(field),
                0x0110: dimse.short(self._message_id),
                0x0800: dimse.short(1 if data else dimse.NO_DATA_SET),
            }
        )
        for piece in dimse.joined(dimse.fragments(context, command, data, self._longest)):
            self._stream.write(piece, self._peer.answer)

    def _status(self, message: Message, field: int) -> int:
        """The status in the response to our last request. Raises PeerFailure when it is not one."""
        response = message.command
        if dimse.number(response, 0x0100) != field | _RESPONSE or dimse.number(response, 0x0120) != self._message_id:
            raise failure("protocol")
        return dimse.number(response, 0x0900)

    def _response(self, seconds: float) -> Message:
        """The next message, whole before `seconds` have passed."""
        deadline = time.monotonic() + seconds
        message = Message()
        while True:
            kind, body = self._stream.read(deadline - time.monotonic())
            if kind == dimse.RELEASE_RQ:
                self._stream.write(dimse.pdu(dimse.RELEASE_RP, bytes(4)), 1.0)
                raise failure("released")
            if kind != dimse.DATA_TF:
                raise failure("aborted" if kind == dimse.ABORT else "protocol")
            if message.add(body):
                return message
