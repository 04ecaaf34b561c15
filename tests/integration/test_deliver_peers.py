"""The deliver room with real archives, and with peers that are down, refuse, hang or are killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import support
from outgoing_box import OutgoingBox, becomes, delivering, ring
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage

from edge.journal import Journal, outgoing
from edge.part10 import split
from edge.records import Priority


@contextmanager
def archive(port: int, status: Callable[[evt.Event], int], syntax: str = "") -> Iterator[list[bytes]]:
    """pynetdicom's own SCP as a peer that answers `status`; yields the data sets it got."""
    got: list[bytes] = []

    def store(event: evt.Event) -> int:
        got.append(event.request.DataSet.getvalue())
        return status(event)

    ae = AE("ARCHIVE")
    if syntax:
        ae.add_supported_context(Comprehensive3DSRStorage, syntax)
    else:
        ae.add_supported_context(Comprehensive3DSRStorage)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield got
    finally:
        server.shutdown()


def test_storescp_gets_each_report_byte_for_byte(tmp_path: Path, storescp: support.Storescp) -> None:
    made = OutgoingBox(tmp_path / "box", archive=storescp.port)
    uids = [made.report() for _ in range(5)]
    with delivering(made):
        for uid in uids:
            becomes(made, uid, "SENT")
    stored = {pydicom.dcmread(path).SOPInstanceUID: path for path in storescp.files()}
    assert sorted(stored) == sorted(uids)
    for uid in uids:
        assert split(stored[uid].read_bytes()).data_set == split(made.file(uid).read_bytes()).data_set


def test_orthanc_keeps_one_object_of_repeated_sends(tmp_path: Path, orthanc: support.Orthanc) -> None:
    made = OutgoingBox(tmp_path / "box", archive=orthanc.port)
    uid = made.report()
    digests = set()
    with delivering(made):
        for _ in range(3):
            becomes(made, uid, "SENT")
            (identifier,) = orthanc.get("/instances")
            digests.add(hashlib.sha256(orthanc.read(f"/instances/{identifier}/file")).hexdigest())
            item = made.deliveries()[uid, "archive"]
            outgoing.requeue(made.journal, item.id, item.state, "person")
            ring(made)
        becomes(made, uid, "SENT")
    assert orthanc.sop_instance_uids() == [uid]
    assert len(digests) == 1


def test_a_destination_that_is_down_gets_it_when_it_is_back(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uids = [made.report() for _ in range(3)]
    with delivering(made):
        becomes(made, uids[0], "PENDING peer-unreachable")
        item = made.deliveries()[uids[0], "archive"]
        assert item.attempts >= 1
        assert item.not_before > made.journal.clock() - 2
    with archive(port, lambda _: 0x0000) as got, delivering(made):
        for uid in uids:
            becomes(made, uid, "SENT")
    assert len(got) == 3


def test_the_time_of_the_next_attempt_survives_a_restart(tmp_path: Path, storescp: support.Storescp) -> None:
    made = OutgoingBox(tmp_path / "box", archive=storescp.port)
    waits, goes = made.report(), made.report()
    item = made.deliveries()[waits, "archive"]
    outgoing.postponed(made.journal, item, made.journal.clock() + 3600, "status-A701")
    with delivering(made):
        becomes(made, goes, "SENT")
    assert made.state(waits) == "PENDING status-A701"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xA900, "FAILED status-A900"),
        (0xC101, "FAILED status-C101"),
        (0xB000, "SENT status-B000"),
        (0xA701, "PENDING status-A701"),
    ],
)
def test_the_answer_decides(tmp_path: Path, free_port: Callable[[], int], status: int, state: str) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uid = made.report()
    with archive(port, lambda _: status), delivering(made):
        becomes(made, uid, state)


