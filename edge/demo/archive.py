"""A stand-in for a hospital's archive, on loopback only: it takes C-STORE and C-ECHO and keeps what it gets as files.

Comes in: associations on a port that the kernel chose. Goes out: `FOLDER/<SOP Instance UID>.dcm`, and a wake-up for
whoever waits. For the demonstration and for measurements; a real archive is an archive.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge import dimse
from edge.dimse import Context, Message, Stream
from edge.errors import PeerFailure
from edge.records import parse_uid
from edge.report.encode import EXPLICIT_VR_LITTLE_ENDIAN, part10
from edge.scu import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

_IDLE_SECONDS = 600.0
_ANSWER_SECONDS = 10.0
_C_STORE_RQ, _C_ECHO_RQ, _RESPONSE = 0x0001, 0x0030, 0x8000
_SUCCESS, _CANNOT_UNDERSTAND, _UNRECOGNIZED = 0x0000, 0xC000, 0x0211


class Archive:
    """Listens from the moment it is made until `close`."""

    def __init__(self, folder: Path, ae_title: str = "ARCHIVE") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        self._arrived: dict[str, float] = {}
        self.ae_title = ae_title
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="archive", daemon=True).start()

    def arrived(self) -> dict[str, float]:
        """When each object was accepted (time.monotonic), by SOP Instance UID, in order of arrival."""
        with self._changed:
            return dict(self._arrived)

    def path(self, sop_instance_uid: str) -> Path:
        """Where an object that arrived lies."""
        return self._folder / f"{sop_instance_uid}.dcm"

    def wait(self, condition: Callable[[dict[str, float]], bool], seconds: float) -> bool:
        """Whether `condition(arrived)` became true within `seconds`; looked at after each arrival."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._arrived), seconds)

    def close(self) -> None:
        """Stop listening and end every association."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), name="archive-association", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = Stream(connection)
        try:
            self._associate(stream)
        except PeerFailure:
            return
        finally:
            stream.close()
            self._connections.remove(connection)

    def _associate(self, stream: Stream) -> None:
        """One association from request to release."""
        kind, body = stream.read(_ANSWER_SECONDS)
        if kind != dimse.ASSOCIATE_RQ:
            return
        contexts, longest = _answer(body)
        called, calling = (body[at : at + 16].decode("ascii", "replace") for at in (4, 20))
        stream.write(dimse.associate(dimse.ASSOCIATE_AC, called, calling, contexts), _ANSWER_SECONDS)
        accepted = {context.id: context for context in contexts if context.result == 0}
        message = Message()
        while True:
            kind, body = stream.read(_IDLE_SECONDS)
            if kind == dimse.RELEASE_RQ:
                stream.write(dimse.pdu(dimse.RELEASE_RP, bytes(4)), _ANSWER_SECONDS)
            if kind != dimse.DATA_TF:
                return
            if message.add(body):
                response = dimse.command(self._respond(message, accepted))
                for piece in dimse.fragments(message.context, response, b"", longest):
                    stream.write(piece, _ANSWER_SECONDS)
                message = Message()

    def _respond(self, message: Message, accepted: dict[int, Context]) -> dict[int, bytes]:
        """Do what the message asks; the elements of the response."""
        request = message.command
        field = dimse.number(request, 0x0100)
        status = _SUCCESS if field == _C_ECHO_RQ else _UNRECOGNIZED
        if field == _C_STORE_RQ:
            context = accepted.get(message.context)
            status = self._keep(request, message.data()) if context else _CANNOT_UNDERSTAND
        response = {
            0x0100: dimse.short(field | _RESPONSE),
            0x0120: request.get(0x0110, dimse.short(0)),
            0x0800: dimse.short(dimse.NO_DATA_SET),
            0x0900: dimse.short(status),
        }
        return response | {element: request[element] for element in (0x0002, 0x1000) if element in request}

    def _keep(self, request: dict[int, bytes], data_set: bytes) -> int:
        sop_class_uid = parse_uid(dimse.uid_text(request.get(0x0002, b"")))
        uid = parse_uid(dimse.uid_text(request.get(0x1000, b"")))
        self.path(uid).write_bytes(part10(sop_class_uid, uid, data_set))
        with self._changed:
            self._arrived[uid] = time.monotonic()
            self._changed.notify_all()
        return _SUCCESS


def _answer(request: bytes) -> tuple[list[Context], int]:
    """A context for each proposed one: taken where Explicit VR Little Endian is among its transfer syntaxes."""
    contexts: list[Context] = []
    longest = dimse.MAX_PDU
    for kind, value in dimse.items_of(request[68:]):
        if kind == 0x50:
            longest = dimse.max_length(value, longest)
        if kind != 0x20 or len(value) < 4:
            continue
        inner = [(number, dimse.uid_text(uid)) for number, uid in dimse.items_of(value[4:])]
        abstract = next((uid for number, uid in inner if number == 0x30), "")
        wanted = IMPLICIT_VR_LITTLE_ENDIAN if abstract == VERIFICATION else EXPLICIT_VR_LITTLE_ENDIAN
        taken = (0x40, wanted) in inner
        contexts.append(Context(value[0], abstract, wanted, 0 if taken else 4))
    return contexts, longest
