"""What peers may try against the real process: each gets the answer of PS3.7 and PS3.8, and nobody else notices."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from receiver import (
    CT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    VERIFICATION,
    Raw,
    Receiver,
    ct_image,
    echo_elements,
    element,
    pdv,
    request,
    store_command,
    store_elements,
)
from support import wait_until

from edge import dimse
from edge.wake import Ringer

ABORT = dimse.ABORT
USER_ABORT = (ABORT, bytes((0, 0, 0, 0)))
UNRECOGNIZED, UNEXPECTED = (ABORT, bytes((0, 0, 2, 1))), (ABORT, bytes((0, 0, 2, 2)))
UNEXPECTED_PARAMETER, INVALID_PARAMETER = (ABORT, bytes((0, 0, 2, 5))), (ABORT, bytes((0, 0, 2, 6)))
CLOSED = None
PROPOSAL = ((VERIFICATION, IMPLICIT), (CT, EXPLICIT))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """The real process with small bounds; at the end it must have kept its size and its spool clean."""
    bounds = "max_object_mib = 2\n"
    more = '[[receive.peers]]\nalias = "ct2"\nae_title = "OTHER"\nhosts = ["127.0.0.2"]\n'
    made = Receiver(tmp_path_factory.mktemp("hostile"), bounds, more).spawn()
    with Raw(made.port) as warm:
        warm.associate()
        warm.store(ct_image(instance=f"{INSTANCE}.9", pixels=1_500_000), instance=f"{INSTANCE}.9")
    before = made.rss_mib()
    yield made
    assert made.rss_mib() - before < 64
    assert not [name for name in made.files() if name.endswith(".part")]
    made.stop()
    assert "Traceback" not in made.log.read_text()


@pytest.fixture
def bystander(receiver: Receiver) -> Iterator[None]:
    """Another peer, whose C-ECHO is answered quickly after whatever the test did."""
    yield
    with Raw(receiver.port, "127.0.0.2") as peer:
        begun = time.monotonic()
        assert peer.associate(calling="OTHER")[0] == dimse.ASSOCIATE_AC
        assert peer.echo() == 0
        assert time.monotonic() - begun < 0.25


def body_with(items: bytes, version: int = 1) -> bytes:
    titles = b"EDGE".ljust(16) + b"TEST".ljust(16)
    return dimse.pdu(dimse.ASSOCIATE_RQ, struct.pack(">HH", version, 0) + titles + bytes(32) + items)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


APPLICATION = item(0x10, dimse.APPLICATION_CONTEXT.encode())
USER = item(0x50, item(0x51, struct.pack(">L", 16384)))
GOOD_CONTEXT = item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + item(0x40, EXPLICIT.encode()))


def rejected(result: int, source: int, reason: int) -> tuple[int, bytes]:
    return dimse.ASSOCIATE_RJ, bytes((0, result, source, reason))


BEFORE: dict[str, tuple[bytes, Any]] = {
    "type 0": (dimse.pdu(0, bytes(4)), USER_ABORT),
    "type 255": (dimse.pdu(255, bytes(4)), USER_ABORT),
    "data first": (pdv(1, 3, b"x" * 8), USER_ABORT),
    "release first": (dimse.pdu(dimse.RELEASE_RQ, bytes(4)), USER_ABORT),
    "release answer first": (dimse.pdu(dimse.RELEASE_RP, bytes(4)), USER_ABORT),
    "accept first": (dimse.pdu(dimse.ASSOCIATE_AC, bytes(68)), USER_ABORT),
    "reject first": (dimse.pdu(dimse.ASSOCIATE_RJ, bytes(4)), USER_ABORT),
    "abort first": (dimse.pdu(ABORT, bytes(4)), CLOSED),
    "4 GiB request": (struct.pack(">BxL", 1, 0xFFFFFFFF), USER_ABORT),
    "empty request": (dimse.pdu(1, b""), USER_ABORT),
    "short request": (dimse.pdu(1, bytes(67)), USER_ABORT),
    "item beyond the end": (body_with(struct.pack(">BxH", 0x10, 60000) + b"1.2"), USER_ABORT),
    "half an item": (body_with(b"\x20\0"), USER_ABORT),
    "even context id": (body_with(APPLICATION + item(0x20, b"\2\0\0\0" + item(0x30, CT.encode()))), USER_ABORT),
    "context id twice": (body_with(APPLICATION + GOOD_CONTEXT * 2 + USER), USER_ABORT),
    "context of nothing": (body_with(APPLICATION + item(0x20, b"\1\0\0\0") + USER), USER_ABORT),
    "two abstract syntaxes": (
        body_with(APPLICATION + item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") * 2) + USER),
        USER_ABORT,
    ),
    "max length of 3 bytes": (body_with(APPLICATION + GOOD_CONTEXT + item(0x50, item(0x51, b"123"))), USER_ABORT),
    "role of nothing": (body_with(APPLICATION + GOOD_CONTEXT + item(0x50, item(0x54, b""))), USER_ABORT),
    "role with a length beyond": (body_with(APPLICATION + item(0x50, item(0x54, b"\xff\xff12\1\1"))), USER_ABORT),
    "protocol version 2": (body_with(APPLICATION + GOOD_CONTEXT + USER, version=2), rejected(1, 2, 2)),
    "other application": (body_with(item(0x10, b"1.2.3") + GOOD_CONTEXT + USER), rejected(1, 1, 2)),
    "no application": (body_with(GOOD_CONTEXT + USER), rejected(1, 1, 2)),
    "called AE": (request(PROPOSAL, called="OTHER"), rejected(1, 1, 7)),
    "calling AE": (request(PROPOSAL, calling="STRANGER"), rejected(1, 1, 3)),
    "calling AE with a path": (request(PROPOSAL, calling="../../../etc"), rejected(1, 1, 3)),
    "calling AE with a shell": (request(PROPOSAL, calling="$(reboot);`x`"), rejected(1, 1, 3)),
    "calling AE with format": (request(PROPOSAL, calling="%n%s{0}"), rejected(1, 1, 3)),
    "calling AE with NUL": (request(PROPOSAL, calling="TE\0ST"), rejected(1, 1, 3)),
    "calling AE of nothing": (request(PROPOSAL, calling=""), rejected(1, 1, 3)),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", USER_ABORT),
    "TLS hello to a plain port": (bytes.fromhex("16030100050100000100"), USER_ABORT),
}


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("name", BEFORE)
def test_before_there_is_an_association(receiver: Receiver, name: str) -> None:
    sent, expected = BEFORE[name]
    with Raw(receiver.port) as peer:
        peer.send(sent)
        assert peer.answer() == expected


def command_without(tag: int) -> bytes:
    return pdv(1, 3, dimse.command({key: value for key, value in echo_elements().items() if key != tag}))


def command_with(changes: dict[int, bytes]) -> bytes:
    return pdv(1, 3, dimse.command({**echo_elements(), **changes}))


WITHIN: dict[str, tuple[bytes, Any]] = {
    "unknown type": (dimse.pdu(8, bytes(4)), UNRECOGNIZED),
    "type 0": (dimse.pdu(0, b""), UNRECOGNIZED),
    "second request": (request(PROPOSAL), UNEXPECTED),
    "accept": (dimse.pdu(dimse.ASSOCIATE_AC, bytes(68)), UNEXPECTED),
    "reject": (dimse.pdu(dimse.ASSOCIATE_RJ, bytes(4)), UNEXPECTED),
    "release answer": (dimse.pdu(dimse.RELEASE_RP, bytes(4)), UNEXPECTED),
    "release of 0 bytes": (dimse.pdu(dimse.RELEASE_RQ, b""), INVALID_PARAMETER),
    "release of 4 GiB": (struct.pack(">BxL", 5, 0xFFFFFFFF), INVALID_PARAMETER),
    "abort": (dimse.pdu(ABORT, bytes(4)), CLOSED),
    "data longer than announced": (struct.pack(">BxL", 4, 131073), INVALID_PARAMETER),
    "data of 4 GiB": (struct.pack(">BxL", 4, 0xFFFFFFFF), INVALID_PARAMETER),
    "empty data": (dimse.pdu(4, b""), INVALID_PARAMETER),
    "half a PDV header": (dimse.pdu(4, b"\0\0\0"), INVALID_PARAMETER),
    "PDV of length 0": (dimse.pdu(4, struct.pack(">LBB", 0, 1, 3)), INVALID_PARAMETER),
    "PDV of length 1": (dimse.pdu(4, struct.pack(">LBB", 1, 1, 3)), INVALID_PARAMETER),
    "PDV beyond its PDU": (dimse.pdu(4, struct.pack(">LBB", 200, 1, 3) + bytes(20)), INVALID_PARAMETER),
    "PDV of 4 GiB": (dimse.pdu(4, struct.pack(">LBB", 0xFFFFFFFF, 1, 3) + bytes(20)), INVALID_PARAMETER),
    "context never proposed": (pdv(99, 3, dimse.command(echo_elements())), INVALID_PARAMETER),
    "context of id 2": (pdv(2, 3, dimse.command(echo_elements())), INVALID_PARAMETER),
    "data set without command": (pdv(3, 2, ct_image()), UNEXPECTED_PARAMETER),
    "command in a data set": (store_command() + pdv(3, 1, b"abcd"), UNEXPECTED_PARAMETER),
    "data set of another context": (store_command() + pdv(1, 2, ct_image()), UNEXPECTED_PARAMETER),
    "command over two contexts": (pdv(1, 1, b"abcdefgh") + pdv(3, 3, b"abcdefgh"), UNEXPECTED_PARAMETER),
    "release in a data set": (
        store_command() + pdv(3, 0, ct_image()) + dimse.pdu(dimse.RELEASE_RQ, bytes(4)),
        UNEXPECTED,
    ),
    "unknown PDU in a data set": (store_command() + pdv(3, 0, ct_image()) + dimse.pdu(77, b""), UNRECOGNIZED),
    "endless command": (pdv(1, 1, bytes(8000)) * 3, INVALID_PARAMETER),
    "endless empty command": (pdv(1, 1, b"") * 50 + dimse.pdu(9, b""), UNRECOGNIZED),
    "command of another group": (pdv(1, 3, struct.pack("<HHL", 8, 0x16, 2) + b"12"), USER_ABORT),
    "command element beyond": (pdv(1, 3, struct.pack("<HHL", 0, 2, 0xFFFFFFFF) + b"12"), USER_ABORT),
    "half a command element": (pdv(1, 3, b"\0\0\2"), USER_ABORT),
    "empty command": (pdv(1, 3, b""), USER_ABORT),
    "command without field": (command_without(0x0100), USER_ABORT),
    "command without message id": (command_without(0x0110), USER_ABORT),
    "command without data set type": (command_without(0x0800), USER_ABORT),
    "command of 65 elements": (command_with({0x2000 + key: b"" for key in range(70)}), USER_ABORT),
    "field of 4 bytes": (command_with({0x0100: bytes(4)}), USER_ABORT),
    "a response": (command_with({0x0100: dimse.short(0x8030)}), USER_ABORT),
    "endless data set": (store_command() + pdv(3, 0, ct_image(pixels=100_000)) * 22, USER_ABORT),
}


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("name", WITHIN)
def test_within_an_association(receiver: Receiver, name: str) -> None:
    sent, expected = WITHIN[name]
    with Raw(receiver.port) as peer:
        assert peer.associate()[0] == dimse.ASSOCIATE_AC
        peer.send(sent)
        assert peer.answer() == expected


def test_after_an_abort_the_connection_is_closed(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        peer.send(bytes(10))
        assert peer.answer() == USER_ABORT
        assert peer.answer() is CLOSED


def deep_sequence(depth: int) -> bytes:
    opened = struct.pack("<HH2sxxL", 8, 0x1115, b"SQ", 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return opened * depth


CT_LIKE = ct_image()
STORED: dict[str, tuple[bytes, int]] = {
    "zero length": (b"", 0xC000),
    "random bytes": (random.Random(1).randbytes(5000), 0xC000),
    "text": (b"<html>" * 100, 0xC000),
    "one byte": (b"\x08", 0xC000),
    "no study": (ct_image(study=""), 0xC000),
    "no series": (ct_image(series=""), 0xC000),
    "study with a path": (ct_image(study="../../etc/passwd"), 0xC000),
    "study of 65 characters": (ct_image(study="1." + "2" * 63), 0xC000),
    "study with a shell": (ct_image(study="1.2;reboot"), 0xC000),
    "other instance": (ct_image(instance="1.2.3.4"), 0xA900),
    "other class": (ct_image(sop_class="1.2.840.10008.5.1.4.1.1.4"), 0xA900),
    "instance twice": (element(0x00080018, "UI", b"1.2.3") + CT_LIKE, 0xC000),
    "100,000 levels": (ct_image(before=deep_sequence(50_000)), 0xC000),
    "element beyond": (ct_image(before=struct.pack("<HH2sxxL", 8, 0x9999, b"OB", 0x7FFFFFF0)), 0xC000),
    "no value representation": (ct_image(before=b"\x08\0\x70\0\0\0\0\0"), 0xC000),
    "implicit in an explicit context": (struct.pack("<HHL", 8, 0x16, 26) + CT.encode() + b"\0", 0xC000),
    "odd length": (CT_LIKE + b"\0", 0),
}


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("name", STORED)
def test_a_data_set_that_is_not_one(receiver: Receiver, name: str) -> None:
    """The status of PS3.4 B.2.3; nothing of it stays, and the association goes on."""
    data, status = STORED[name]
    before = receiver.files()
    with Raw(receiver.port) as peer:
        peer.associate()
        assert peer.store(data) == status
        if status:
            assert receiver.files() == before
        assert peer.echo() == 0
        peer.release()


REQUESTS: dict[str, tuple[bytes, int]] = {
    "unknown field": (command_with({0x0100: dimse.short(0x0777)}), 0x0211),
    "C-FIND": (command_with({0x0100: dimse.short(0x0020)}), 0x0211),
    "C-MOVE with identifier": (
        command_with({0x0100: dimse.short(0x0021), 0x0800: dimse.short(0)}) + pdv(1, 2, bytes(900)),
        0x0211,
    ),
    "N-CREATE": (command_with({0x0100: dimse.short(0x0140)}), 0x0211),
    "C-STORE on Verification": (
        pdv(1, 3, dimse.command(store_elements())) + pdv(1, 2, CT_LIKE),
        0x0211,
    ),
    "C-ECHO on Storage": (pdv(3, 3, dimse.command(echo_elements())), 0x0211),
    "C-STORE without data set": (
        pdv(3, 3, dimse.command({**store_elements(), 0x0800: dimse.short(0x0101)})),
        0xC000,
    ),
    "class of another context": (store_command(sop_class="1.2.840.10008.5.1.4.1.1.4") + pdv(3, 2, CT_LIKE), 0x0122),
    "class that is no UID": (store_command(sop_class="CT Image") + pdv(3, 2, CT_LIKE), 0x0122),
    "instance with a path": (store_command("../../../../etc/passwd") + pdv(3, 2, CT_LIKE), 0x0117),
    "instance with a shell": (store_command("1.2;rm -rf $HOME") + pdv(3, 2, CT_LIKE), 0x0117),
    "instance with NUL inside": (store_command("1.2\0.3.4") + pdv(3, 2, CT_LIKE), 0x0117),
    "instance with format": (store_command("%s%n{}") + pdv(3, 2, CT_LIKE), 0x0117),
    "instance not ASCII": (store_command("1.2.\xe9") + pdv(3, 2, CT_LIKE), 0x0117),
    "instance of 65 characters": (store_command("1." + "2" * 63) + pdv(3, 2, CT_LIKE), 0x0117),
    "instance of nothing": (store_command("") + pdv(3, 2, CT_LIKE), 0x0117),
    "cancel of nothing": (command_with({0x0100: dimse.short(0x0FFF)}) + command_with({}), 0),
    "ECHO with a data set": (command_with({0x0800: dimse.short(0)}) + pdv(1, 2, bytes(99)), 0),
}


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_we_do_not_serve(receiver: Receiver, name: str) -> None:
    sent, status = REQUESTS[name]
    with Raw(receiver.port) as peer:
        peer.associate()
        peer.send(sent)
        assert peer.status() == status
        assert peer.echo() == 0
        peer.release()


def test_what_was_refused_is_counted_and_audited_without_names(receiver: Receiver) -> None:
    """Runs last: the rows above left their codes, and no AE title."""
    with closing(Ringer(receiver.settings.run)) as ringer:
        ringer.ring("receive")
    expected = {"calling-ae-not-recognized", "pdu-too-long", "status-c000", "object-too-large"}
    query = "reason FROM event WHERE thing = 'association'"
    wait_until(lambda: expected <= {row["reason"].partition(":")[0] for row in receiver.rows(query)}, 10)
    assert (receiver.settings.run / "receive-counters.json").exists()
    log = receiver.log.read_text()
    assert not [word for word in ("STRANGER", "TEST", "OTHER", "reboot", "passwd", "INVENTED") if word in log]
