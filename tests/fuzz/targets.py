"""What the fuzzers call: each target takes any bytes, and raises only when the reader breaks its word.

A target is a function of bytes. `CONVERSATION` is the whole association over a socket pair, with a real spool and
journal; the others are the pure readers, and thousands of times as fast.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from receiver import CT, EXPLICIT, IMPLICIT, TOML, VERIFICATION, ct_image, echo_elements, pdv, request, store_elements

from edge import dimse, rooms
from edge.config import load
from edge.config.receive import Receive
from edge.errors import BadObject, PeerFailure
from edge.receive.admission import parse_address
from edge.receive.association import Association
from edge.receive.head import read_head
from edge.receive.negotiation import Malformed, answer, read_request, write_accept
from edge.receive.pdata import PData, ReleaseRequested, Violation
from edge.receive.requests import Status, write_response
from edge.receive.requests import read_request as read_command
from edge.receive.room import Room
from edge.receive.syntaxes import Offer
from edge.receive.wire import PeerGone, TooSlow

SYNTAXES = (EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70")
OFFER = Offer(("*",))
BOUNDS = Receive(max_pdu_bytes=16384, max_object_mib=1)
_LONGEST = 1 << 16
CORPUS = Path(__file__).parent / "corpus"


def association_request(data: bytes) -> None:
    """An A-ASSOCIATE-RQ: read or Malformed; the answer has a result for every context, and can be read."""
    try:
        read = read_request(data)
    except Malformed:
        return
    accepted, results = answer(read, OFFER)
    assert {identifier for identifier, result in results if result == 0} == set(accepted)
    reply = write_accept(read, accepted, results, 131072)
    assert dimse.answered_contexts(reply[6:])[0].keys() == {proposal.id for proposal in read.proposals}


def command_set(data: bytes) -> None:
    """A command set, after two bytes that choose the peer's longest PDU: the answer fits and names the message."""
    longest = int.from_bytes(data[:2], "big") % 300
    try:
        read = read_command(data[2:])
    except Violation:
        return
    if read is None:
        return
    reply = write_response(read, Status.SUCCESS, 1, longest)
    message, at, whole = dimse.Message(), 0, False
    while at < len(reply):
        (length,) = struct.unpack_from(">L", reply, at + 2)
        assert not longest or length <= max(longest, 16)
        whole = message.add(reply[at + 6 : at + 6 + length])
        at += 6 + length
    assert whole
    assert dimse.number(message.command, 0x0120) == read.message_id


def head(data: bytes) -> None:
    """A data set, after a byte that chooses its transfer syntax: BadObject, or UIDs that are UIDs."""
    if not data:
        return
    try:
        found = read_head(memoryview(data)[1:], SYNTAXES[data[0] % len(SYNTAXES)])
    except BadObject:
        return
    assert found.study_instance_uid.replace(".", "").isdigit()
    assert found.series_instance_uid.replace(".", "").isdigit()
    assert len(found.modality) <= 16


def answered(data: bytes) -> None:
    """What a peer of ours answers (deliver and relink read it): PeerFailure or a result."""
    with contextlib.suppress(PeerFailure):
        dimse.answered_contexts(data)
    with contextlib.suppress(PeerFailure):
        dimse.announced_version(data)
    with contextlib.suppress(PeerFailure):
        dimse.Message(4096).add(data)


def presentation_data(data: bytes) -> None:
    """Messages of an established association, from memory: no read beyond what was declared and allowed."""
    wire = _Memory(data)
    reader = PData(wire, BOUNDS)  # type: ignore[arg-type]
    try:
        while True:
            context, command = reader.command()
            read = read_command(command)
            if read is None or not read.has_data_set:
                continue
            for length in reader.data_set(context):
                assert length <= BOUNDS.max_pdu_bytes
                if length % 2:
                    reader.skip(length)
                else:
                    reader.read_into(memoryview(bytearray(length)))
    except (Violation, ReleaseRequested, PeerGone, TooSlow):
        assert wire.at <= len(data)


def conversation(data: bytes) -> None:
    """All that a peer can say in one connection, said to the real association: it never fails inside."""
    _table().say(data)


class _Memory:
    """As edge.receive.wire.Wire, over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.at = 0

    def wait(self, _: float) -> None:
        if self.at >= len(self._data):
            raise PeerGone

    def read_into(self, view: memoryview, _: float) -> None:
        if self.at + len(view) > len(self._data):
            raise PeerGone
        view[:] = self._data[self.at : self.at + len(view)]
        self.at += len(view)

    def read(self, count: int, deadline: float) -> bytes:
        assert count <= BOUNDS.max_pdu_bytes
        data = bytearray(count)
        self.read_into(memoryview(data), deadline)
        return bytes(data)


class Table:
    """A receive room at which one peer after the other sits down, without a listening socket between."""

    def __init__(self, folder: Path) -> None:
        file = folder / "edge.toml"
        file.write_text(TOML.format(receive='private_sop_classes = ["*"]', more="", reserve=0.001))
        settings = load(file)
        rooms.make_root(settings)
        self.room = Room(settings)
        self.room.start()
        self._house = self.room._acceptor._house
        self._spool = settings.spool
        self._listener = socket.create_server(("127.0.0.1", 0))

    def say(self, data: bytes) -> bytes:
        """What the association answers to `data` and an end of the connection."""
        with socket.create_connection(self._listener.getsockname()) as theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.settimeout(5)
            theirs.sendall(data[:_LONGEST])
            theirs.shutdown(socket.SHUT_WR)
            ours, _ = self._listener.accept()
            Association(self._house, ours, parse_address("127.0.0.1")).run()
            said = b"".join(iter(lambda: theirs.recv(1 << 16), b""))
        assert "refused-internal" not in self.room.counters.snapshot(), "an exception inside an association"
        assert not any(entry.name.endswith(".part") for entry in os.scandir(self._spool))
        return said


@functools.cache
def _table() -> Table:
    return Table(Path(tempfile.mkdtemp(prefix="edge-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "association_request": association_request,
    "command_set": command_set,
    "head": head,
    "answered": answered,
    "presentation_data": presentation_data,
    "conversation": conversation,
}


def corpus(name: str) -> list[bytes]:
    """What earlier campaigns found to reach something new: one input a line, in hexadecimal digits."""
    return [bytes.fromhex(line) for line in (CORPUS / f"{name}.hex").read_text().splitlines()]


def seeds(name: str) -> Iterator[bytes]:
    """Good inputs to start from."""
    associate = request([(VERIFICATION, IMPLICIT), (CT, EXPLICIT)])
    echo, store = (dimse.command(each) for each in (echo_elements(), store_elements()))
    image = ct_image(pixels=8)
    messages = pdv(1, 3, echo) + pdv(3, 3, store) + pdv(3, 0, image[:40]) + pdv(3, 2, image[40:])
    release = dimse.pdu(dimse.RELEASE_RQ, bytes(4))
    yield from {
        "association_request": [associate[6:]],
        "command_set": [b"\0\0" + echo, b"\0\x20" + store],
        "head": [bytes([number]) + image for number in range(len(SYNTAXES))],
        "answered": [associate[6:], messages[6:]],
        "presentation_data": [messages + release, pdv(1, 3, echo) + dimse.pdu(dimse.ABORT, bytes(4))],
        "conversation": [associate + messages + release, associate + dimse.pdu(dimse.ABORT, bytes(4))],
    }[name]
