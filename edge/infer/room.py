"""The infer room: holds the opening key, runs models in workers, is the only writer of the outbox.

`start` takes keys, journal and packages; `run` lets the lanes work until told to stop; `stop` ends the workers. A
lane is a thread that takes one job after the other; the models run in worker processes, so lanes only wait.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time

import edge
from edge import keys
from edge.config import Settings
from edge.errors import EdgeError, EnvironmentFailure, PackageError
from edge.infer import lockdown, retention
from edge.infer.caretaker import Caretaker
from edge.infer.completion import Completion
from edge.infer.control import Act, Control
from edge.infer.desk import Desk
from edge.infer.dispatcher import Dispatcher
from edge.infer.erase import Eraser
from edge.infer.find import Finder
from edge.infer.headers import Headers
from edge.infer.keeper import Keeper
from edge.infer.meter import Meter
from edge.infer.rejection import Rejector
from edge.infer.replay import Replayer
from edge.infer.roster import Line
from edge.infer.shadow import Shadows
from edge.infer.stage import Stage
from edge.infer.takeback import Takebacks
from edge.infer.witness import Witness
from edge.journal import Journal, work
from edge.journal.database import DatabaseError
from edge.operate.logs import frames
from edge.packages.lifecycle import Lifecycle
from edge.packages.registry import Registry
from edge.packages.site import policy_of, store_of
from edge.records import UID
from edge.report.identity import BoxIdentity
from edge.rooms import Heartbeat, announce
from edge.vault import Opener
from edge.wake import POLL_SECONDS, Doorbell, Ringer

_LEASE_MARGIN_SECONDS = 300.0

log = logging.getLogger("edge.infer")


def box_identity(settings: Settings) -> BoxIdentity:
    """Who this box is in its reports. Raises KeyFileError."""
    device_uid = UID(keys.device_uid(settings.keys))
    serial = hashlib.sha256(device_uid.encode()).hexdigest()[:16]
    return BoxIdentity(device_uid, serial, edge.__version__)


class Room:
    """See edge/rooms.py. `registry` is given by tests that bring packages of their own."""

    def __init__(self, settings: Settings, registry: Registry | None = None) -> None:
        self._settings = settings
        self._registry = registry
        self._work = threading.Condition()
        self._rings = 0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Take keys, journal and packages. Raises EdgeError; a route that cannot run is announced, not raised."""
        lockdown.undumpable()
        settings = self._settings
        self._opener = opener = Opener(settings.spool, keys.load(settings.keys, "open.key"))
        box, sign_key = box_identity(settings), keys.load(settings.keys, "sign.key")
        self._journal = Journal(settings.journal)
        work.release_stale(self._journal)
        self._lanes = settings.infer.workers or os.cpu_count() or 1
        headers = Headers(opener)
        self.stage = stage = Stage(settings, self._journal, self._shipped(), self._lanes)
        lifecycle = Lifecycle(self._journal, store_of(settings), stage.shipped, stage, policy_of(settings))
        lifecycle.recover()
        stage.start()
        self.pool = stage.pool
        takebacks = Takebacks(settings, self._journal, box, sign_key)
        rejector = Rejector(settings.spool, settings.outbox, self._journal, opener, headers, takebacks)
        self._desk = Desk(
            self._journal, headers, lambda: stage.roster.lines,
            Completion({route.name: route for route in settings.routes}),
            rejector,
            lambda: stage.longest_seconds + _LEASE_MARGIN_SECONDS,
        )  # fmt: skip
        self._meter = Meter(settings, self._journal, lambda: stage.roster.lines)
        self._caretaker = Caretaker(settings, self._journal, stage, lifecycle)
        self._dispatcher = Dispatcher(
            settings, self._journal, stage.roster, opener=opener, headers=headers, pool=self.pool, box=box,
            sign_key=sign_key, meter=self._meter, suspect=self._caretaker.suspect,
        )  # fmt: skip
        self._doorbell = Doorbell(settings.run, "infer")
        self._ringer = Ringer(settings.run)
        self._witness = Witness(self._journal, sign_key, settings.run)
        self._shadows = Shadows(self._journal, stage.roster, self._dispatcher, box.device_uid)
        replayer = Replayer(settings, self._journal, stage.roster, self._dispatcher, box)
        self._control = self._controlled(headers, replayer, Keeper(lifecycle))
        self._caretaker.start()
        _announce(settings, stage.roster.lines, self._lanes)

    def _shipped(self) -> Registry:
        """The packages of the software; where they are damaged every route stands still, with what is wrong."""
        if self._registry is not None:
            return self._registry
        try:
            return Registry()
        except PackageError as error:
            return Registry({}, {route.package: error for route in self._settings.routes})

    def _controlled(self, headers: Headers, replayer: Replayer, keeper: Keeper) -> Control:
        settings = self._settings
        eraser = Eraser(settings.spool, settings.outbox, self._journal, self._opener, headers)
        eraser.resume()
        finder = Finder(self._journal, headers)
        return Control(
            settings.run,
            {
                "erase": Act(eraser.erase),
                "find": Act(finder.find, stops=True),
                "replay": Act(replayer.replay, stops=True),
                "models": Act(keeper.act),
            },
        )

    def run(self, stopping: threading.Event) -> None:
        """Pass rings on to the lanes until `stopping` is set; then wait until each has ended its job."""
        lanes = [threading.Thread(target=self._lane, name=f"lane-{number}") for number in range(self._lanes)]
        for lane in lanes:
            lane.start()
        try:
            self._pass_rings(stopping, lanes)
        finally:
            # lanes left behind would keep a room alive that does nothing
            self._stopping.set()
            for _ in lanes:
                self._hint()
            for lane in lanes:
                lane.join()

    def wake(self) -> None:
        """Make `run` look at its event (safe in a signal handler)."""
        self._doorbell.ring_self()

    def stop(self) -> None:
        """End the workers and release everything."""
        self._control.close()
        self._caretaker.close()
        self.pool.close()
        self._witness.look(now=True)
        self._doorbell.close()
        self._ringer.close()
        self._journal.close()

    def _pass_rings(self, stopping: threading.Event, lanes: list[threading.Thread]) -> None:
        heart = Heartbeat()
        next_round = 0.0
        while not stopping.is_set():
            self._doorbell.wait(POLL_SECONDS)
            self._hint()
            if not all(lane.is_alive() for lane in lanes):
                raise EnvironmentFailure("a lane ended", hint="see the lines above, then `edge doctor`")
            heart.beat()
            self._witness.look()
            self._meter.look()
            self._dispatcher.settle()
            self.stage.tidy()
            if time.monotonic() >= next_round:
                self._erase()
                next_round = time.monotonic() + retention.ROUND_SECONDS

    def _lane(self) -> None:
        while not self._stopping.is_set():
            rings = self._rings
            try:
                job = None if self._dispatcher.is_blocked else self._desk.take()
            except Exception as error:  # noqa: BLE001 - a full disk or a locked journal: look again at the next poll
                log.error("no job could be taken: %s\n%s", type(error).__name__, frames(error))
                job = None
            if job is None:
                if not self._shadow():
                    self._rest(rings)
                continue
            self._hint()  # where one job was, there may be another
            if self._dispatcher.process(job):
                self._ringer.ring("deliver")

    def _shadow(self) -> bool:
        """Whether a shadow looked at something: this lane has nothing better to do."""
        try:
            return self._shadows.run_one()
        except Exception as error:  # noqa: BLE001 - a shadow is nobody's result
            log.error("a shadow could not look: %s\n%s", type(error).__name__, frames(error))
            return False

    def _erase(self) -> None:
        try:
            retention.erase_expired(self._settings, self._journal, self._opener)
            retention.sweep_outbox(self._journal, self._settings.outbox)
        except (EdgeError, OSError, DatabaseError) as error:
            log.error("what has been kept long enough could not be erased: %s", type(error).__name__)

    def _rest(self, rings: int) -> None:
        """Wait for a hint, unless one came since the bell had rung `rings` times."""
        with self._work:
            if self._rings == rings:
                self._work.wait(POLL_SECONDS)

    def _hint(self) -> None:
        """There may be work for one more lane."""
        with self._work:
            self._rings += 1
            self._work.notify()


def _announce(settings: Settings, lines: tuple[Line, ...], lanes: int) -> None:
    problems = [f"{line.route.name}: {line.problem}" for line in lines if line.problem]
    for problem in problems:
        log.error("route %s", problem)
    announce(settings, "infer", lanes=lanes, routes=len(lines), stopped=len(problems), problems="; ".join(problems))
