"""C-FIND over our own SCU: answers in, bounded in number, bytes and time, whatever the archive does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edge import dimse
from edge.dimse import ASSOCIATE_AC, RELINK_VERSION_NAME, Context, Message, Stream
from edge.errors import PeerFailure
from edge.scu import Peer, Scu

FIND, SYNTAX = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2.1"
Answer = Callable[[Stream, int], None]


def response(message_id: int, status: int, data: bytes = b"") -> bytes:
    """A C-FIND-RSP as it goes over the wire."""
    command = dimse.command(
        {
            0x0100: dimse.short(0x8020),
            0x0120: dimse.short(message_id),
            0x0800: dimse.short(1 if data else dimse.NO_DATA_SET),
            0x0900: dimse.short(status),
        }
    )
    return b"".join(dimse.fragments(1, command, data, dimse.MAX_PDU))


@contextmanager
def archive(answer: Answer) -> Iterator[Scu]:
    """An association with a peer that accepts it, reads one request and then does `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(PeerFailure):
            stream = Stream(connection)
            stream.read(10)
            accepted = [Context(1, FIND, SYNTAX)]
            stream.write(dimse.associate(ASSOCIATE_AC, "PACS", "TEST", accepted, RELINK_VERSION_NAME), 10)
            request = Message()
            while not request.add(stream.read(10)[1]):
                pass
            answer(stream, dimse.number(request.command, 0x0110))
            stream.drain(10)

    thread = threading.Thread(target=serve)
    thread.start()
    scu = Scu(Peer("127.0.0.1", listener.getsockname()[1], "PACS", "TEST"), [(FIND, SYNTAX)])
    scu.open()
    try:
        yield scu
    finally:
        scu.abort()
        thread.join(15)
        listener.close()


def asked(answer: Answer, *, most: int = 10, seconds: float = 10.0) -> list[bytes]:
    with archive(answer) as scu:
        return scu.find(FIND, SYNTAX, b"query!", most=most, seconds=seconds)


def failure(answer: Answer, *, most: int = 10, seconds: float = 10.0) -> str:
    with pytest.raises(PeerFailure) as failed:
        asked(answer, most=most, seconds=seconds)
    return failed.value.reason


def test_the_answers_come_in_their_order() -> None:
    def answer(stream: Stream, number: int) -> None:
        for status, data in ((0xFF00, b"one!"), (0xFF01, b"two!"), (0x0000, b"")):
            stream.write(response(number, status, data), 10)

    assert asked(answer) == [b"one!", b"two!"]


def test_no_answer_is_an_empty_list() -> None:
    assert asked(lambda stream, number: stream.write(response(number, 0), 10)) == []


def test_a_refusal_is_a_failure_with_its_status() -> None:
    assert failure(lambda stream, number: stream.write(response(number, 0xA700), 10)) == "find-A700"


def test_answers_without_end_are_cut() -> None:
    def flood(stream: Stream, number: int) -> None:
        while True:
            stream.write(response(number, 0xFF00, b"more"), 10)

    assert failure(flood) == "too-many-answers"


@pytest.mark.parametrize(("size", "reason"), [(1 << 19, "too-many-answers"), (1 << 21, "protocol")])
def test_bytes_without_end_are_cut(size: int, reason: str) -> None:
    def flood(stream: Stream, number: int) -> None:
        while True:
            stream.write(response(number, 0xFF00, bytes(size)), 10)

    assert failure(flood, most=1000) == reason


def test_silence_ends_with_the_deadline() -> None:
    assert failure(lambda stream, _: stream.drain(10), seconds=0.2) == "silent"


def test_an_answer_to_another_question_is_a_failure() -> None:
    assert failure(lambda stream, number: stream.write(response(number + 1, 0), 10)) == "protocol"


def test_the_peer_says_what_it_is() -> None:
    with archive(lambda *_: None) as scu:
        assert scu.announced == RELINK_VERSION_NAME
