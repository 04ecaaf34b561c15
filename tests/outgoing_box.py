"""A box whose infer room has finished: signed reports in the outbox, deliveries in the journal. Identities invented."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import support
from golden import sr_cases

from edge import crypto, keys, rooms
from edge.config import load
from edge.deliver.room import Room
from edge.files import write_durably
from edge.journal import Journal, intake, outgoing, work
from edge.records import UID, Delivery, Instance, Outcome, Priority, Scope
from edge.report.sr import COMPREHENSIVE_3D_SR, build_sr
from edge.statement import result_statement
from edge.wake import Ringer

DESTINATION = """
[destinations.{alias}]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
"""
HEAD = """
[box]
root = "root"
[receive]
port = 0
"""


class OutgoingBox:
    """Made with the ports of its destinations by alias: `OutgoingBox(tmp_path, archive=11113)`."""

    def __init__(self, folder: Path, extra: str = "", **ports: int) -> None:
        folder.mkdir(exist_ok=True)
        file = folder / "edge.toml"
        file.write_text(HEAD + "".join(DESTINATION.format(alias=alias, port=ports[alias]) for alias in ports) + extra)
        self.settings = load(file)
        self.aliases = tuple(self.settings.destinations)
        rooms.make_root(self.settings)
        self.journal = Journal(self.settings.journal)
        self._count = 0

    def report(self, *aliases: str, priority: Priority = Priority.ROUTINE, held: str = "") -> str:
        """One more finished job with one report for each of `aliases` (default: all); returns its UID."""
        self._count += 1
        number = self._count
        uid = UID(f"2.25.9000{number}")
        job = self._running_job(number, priority)
        file = build_sr(dataclasses.replace(sr_cases.result(), report_uid=uid), box=sr_cases.BOX)
        write_durably(self.settings.outbox / f"{uid}.dcm", file)
        digest = hashlib.sha256(file).hexdigest()
        private = keys.load(self.settings.keys, "sign.key")
        work.finish(
            self.journal, job, outcome=Outcome.SUCCEEDED, reason="", report=uid, digest="0" * 64, quarantine=False,
            outgoing=[
                work.Outgoing(
                    sop_instance_uid=uid, sop_class_uid=UID(COMPREHENSIVE_3D_SR), destination=alias, sha256=digest,
                    signature=crypto.sign(private, result_statement(uid, alias, digest)).hex(), held=held,
                )
                for alias in aliases or self.aliases
            ],
        )  # fmt: skip
        return uid

    def file(self, uid: str) -> Path:
        """Where the report `uid` lies."""
        return self.settings.outbox / f"{uid}.dcm"

    def deliveries(self) -> dict[tuple[str, str], Delivery]:
        """Every delivery by (report UID, destination)."""
        rows = self.journal.database.rows("SELECT * FROM delivery")
        found = [outgoing.delivery(row) for row in rows]
        return {(item.sop_instance_uid, item.destination): item for item in found}

    def state(self, uid: str, alias: str = "archive") -> str:
        """`STATE` or `STATE reason` of one delivery."""
        item = self.deliveries()[uid, alias]
        return f"{item.state} {item.reason}".strip()

    def _running_job(self, number: int, priority: Priority) -> work.Job:
        instance = Instance(
            object_id=f"{number:032x}", sop_instance_uid=UID(f"2.25.100{number}"), sop_class_uid=UID("1.2.840"),
            study_instance_uid=UID(f"2.25.200{number}"), series_instance_uid=UID(f"2.25.300{number}"),
            transfer_syntax_uid=UID("1.2.840.10008.1.2"), modality="DX", peer="test", association=f"{1:032x}",
            tag=f"{number:064x}", size=1, slot=0, received_at=float(number),
        )  # fmt: skip
        intake.store(self.journal, [instance], refuse_conflicts=False)
        work.route(self.journal, instance, [work.Target(Scope.IMAGE, "chest", "cxr-pneumonia", priority)])
        job = work.lease(self.journal, 60)
        assert job is not None
        return job


@contextmanager
def delivering(made: OutgoingBox) -> Iterator[Room]:
    """The deliver room, run by a thread."""
    room = Room(made.settings)
    stopping = threading.Event()
    room.start()
    thread = threading.Thread(target=room.run, args=(stopping,))
    thread.start()
    try:
        yield room
    finally:
        stopping.set()
        room.wake()
        thread.join(30)
        room.stop()
        assert not thread.is_alive()


def ring(made: OutgoingBox) -> None:
    ringer = Ringer(made.settings.run)
    ringer.ring("deliver")
    ringer.close()


def becomes(made: OutgoingBox, uid: str, state: str, alias: str = "archive") -> None:
    support.wait_until(lambda: made.state(uid, alias) == state, 15, f"{alias}: {state}, is {made.state(uid, alias)}")
