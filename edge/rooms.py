"""The life of a room, in four words: start, run, drain, stop. And `serve`: the three rooms as child processes.

A room is a module `edge.<room>.room` with a class `Room(settings)`:

    start()          take what it needs; raise EdgeError when it cannot
    run(stopping)    work until `stopping` is set; never raise for one bad object
    wake()           make `run` look at `stopping` at once (called in a signal handler)
    stop()           finish what was begun, release everything

Signals only set the event. A crash in one room never stops the others: `serve` starts it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from edge import keys
from edge.config import Settings
from edge.errors import EnvironmentFailure, JournalError
from edge.journal import Journal
from edge.journal import create as create_journal
from edge.journal.database import DatabaseError

ROOMS = ("receive", "infer", "deliver")
_RESTART_SECONDS = 1.0
_START_SECONDS = 60.0
_DRAIN_SECONDS = 30.0
_LEASHED = "EDGE_LEASHED"
"""Set for the rooms of a household: their standard input ends when the household does."""


class Room(Protocol):
    """See the module's docstring."""

    def start(self) -> None: ...

    def run(self, stopping: threading.Event) -> None: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...


def make_root(settings: Settings) -> None:
    """Folders, keys and the journal of a new box; what is there already stays as it is."""
    settings.root.mkdir(mode=0o750, parents=True, exist_ok=True)
    for folder, mode in (
        (settings.spool, 0o2770),
        (settings.outbox, 0o2750),
        (settings.run, 0o2770),
        (settings.store, 0o2750),
    ):
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(mode)  # mkdir's own mode is cut by the umask and loses the set-group bit
    keys.create(settings.keys)
    create_journal(settings.journal)


def load_room(name: str, settings: Settings) -> Room:
    """The room called `name`, not yet started. Only this room's code is imported."""
    room: Room = importlib.import_module(f"edge.{name}.room").Room(settings)
    return room


def run_room(name: str, settings: Settings) -> None:
    """Be one room until SIGTERM or SIGINT."""
    stopping = threading.Event()
    if name in ROOMS:
        claim(settings, name)
    room = load_room(name, settings)
    room.start()
    _note(settings, name, "STARTED")

    def leave(*_: object) -> None:
        stopping.set()
        room.wake()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    if os.environ.get(_LEASHED):
        threading.Thread(target=_follow, name="leash", daemon=True).start()
    notify("READY=1")
    try:
        room.run(stopping)
    finally:
        notify("STOPPING=1")
        _note(settings, name, "STOPPED")  # before infer signs the trail for the last time
        room.stop()


def _note(settings: Settings, name: str, what: str) -> None:
    """An event of the audit trail. A full disk must not keep a room from starting: it then answers that it is full."""
    if name not in ROOMS:
        return  # the gateway has no journal
    with contextlib.suppress(JournalError, DatabaseError):
        journal = Journal(settings.journal, durable=False)
        try:
            journal.note("box", f"room.{name}", "", what)
        finally:
            journal.close()