def test_a_study_that_is_not_there_yet_is_tried_again(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uid = made.report()
    answers = iter((0xA701, 0x0000))
    with archive(port, lambda _: next(answers)) as got, delivering(made):
        becomes(made, uid, "SENT")
    assert len(got) == 2
    assert got[0] == got[1]


def test_an_object_that_no_context_takes_is_failed(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uid = made.report()
    ae = AE("ARCHIVE")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", port), block=False)
    try:
        with delivering(made):
            becomes(made, uid, "FAILED context-refused-3")
    finally:
        server.shutdown()


def test_a_peer_of_the_default_transfer_syntax_only_gets_that(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uid = made.report()
    with archive(port, lambda _: 0x0000, "1.2.840.10008.1.2") as got, delivering(made):
        becomes(made, uid, "SENT")
    sent = pydicom.filereader.read_dataset(pydicom.filebase.DicomBytesIO(got[0]), True, True)
    assert sent == pydicom.dcmread(made.file(uid))


def test_a_changed_file_never_leaves(tmp_path: Path, storescp: support.Storescp) -> None:
    made = OutgoingBox(tmp_path / "box", archive=storescp.port)
    changed, missing, sound = made.report(), made.report(), made.report()
    made.file(changed).chmod(0o640)
    made.file(changed).write_bytes(made.file(changed).read_bytes()[:-1] + b"!")
    made.file(missing).unlink()
    with delivering(made):
        becomes(made, sound, "SENT")
        becomes(made, changed, "FAILED signature")
        becomes(made, missing, "FAILED file-missing")
    assert [pydicom.dcmread(path).SOPInstanceUID for path in storescp.files()] == [sound]


def test_held_deliveries_wait(tmp_path: Path, storescp: support.Storescp) -> None:
    made = OutgoingBox(tmp_path / "box", archive=storescp.port)
    held, sound = made.report(held="not-ours:TextValue"), made.report()
    with delivering(made):
        becomes(made, sound, "SENT")
    assert made.state(held) == "HELD not-ours:TextValue"
    assert len(storescp.files()) == 1


def test_urgent_results_overtake(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    made = OutgoingBox(tmp_path / "box", archive=port)
    uids = [made.report(priority=priority) for priority in (Priority.BACKFILL, Priority.ROUTINE, Priority.STAT)]
    order: list[str] = []

    def store(event: evt.Event) -> int:
        order.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    with archive(port, store), delivering(made):
        for uid in uids:
            becomes(made, uid, "SENT")
    assert order == uids[::-1]


def test_one_hanging_destination_delays_no_other(tmp_path: Path, storescp: support.Storescp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        made = OutgoingBox(tmp_path / "box", archive=storescp.port, hangs=hangs.getsockname()[1])
        stuck = made.report("hangs", priority=Priority.STAT)
        with delivering(made):
            caller, _ = hangs.accept()
            with caller:
                assert caller.recv(1) == b"\x01"
                uids = [made.report("archive") for _ in range(3)]
                ring(made)
                for uid in uids:
                    becomes(made, uid, "SENT")
                assert made.state(stuck, "hangs") == "PENDING"
    assert len(storescp.files()) == 3


def test_a_killed_room_ends_with_one_object_at_the_archive(tmp_path: Path, orthanc: support.Orthanc) -> None:
    """kill -9 after the archive has the object and before its answer arrives; then start again."""
    with Relay(orthanc.port) as relay:
        made = OutgoingBox(tmp_path / "box", archive=relay.port)
        uid = made.report()
        command = [sys.executable, "-m", "edge", "serve", "--room", "deliver", "--config", str(made.settings.file)]
        with subprocess.Popen(command, cwd=support.REPOSITORY, stderr=subprocess.DEVNULL) as first:
            support.wait_until(lambda: orthanc.sop_instance_uids() == [uid], 30, "the object at the archive")
            os.kill(first.pid, signal.SIGKILL)
        assert made.state(uid) == "PENDING"
        relay.answers.set()
        with delivering(made):
            becomes(made, uid, "SENT")
    assert orthanc.sop_instance_uids() == [uid]


class Relay:
    """A TCP relay to `port` that holds back every answer after the first (the A-ASSOCIATE-AC) until `answers`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.answers = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            target = socket.create_connection(("127.0.0.1", self._target))
            self._open += [caller, target]
            threading.Thread(target=self._copy, args=(caller, target, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(target, caller, True), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, holds: bool) -> None:
        try:
            data = source.recv(65536)
            while data:
                target.sendall(data)
                data = source.recv(65536)
                if holds:
                    self.answers.wait(60)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_person_decides(tmp_path: Path, run_edge: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    made = OutgoingBox(tmp_path / "box", archive=1)
    held, gone, pending = made.report(held="not-ours:TextValue"), made.report(held="identity-in-uid"), made.report()
    made.file(gone).unlink()
    ids = {uid: item.id for (uid, _), item in made.deliveries().items()}
    config = ("--config", made.settings.file)

    listed = json.loads(run_edge("deliveries", "list", *config, "--json").stdout)
    assert {item["id"]: item["state"] for item in listed} == {
        ids[held]: "HELD",
        ids[gone]: "HELD",
        ids[pending]: "PENDING",
    }
    assert "not-ours:TextValue" in run_edge("deliveries", "list", "--state", "HELD", *config).stdout

    assert run_edge("deliveries", "release", str(ids[held]), *config).returncode == 0
    assert made.state(held) == "PENDING person"

    refused = run_edge("deliveries", "release", str(ids[gone]), *config)
    assert refused.returncode == 1
    assert "try: `edge jobs retry" in refused.stderr
    assert run_edge("deliveries", "release", str(ids[pending]), *config).returncode == 1
    assert run_edge("deliveries", "release", "999", *config).returncode == 2

    ended = run_edge("deliveries", "discard", str(ids[gone]), str(ids[pending]), *config, "--json")
    assert {item["state"] for item in json.loads(ended.stdout)} == {"DISCARDED"}
    assert made.state(gone) == made.state(pending) == "DISCARDED person"


def test_init_makes_a_box_once(tmp_path: Path, run_edge: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[box]\nroot = "root"\n')
    first = json.loads(run_edge("init", "--config", file, "--json").stdout)
    again = json.loads(run_edge("init", "--config", file, "--json").stdout)
    assert first == {"root": str(tmp_path / "root"), "new": True, "device_uid": again["device_uid"]}
    assert again["new"] is False
    assert (tmp_path / "root" / "journal.db").stat().st_mode & 0o777 == 0o660


def test_a_room_without_a_box_says_what_to_do(
    tmp_path: Path, run_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[box]\nroot = "root"\n')
    ended = run_edge("serve", "--room", "deliver", "--config", file)
    assert ended.returncode == 1
    assert "try: run `edge init`" in ended.stderr


@pytest.mark.parametrize(("became", "reason"), [("SUPERSEDED", "was-superseded"), ("DISCARDED", "was-discarded")])
@pytest.mark.parametrize(("status", "ends"), [(0x0000, "SENT {reason}"), (0xC000, "{became} unwanted")])
def test_what_is_not_wanted_any_more_while_on_the_wire_ends_as_what_the_peer_did(
    tmp_path: Path, became: str, reason: str, status: int, ends: str
) -> None:
    made = OutgoingBox(tmp_path / "box", archive=support.free_port())

    def answer(event: evt.Event) -> int:
        journal = Journal(made.settings.journal)
        (item,) = made.deliveries().values()
        journal.move("delivery", item.id, "PENDING", became, "unwanted")
        journal.close()
        return status

    with archive(made.settings.destinations["archive"].port, answer) as got:
        uid = made.report()
        with delivering(made):
            support.wait_until(lambda: got, what="the object on the wire")
            becomes(made, uid, ends.format(reason=reason, became=became))
            support.wait_until(lambda: not outgoing.due(made.journal, "archive"), what="nothing is due")
    assert made.state(uid) == ends.format(reason=reason, became=became)
    assert len(got) == 1
