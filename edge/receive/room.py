"""The receive room: wires acceptor, intake, vault and journal together, and recovers what a crash left."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from pathlib import Path

from edge import keys, rooms, sealed
from edge.config import Settings
from edge.errors import EnvironmentFailure
from edge.journal import Journal, intake
from edge.receive.acceptor import Acceptor, listen
from edge.receive.admission import Admission
from edge.receive.association import House
from edge.receive.blanks import Blanks
from edge.receive.commit import Durable, GroupCommit
from edge.receive.counters import Counters
from edge.receive.intake import Intake
from edge.receive.reserve import Reserve
from edge.receive.syntaxes import Offer
from edge.tls import server_context
from edge.vault import Sealer
from edge.wake import Doorbell, Ringer

COUNTERS_SECONDS = 5.0
_GRACE_SECONDS = 3.0
_ABORT_SECONDS = 5.0


class Room:
    """See edge.rooms. `port` is where it listens once started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = contextlib.ExitStack()
        self.port = 0

    def start(self) -> None:
        """Recover, then listen. Raises EdgeError when something needed is missing."""
        with contextlib.ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()

    def run(self, stopping: threading.Event) -> None:
        """The associations run by themselves; here the counters are kept."""
        heart = rooms.Heartbeat()
        while not stopping.is_set():
            self._doorbell.wait(COUNTERS_SECONDS)
            self.counters.write(self._journal)
            if self._acceptor.is_accepting:
                heart.beat()

    def wake(self) -> None:
        self._doorbell.ring_self()

    def stop(self) -> None:
        """Accept nothing more; let associations finish for a few seconds, then abort them."""
        self._open.close()

    def _start(self, opened: contextlib.ExitStack) -> None:
        settings = self._settings
        _check_folders(settings)
        sealed.sweep(settings.spool)
        self._journal = Journal(settings.journal, durable=False)
        opened.callback(self._journal.close)
        recover(self._journal, settings.spool, refuse_conflicts=settings.receive.on_conflict == "refuse")
        self.counters = Counters(settings.run / "receive-counters.json")
        opened.callback(self.counters.write, self._journal, everything=True)
        self._doorbell = Doorbell(settings.run, "receive")
        opened.callback(self._doorbell.close)
        stop_read, stop_write = os.pipe()
        for descriptor in (stop_read, stop_write):
            opened.callback(os.close, descriptor)
        house = House(
            bounds=settings.receive,
            admission=Admission(settings.receive),
            offer=Offer(settings.receive.private_sop_classes),
            intake=self._make_intake(opened),
            counters=self.counters,
            tls=server_context(settings.receive.tls, settings, "receive.tls"),
            stop=stop_read,
        )
        listener = listen(settings.receive)
        self.port = int(listener.getsockname()[1])
        self._acceptor = Acceptor(listener, house)
        self._acceptor.start()
        opened.callback(_end_associations, self._acceptor, stop_write)
        rooms.announce(settings, "receive", port=self.port)

    def _make_intake(self, opened: contextlib.ExitStack) -> Intake:
        settings = self._settings
        reserve = Reserve(settings.spool, settings.storage)
        blanks = Blanks(settings.spool, settings.storage.prepared_mib << 20, reserve)
        opened.callback(blanks.close)
        public, tag_key = (keys.load(settings.keys, name) for name in ("seal.pub", "tag.key"))
        sealer = Sealer(settings.spool, public, tag_key, blanks.take)
        opened.callback(sealer.slots.close)
        ringer = Ringer(settings.run)
        opened.callback(ringer.close)
        ring = functools.partial(ringer.ring, "infer")
        refuse = settings.receive.on_conflict == "refuse"
        durable = Durable(settings.spool, sealer.slots, self._journal, ring, refuse_conflicts=refuse)
        opened.callback(durable.close)
        return Intake(
            spool=settings.spool,
            sealer=sealer,
            journal=self._journal,
            commit=GroupCommit(durable),
            reserve=reserve,
            ring=ring,
        )


def recover(journal: Journal, spool: Path, *, refuse_conflicts: bool) -> int:
    """After a crash: no association is open, and every sealed object is in the journal; returns how many were not."""
    lost = sealed.scan(spool, known=intake.object_ids(journal))
    rebuilt = intake.rebuild(journal, lost, refuse_conflicts=refuse_conflicts)
    for object_id in rebuilt.superfluous:
        (spool / object_id).unlink(missing_ok=True)
    intake.close_stale_associations(journal)
    return rebuilt.added


def _check_folders(settings: Settings) -> None:
    for folder in (settings.spool, settings.run):
        if not folder.is_dir():
            raise EnvironmentFailure("a folder of the box is missing", which=folder.name, hint="run `edge init`")


def _end_associations(acceptor: Acceptor, stop_write: int) -> None:
    acceptor.stop_accepting()
    if not acceptor.wait_empty(_GRACE_SECONDS):
        os.write(stop_write, b"!")
        acceptor.wait_empty(_ABORT_SECONDS)
