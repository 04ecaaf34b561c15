"""Doorbells between rooms: a datagram to `run/<room>.sock` says "look at the journal".

A ring is a hint and may be lost; whoever waits also looks once a second. Neither side ever blocks on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 1.0
_FIRST_INHERITED = 3


class Doorbell:
    """A room's own bell. `wait` returns when somebody rang, or after the poll time."""

    def __init__(self, run: Path, room: str) -> None:
        self._socket = inherited("bell") or bound(run / f"{room}.sock")
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Block until a ring or until `seconds` passed; all waiting rings are taken."""
        watched = [self._wake_read, *([self._socket.fileno()] if self._socket else [])]
        readable, _, _ = select.select(watched, [], [], seconds)
        if self._socket and self._socket.fileno() in readable:
            with contextlib.suppress(BlockingIOError):
                while self._socket.recv(16):
                    pass
        if self._wake_read in readable:
            os.read(self._wake_read, 4096)

    def ring_self(self) -> None:
        """Wake the waiting thread of this process (safe in a signal handler)."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


class Ringer:
    """Rings other rooms' bells, without ever waiting or failing."""

    def __init__(self, run: Path) -> None:
        self._folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
        # not socket(2), which the units forbid: one of a pair can also send to a name
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        other.close()

    def ring(self, room: str) -> None:
        """Hint `room` that the journal changed."""
        with contextlib.suppress(OSError):
            self._socket.sendto(b"!", f"/proc/self/fd/{self._folder}/{room}.sock")

    def close(self) -> None:
        self._socket.close()
        os.close(self._folder)


def inherited(name: str) -> socket.socket | None:
    """The socket that PID 1 bound and passed under `name` (sd_listen_fds(3)), or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    if name not in names:
        return None
    passed = socket.socket(fileno=_FIRST_INHERITED + names.index(name))
    passed.setblocking(False)
    return passed


def bound(path: Path, mode: int = 0o620) -> socket.socket | None:
    """A new datagram socket at `path`, or None in a unit that forbids sockets: there the poll alone must do."""
    try:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    path.unlink(missing_ok=True)
    with short(path) as name:
        bell.bind(name)
    os.chmod(path, mode)
    return bell


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name of at most 107 characters for `path`: a UNIX socket address holds no more."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
