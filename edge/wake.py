"""Doorbells between rooms: a datagram to `run/<room>.sock` says "look at the journal".

A ring is a hint and may be lost; whoever waits also looks once a second. Neither side ever blocks on it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 1.0


class Doorbell:
    """A room's own bell. `wait` returns when somebody rang, or after the poll time."""

    def __init__(self, run: Path, room: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        path = run / f"{room}.sock"
        path.unlink(missing_ok=True)
        with _short(path) as short:
            self._socket.bind(short)
        os.chmod(path, 0o620)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Block until a ring or until `seconds` passed; all waiting rings are taken."""
        readable, _, _ = select.select([self._socket.fileno(), self._wake_read], [], [], seconds)
        if self._socket.fileno() in readable:
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
        self._socket.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


class Ringer:
    """Rings other rooms' bells, without ever waiting or failing."""

    def __init__(self, run: Path) -> None:
        self._folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ring(self, room: str) -> None:
        """Hint `room` that the journal changed."""
        with contextlib.suppress(OSError):
            self._socket.sendto(b"!", f"/proc/self/fd/{self._folder}/{room}.sock")

    def close(self) -> None:
        self._socket.close()
        os.close(self._folder)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of at most 107 characters for `path`: a UNIX socket address holds no more."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
