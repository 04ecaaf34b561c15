"""Slow, silent and many: no connection outlives its deadline, and none takes another peer's place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import leak_receive
import pytest
from receiver import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Raw,
    Receiver,
    ct_image,
    echo_elements,
    pdv,
    request,
    store_command,
)

from edge import dimse

TOO_SLOW = (dimse.ABORT, bytes((0, 0, 2, 0)))
CLOSED = None
PROPOSAL = ((VERIFICATION, IMPLICIT), (CT, EXPLICIT))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """The real process with short deadlines, and a second peer."""
    bounds = "artim_seconds = 1.0\npdu_seconds = 0.5\nidle_seconds = 1.5\n"
    more = '[[receive.peers]]\nalias = "ct2"\nae_title = "OTHER"\nhosts = ["127.0.0.2"]\n'
    made = Receiver(tmp_path_factory.mktemp("deadlines"), bounds, more).spawn()
    yield made
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


def trickle(peer: Raw, data: bytes) -> None:
    """A byte every 50 ms, until the other side has had enough."""
    try:
        for index in range(len(data)):
            peer.send(data[index : index + 1])
            time.sleep(0.05)
    except OSError:
        return


def until_closed(peer: Raw) -> tuple[int, bytes] | None:
    """The last answer."""
    last = peer.answer()
    return last if last is None else (until_closed(peer) or last)


def silent(peer: Raw) -> None:
    assert until_closed(peer) is CLOSED


def slow_request(peer: Raw) -> None:
    trickle(peer, request(PROPOSAL))
    assert until_closed(peer) is CLOSED


def idle(peer: Raw) -> None:
    peer.associate()
    assert until_closed(peer) == TOO_SLOW


def slow_pdu(peer: Raw) -> None:
    peer.associate()
    trickle(peer, pdv(1, 3, dimse.command(echo_elements())))
    assert until_closed(peer) in (TOO_SLOW, CLOSED)


def silent_in_data_set(peer: Raw) -> None:
    peer.associate()
    peer.send(store_command() + pdv(3, 0, ct_image()))
    assert until_closed(peer) == TOO_SLOW


def crawling_data_set(peer: Raw) -> None:
    """Every PDU in time, but one byte each: the object as a whole has a pace to keep."""
    peer.associate()
    peer.send(store_command())
    try:
        for _ in range(100):
            peer.send(pdv(3, 0, b"x"))
            time.sleep(0.02)
    except OSError:
        return
    assert until_closed(peer) is not CLOSED


def never_reads(peer: Raw) -> None:
    peer.associate()
    echoes = pdv(1, 3, dimse.command(echo_elements())) * 1000
    peer.socket.settimeout(0.1)
    begun = time.monotonic()
    while time.monotonic() - begun < 15:
        try:
            peer.send(echoes)
        except TimeoutError:
            continue
        except ConnectionError:
            return
    pytest.fail("the room still waits for a peer that never reads")


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "attack", [silent, slow_request, idle, slow_pdu, silent_in_data_set, crawling_data_set, never_reads]
)
def test_no_connection_outlives_its_deadline(receiver: Receiver, attack: Callable[[Raw], None]) -> None:
    begun = time.monotonic()
    with Raw(receiver.port) as peer:
        attack(peer)
    assert time.monotonic() - begun < 15  # the deadlines are a second or two; a busy machine adds to them


@pytest.mark.usefixtures("bystander")
def test_half_open_floods_take_no_place_from_others(receiver: Receiver) -> None:
    """100 connections that say nothing: the bystander's address has its own places."""
    flood = [Raw(receiver.port) for _ in range(100)]
    with Raw(receiver.port, "127.0.0.2") as peer:
        assert peer.associate(calling="OTHER")[0] == dimse.ASSOCIATE_AC
        assert peer.echo() == 0
    for each in flood:
        each.socket.close()


@pytest.mark.usefixtures("bystander")
def test_strangers_take_no_place(receiver: Receiver) -> None:
    """An address that no peer has is told so, however many come."""
    strangers = [Raw(receiver.port, f"127.0.1.{index}") for index in range(1, 60)]
    with Raw(receiver.port) as peer:
        assert peer.associate()[0] == dimse.ASSOCIATE_AC
    for each in strangers:
        each.socket.close()
    with Raw(receiver.port, "127.0.2.1") as stranger:
        assert stranger.associate() == (dimse.ASSOCIATE_RJ, bytes((0, 1, 1, 3)))


def test_two_thousand_associations_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long command is leak_receive.py itself."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # its records of lines are not the room's memory
    found = leak_receive.leak(tmp_path, 2000)
    assert found["MiB more"] <= leak_receive.MOST_MIB, found
