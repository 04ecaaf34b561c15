"""What the deliver room decides without a peer: statuses, pauses, what it believes, the default transfer syntax."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
import threading
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from golden import sr_cases
from hypothesis import given
from hypothesis import strategies as st
from outgoing_box import OutgoingBox
from pydicom.uid import ImplicitVRLittleEndian

from edge import dimse, keys
from edge.deliver import outbox, retry
from edge.deliver.implicit import implicit
from edge.errors import BadObject, PeerFailure
from edge.part10 import split
from edge.report.sr import build_sr
from edge.scu import Peer, Scu


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        (0x0000, "SENT", ""),
        (0xB000, "SENT", "status-B000"),
        (0xB007, "SENT", "status-B007"),
        (0x0107, "SENT", "status-0107"),
        (0x0116, "SENT", "status-0116"),
        (0x0111, "SENT", "status-0111"),
        (0xA700, "PENDING", "status-A700"),
        (0xA701, "PENDING", "status-A701"),
        (0xA702, "PENDING", "status-A702"),
        (0x0110, "PENDING", "status-0110"),
        (0x0213, "PENDING", "status-0213"),
        (0xA900, "FAILED", "status-A900"),
        (0xC000, "FAILED", "status-C000"),
        (0xC101, "FAILED", "status-C101"),
        (0xC102, "FAILED", "status-C102"),
        (0x0122, "FAILED", "status-0122"),
        (0x0124, "FAILED", "status-0124"),
        (0x0117, "FAILED", "status-0117"),
        (0xFE00, "FAILED", "status-FE00"),
    ],
)
def test_each_status_has_one_meaning(status: int, state: str, reason: str) -> None:
    assert retry.of_status(status) == retry.Decision(retry.DeliveryState(state), reason)


def test_silence_is_tried_again_and_a_refused_context_is_not() -> None:
    assert retry.of_failure("silent").state == "PENDING"
    assert retry.of_failure("aborted").state == "PENDING"
    assert retry.of_failure("context-refused-3") == retry.Decision(retry.DeliveryState.FAILED, "context-refused-3")


def test_pauses_double_up_to_ten_minutes_and_vary() -> None:
    longest = retry.Backoff(chance=lambda: 1.0)
    assert [longest.seconds(attempts) for attempts in range(4)] == [2, 4, 8, 16]
    assert longest.seconds(1000) == 600
    assert retry.Backoff(chance=lambda: 0.0).seconds(1000) == 300


@pytest.fixture
def made(tmp_path: Path) -> OutgoingBox:
    return OutgoingBox(tmp_path / "box", archive=1)


def _read(made: OutgoingBox, uid: str, **changes: object) -> object:
    item = dataclasses.replace(made.deliveries()[uid, "archive"], **changes)
    return outbox.read(made.settings.outbox, item, keys.load(made.settings.keys, "verify.pub"))


def test_a_signed_report_is_believed(made: OutgoingBox) -> None:
    uid = made.report()
    parts = split(made.file(uid).read_bytes())
    assert _read(made, uid) == parts
    assert parts.sop_instance_uid == uid


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "00" * 64},
        {"signature": "not hexadecimal"},
        {"sha256": "0" * 64},
        {"destination": "another"},
        {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"},
        {"sop_instance_uid": "../../etc/passwd"},
        {"sop_instance_uid": ""},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_the_journal_says_is_not_believed_unsigned(made: OutgoingBox, changes: dict[str, str]) -> None:
    with pytest.raises(outbox.Refused) as caught:
        _read(made, made.report(), **changes)
    assert caught.value.reason == "signature"


def test_a_changed_file_is_refused_even_with_a_changed_digest(made: OutgoingBox) -> None:
    uid = made.report()
    file = made.file(uid)
    changed = file.read_bytes().replace(b"Pneumonia", b"pneumonia")
    assert changed != file.read_bytes()
    file.chmod(0o640)
    file.write_bytes(changed)
    with pytest.raises(outbox.Refused):
        _read(made, uid)
    with pytest.raises(outbox.Refused):
        _read(made, uid, sha256=hashlib.sha256(changed).hexdigest())


def test_another_results_file_is_refused(made: OutgoingBox) -> None:
    first, second = made.report(), made.report()
    made.file(first).replace(made.file(second))
    with pytest.raises(outbox.Refused) as caught:
        _read(made, second)
    assert caught.value.reason == "signature"
    with pytest.raises(outbox.Refused) as caught:
        _read(made, first)
    assert caught.value.reason == "file-missing"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_a_plain_file_is_read(made: OutgoingBox, kind: str) -> None:
    uid = made.report()
    file = made.file(uid)
    aside = file.with_suffix(".aside")
    file.rename(aside)
    if kind == "link":
        file.symlink_to(aside)
    else:
        os.mkfifo(file)
    with pytest.raises(outbox.Refused) as caught:
        _read(made, uid)
    assert caught.value.reason == "file-missing"


def test_the_default_transfer_syntax_says_the_same() -> None:
    file = build_sr(sr_cases.DETECTED, box=sr_cases.BOX)
    explicit = pydicom.dcmread(BytesIO(file))
    body = implicit(split(file).data_set)
    written = BytesIO()
    pydicom.filewriter.write_dataset(_implicit_writer(written), explicit)
    assert body == written.getvalue()


def _implicit_writer(target: BytesIO) -> pydicom.filebase.DicomFileLike:
    writer = pydicom.filebase.DicomFileLike(target)
    writer.is_implicit_VR = ImplicitVRLittleEndian.is_implicit_VR
    writer.is_little_endian = True
    return writer


@given(st.binary(max_size=200))
def test_no_bytes_break_the_default_transfer_syntax(data: bytes) -> None:
    try:
        implicit(data)
    except BadObject:
        return


@given(st.binary(max_size=300))
def test_no_bytes_break_the_file_reader(data: bytes) -> None:
    with pytest.raises(BadObject):
        split(data)
    try:
        split(bytes(128) + b"DICM" + data)
    except BadObject:
        return


@given(st.binary(max_size=300))
def test_no_answer_breaks_the_sender(data: bytes) -> None:
    """Whatever comes after a sound beginning, the only error is PeerFailure."""
    for read in (dimse.answered_contexts, dimse.parse_command, dimse.Message().add):
        reasons = {"protocol"}
        try:
            read(data)
        except PeerFailure as error:
            reasons.add(error.reason)
        assert reasons == {"protocol"}


def _answer(*pdus: bytes) -> int:
    """A peer that answers one connection with these bytes; returns its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(65536)
            for pdu in pdus:
                connection.sendall(pdu)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07",), "rejected-1-7"),
        ((b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",), "aborted"),
        ((b"\x02\x00\xff\xff\xff\xff",), "protocol"),
        ((b"\x09\x00\x00\x00\x00\x00",), "protocol"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "protocol"),
        ((b"\x02\x00",), "aborted"),
        ((), "aborted"),
    ],
)
def test_a_peer_that_is_none_ends_in_one_reason(answer: tuple[bytes, ...], reason: str) -> None:
    with pytest.raises(PeerFailure) as caught, Scu(Peer("127.0.0.1", _answer(*answer), "A", "B"), [("1.2", "1.2.3")]):
        pass
    assert caught.value.reason == reason


def test_nobody_there_is_unreachable(free_port: object) -> None:
    with pytest.raises(PeerFailure) as caught, Scu(Peer("127.0.0.1", free_port(), "A", "B"), [("1.2", "1.2.3")]):
        pass
    assert caught.value.reason == "unreachable"
