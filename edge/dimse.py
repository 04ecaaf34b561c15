"""DICOM messages over one blocking socket: PDUs (PS3.8 9.3), association items and command sets (PS3.7 6.3, E.1).

Comes in: a connected socket. Goes out: whole PDUs and whole messages, each read and written before a deadline, each
bounded. There is no thread and no polling here, and a byte that breaks the standard ends in one `PeerFailure`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge.errors import PeerFailure

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS_UID = "2.25.168421890733217905106246193520117360131"
IMPLEMENTATION_VERSION_NAME = "EDGE"
RELINK_VERSION_NAME = "EDGE-RELINK"
"""How a relink gateway announces itself: it puts the patient back, an archive cannot."""
MAX_PDU = 131072
NO_DATA_SET = 0x0101
DATA_LIMIT = 1 << 20
"""Bytes of the data set of an answer: no answer that we ask for comes near."""

_PDU_LIMIT = 1 << 20
_COMMAND_LIMIT = 1 << 16
_SHORT = "<H"


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context: proposed with one transfer syntax, so that what is accepted is never in doubt."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    result: int = 0


class Stream:
    """PDUs over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def read(self, seconds: float) -> tuple[int, bytes]:
        """The next PDU as (type, what follows its length).

        Raises
        ------
        PeerFailure
            `silent` when it is not there whole after `seconds`, `aborted` when the peer ended the connection,
            `protocol` when it is larger than any PDU that we could have asked for.
        """
        deadline = time.monotonic() + seconds
        kind, length = struct.unpack(">BxL", self._exactly(6, deadline))
        if length > _PDU_LIMIT:
            raise failure("protocol")
        return kind, self._exactly(length, deadline)

    def write(self, data: bytes, seconds: float) -> None:
        """Send `data` whole. Raises PeerFailure `silent` or `aborted`."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(data)
        except TimeoutError:
            raise failure("silent") from None
        except OSError:
            raise failure("aborted") from None

    def drain(self, seconds: float, limit: int = 1 << 20) -> None:
        """Read and forget until the peer closes, `limit` bytes came or `seconds` passed; never raises.

        Closing with unread bytes would reset the connection and take our last answer with it.
        """
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while limit > 0 and (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                received = len(self._socket.recv(1 << 16))
                if not received:
                    return
                limit -= received

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                received = self._socket.recv_into(view)
            except TimeoutError:
                raise failure("silent") from None
            except OSError:
                raise failure("aborted") from None
            if not received:
                raise failure("aborted")
            view = view[received:]
        return bytes(data)


def pdu(kind: int, body: bytes) -> bytes:
    """One PDU."""
    return struct.pack(">BxL", kind, len(body)) + body


def associate(
    kind: int,
    called: str,
    calling: str,
    contexts: Sequence[Context],
    version_name: str = IMPLEMENTATION_VERSION_NAME,
    roles: Sequence[str] = (),
) -> bytes:
    """An A-ASSOCIATE-RQ or -AC PDU (PS3.8 tables 9-11 and 9-17).

    `roles`: SOP classes of which the caller would be an SCP too (PS3.7 D.3.3.4), as a C-GET needs.
    """
    titles = b"".join(title.encode("ascii").ljust(16)[:16] for title in (called, calling))
    items = [_item(0x10, APPLICATION_CONTEXT.encode())]
    for context in contexts:
        head = struct.pack(">BxBx", context.id, context.result)
        syntax = _item(0x40, context.transfer_syntax.encode())
        if kind == ASSOCIATE_RQ:
            items.append(_item(0x20, head + _item(0x30, context.abstract_syntax.encode()) + syntax))
        else:
            items.append(_item(0x21, head + syntax))
    user = (
        _item(0x51, struct.pack(">L", MAX_PDU))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + b"".join(_item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\1\1") for uid in roles)
        + _item(0x55, version_name.encode())
    )
    items.append(_item(0x50, user))
    return pdu(kind, struct.pack(">HH", 1, 0) + titles + bytes(32) + b"".join(items))


def answered_contexts(body: bytes) -> tuple[dict[int, tuple[int, str]], int]:
    """What an A-ASSOCIATE-AC says: (result, transfer syntax) by context id, and the peer's longest PDU.

    Raises PeerFailure `protocol` when it is not one.
    """
    results: dict[int, tuple[int, str]] = {}
    longest = 16384
    for kind, value in items_of(body[68:]):
        if kind == 0x21 and len(value) >= 4:
            syntaxes = [inner for number, inner in items_of(value[4:]) if number == 0x40]
            results[value[0]] = (value[2], uid_text(syntaxes[0]) if syntaxes else "")
        elif kind == 0x50:
            longest = max_length(value, longest)
    return results, longest


def max_length(user_information: bytes, default: int) -> int:
    """The longest PDU the peer takes (PS3.8 D.1); 0 there means no limit."""
    for kind, value in items_of(user_information):
        if kind == 0x51 and len(value) == 4:
            return min(int.from_bytes(value, "big") or MAX_PDU, MAX_PDU)
    return default


def announced_version(body: bytes) -> str:
    """The Implementation Version Name in an A-ASSOCIATE-RQ or -AC (PS3.7 D.3.3.2.4); empty when there is none."""
    for kind, value in items_of(body[68:]):
        if kind == 0x50:
            for inner, name in items_of(value):
                if inner == 0x55:
                    return name[:16].decode("ascii", "replace").strip()
    return ""


def items_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The items or sub-items in `data`, each as (type, value)."""
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise failure("protocol")
        kind, length = struct.unpack_from(">BxH", data, at)
        if at + 4 + length > len(data):
            raise failure("protocol")
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def command(elements: Mapping[int, bytes]) -> bytes:
    """A command set: group 0000 in Implicit VR Little Endian, with its length."""
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def parse_command(data: bytes) -> dict[int, bytes]:
    """The elements of a command set by element number. Raises PeerFailure `protocol`."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise failure("protocol")
        group, element, length = struct.unpack_from("<HHL", data, at)
        if group or at + 8 + length > len(data):
            raise failure("protocol")
        elements[element] = data[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


def number(elements: Mapping[int, bytes], element: int) -> int:
    """A US element of a command set. Raises PeerFailure `protocol` when it is not there."""
    value = elements.get(element, b"")
    if len(value) != 2:
        raise failure("protocol")
    return int(struct.unpack(_SHORT, value)[0])


def short(value: int) -> bytes:
    """A US value."""
    return struct.pack(_SHORT, value)


def uid_value(uid: str) -> bytes:
    """A UI value, padded to even length."""
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def uid_text(value: bytes) -> str:
    """A UI value as text. Raises PeerFailure `protocol` when it is none."""
    text = value.rstrip(b"\0 ")
    if len(text) > 64 or text.strip(b"0123456789."):
        raise failure("protocol")
    return text.decode("ascii")


def fragments(context: int, command_set: bytes, data: bytes, longest: int) -> Iterator[bytes]:
    """A message as P-DATA-TF PDUs of at most `longest` bytes each (PS3.8 9.3.5, annex E)."""
    room = max(longest, 128) - 6
    for is_command, part in ((1, memoryview(command_set)), (0, memoryview(data))):
        for start in range(0, len(part), room):
            piece = part[start : start + room]
            last = 2 if start + room >= len(part) else 0
            yield struct.pack(">BxLLBB", DATA_TF, len(piece) + 6, len(piece) + 2, context, is_command | last) + piece


def joined(pieces: Iterable[bytes], size: int = MAX_PDU) -> Iterator[bytes]:
    """Small pieces in few writes: a small message leaves in one segment."""
    waiting: list[bytes] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(waiting)
            waiting, length = [], 0
    if waiting:
        yield b"".join(waiting)


class Message:
    """Collects the fragments of one message: its command set, then, where it has one, its data set.

    Parameters
    ----------
    limit : int
        The longest data set that is taken, in bytes.
    """

    def __init__(self, limit: int = DATA_LIMIT) -> None:
        self.context = 0
        self._left = limit
        self.command: dict[int, bytes] = {}
        self._command = b""
        self._data: list[bytes] = []

    def add(self, body: bytes) -> bool:
        """Take the body of a P-DATA-TF PDU; whether the message is now whole. Raises PeerFailure `protocol`."""
        whole = False
        at = 0
        while at < len(body):
            if whole or at + 6 > len(body):
                raise failure("protocol")
            length, context, header = struct.unpack_from(">LBB", body, at)
            if length < 2 or at + 4 + length > len(body) or bool(header & 1) == bool(self.command):
                raise failure("protocol")
            self.context = context
            whole = self._take(body[at + 6 : at + 4 + length], last=bool(header & 2))
            at += 4 + length
        return whole

    def data(self) -> bytes:
        """The data set of a whole message."""
        return b"".join(self._data)

    def _take(self, fragment: bytes, *, last: bool) -> bool:
        if self.command:
            self._left -= len(fragment)
            if self._left < 0:
                raise failure("protocol")
            self._data.append(fragment)
            return last
        self._command += fragment
        if len(self._command) > _COMMAND_LIMIT:
            raise failure("protocol")
        if not last:
            return False
        self.command = parse_command(self._command)
        return number(self.command, 0x0800) == NO_DATA_SET


def failure(reason: str) -> PeerFailure:
    """What went wrong with the peer, as a journal code."""
    return PeerFailure(reason)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