def _follow() -> None:
    """Leave when the household ends without a word (`kill -9`): rooms that nobody watches would hold port and root."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def claim(settings: Settings, name: str) -> int:
    """Be the only `name` on this root as long as the process lives, or until the descriptor returned is closed.

    Two receive rooms would overwrite each other's key slots, and two boxes sweep away what the other is writing.

    Raises
    ------
    EnvironmentFailure
        If another process is it already, or there is no `run` folder.
    """
    if not settings.run.is_dir():
        raise EnvironmentFailure("a folder of the box is missing", which="run", hint="run `edge init`")
    path = settings.run / f"{name}.lock"
    try:
        # without O_CREAT, which a sticky folder refuses for another user's file, to root as well
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        living = announced(settings, name)
        who = f"process {living['pid']}" if living else "the other one"
        raise EnvironmentFailure(
            "it runs already on this root", which=name, hint=f"`edge status`; to start anew, stop {who} first"
        ) from None
    return descriptor


class Heartbeat:
    """Tells PID 1's watchdog that a room's loop came round (sd_notify(3)); silent where nobody listens.

    A room beats once a turn, after it has seen that its own threads live: a room that only looks alive is restarted.
    """

    def __init__(self) -> None:
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._pause = int(os.environ.get("WATCHDOG_USEC", "0")) / 4e6 if watched else 0.0
        self._due = 0.0

    def beat(self) -> None:
        """The loop came round; a ring of many bells in a row makes one ping."""
        now = time.monotonic()
        if self._pause and now >= self._due:
            self._due = now + self._pause
            notify("WATCHDOG=1")


def announce(settings: Settings, room: str, **facts: int | str) -> Path:
    """Write `run/<room>.json`: the room is up. `edge status`, the demo and tests read it."""
    path = settings.run / f"{room}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"pid": os.getpid(), "started_at": time.time(), **facts}))
    part.chmod(0o640)  # whatever the unit's umask: the other rooms may know
    part.rename(path)
    return path


def announced(settings: Settings, room: str) -> dict[str, int | str | float] | None:
    """What a living room announced, or None."""
    return alive(settings.run, room)


def alive(run: Path, room: str) -> dict[str, int | str | float] | None:
    """As `announced`, for who knows the folder `run/` only."""
    try:
        facts: dict[str, int | str | float] = json.loads((run / f"{room}.json").read_text())
        pid = int(facts["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return facts  # it lives, as another user
    except (OSError, OverflowError):
        return None
    return facts


class Household:
    """The three rooms as child processes; each is started again when it ends by itself, and none outlives this one."""

    def __init__(self, settings: Settings, log: int | None = None) -> None:
        self._settings = settings
        self._log = log
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._leash: tuple[int, int] | None = None

    def start(self) -> None:
        """Start every room."""
        self._leash = os.pipe()
        for room in ROOMS:
            (self._settings.run / f"{room}.json").unlink(missing_ok=True)
            self._children[room] = self._spawn(room)

    def wait_ready(self, seconds: float) -> bool:
        """Whether all rooms announced themselves within `seconds`; at once False when one has ended instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping.is_set():
            if all(announced(self._settings, room) for room in ROOMS):
                return True
            if not all(self.alive(room) for room in ROOMS) or self._stopping.wait(0.02):
                break
        return False

    def watch(self) -> None:
        """Restart what ends, until `leave` is called."""
        while not self._stopping.wait(_RESTART_SECONDS):
            for room in ROOMS:
                if not self.alive(room):
                    self.restart(room)

    def leave(self, *_: object) -> None:
        """Make `watch` return (safe in a signal handler)."""
        self._stopping.set()

    @property
    def leaving(self) -> bool:
        """Whether `leave` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask every room to drain and end; end those that do not in time."""
        self._stopping.set()
        for room in ROOMS:
            child = self._children.get(room)
            if child is not None and child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for child in self._children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._leash is not None:
            for end in self._leash:
                os.close(end)
            self._leash = None

    def pid(self, room: str) -> int:
        """The process id of `room`."""
        return self._children[room].pid

    def alive(self, room: str) -> bool:
        """Whether `room`'s process runs."""
        return self._children[room].poll() is None

    def restart(self, room: str) -> None:
        """Start `room` again once its process has ended; one that lives on is left alone."""
        try:
            self._children[room].wait(_RESTART_SECONDS)
        except subprocess.TimeoutExpired:
            return
        self._children[room] = self._spawn(room)

    def _spawn(self, room: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "edge", "serve", "--room", room, "--config", str(self._settings.file)]
        assert self._leash is not None
        environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1", _LEASHED: "1"}
        return subprocess.Popen(
            command, env=environment, stdin=self._leash[0], stdout=self._log, stderr=self._log, start_new_session=True
        )


def serve(settings: Settings) -> int:
    """`edge serve` without a room: all three, until SIGTERM or SIGINT."""
    make_root(settings)
    claim(settings, "serve")
    for room in ROOMS:  # one may have outlived a killed `edge serve`
        os.close(claim(settings, room))
    household = Household(settings)
    signal.signal(signal.SIGTERM, household.leave)
    signal.signal(signal.SIGINT, household.leave)
    household.start()
    try:
        if not household.wait_ready(_START_SECONDS) and not household.leaving:
            down = [room for room in ROOMS if not household.alive(room)] or list(ROOMS)
            raise EnvironmentFailure(
                "a room does not start", which=", ".join(down), hint="mend what it says above, or ask `edge doctor`"
            )
        household.watch()
    finally:
        household.stop()
    return 0


def notify(message: str) -> None:
    """sd_notify(3) through a socket pair, so that a room needs no socket(2) of its own."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, other:
        ours.sendto(message.encode(), "\0" + address[1:] if address[0] == "@" else address)


__all__ = [
    "ROOMS",
    "Heartbeat",
    "Household",
    "Room",
    "announce",
    "announced",
    "claim",
    "load_room",
    "make_root",
    "notify",
    "run_room",
    "serve",
]
