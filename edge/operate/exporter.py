"""`run/metrics.sock`: the page of metrics by HTTP on a unix socket, for a collector that scrapes (curl --unix-socket).

A process of its own, because the rooms' units let no room listen; under systemd PID 1 has bound the socket
(`edge-metrics.socket`). It reads one file and nothing else; one caller at a
time, a short deadline each, so that nobody can hold it.
"""

from __future__ import annotations

import contextlib
import select
import socket
from pathlib import Path

from edge import rooms
from edge.operate.metrics import FILE, SOCKET
from edge.rooms import Heartbeat, notify
from edge.wake import inherited, short

_SECONDS = 2.0
_BEAT_SECONDS = 5.0
_LONGEST = 8192
_MODE = 0o660
_HEAD = "HTTP/1.0 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\r\n"


class Exporter:
    """Listens from `start` to `stop`."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._ours, self._wake = socket.socketpair()

    def serve(self) -> None:
        """Answer until `stop`. Raises OSError when the socket cannot be made."""
        passed = inherited("metrics")
        if passed is not None:
            with passed:
                self._listen(passed)
            return
        path = self._run / SOCKET
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            with short(path) as name:
                listener.bind(name)
            path.chmod(_MODE)
            listener.listen(8)
            try:
                self._listen(listener)
            finally:
                path.unlink(missing_ok=True)

    def stop(self) -> None:
        """Make `serve` return (safe in a signal handler)."""
        self._wake.send(b"!")

    def _listen(self, listener: socket.socket) -> None:
        heart = Heartbeat()
        notify("READY=1")
        listener.setblocking(False)
        while self._ours not in (ready := select.select([listener, self._ours], [], [], _BEAT_SECONDS)[0]):
            heart.beat()
            if ready:
                with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                    self._answer(listener.accept()[0])

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_SECONDS)
            asked = connection.recv(_LONGEST)
            status, body = self._answer_to(asked)
            connection.sendall(_HEAD.format(status, len(body)).encode() + body)

    def _answer_to(self, asked: bytes) -> tuple[str, bytes]:
        words = asked.split(b" ", 2)
        if len(words) < 3 or words[0] != b"GET":
            return "405 Method Not Allowed", b""
        if words[1] == b"/health":
            return self._health(rooms.ROOMS)
        if words[1] == b"/ready":
            return self._health(("receive",))
        return self._page()

    def _health(self, wanted: tuple[str, ...]) -> tuple[str, bytes]:
        """`/health`: every room lives; `/ready`: images are taken."""
        down = [room for room in wanted if rooms.alive(self._run, room) is None]
        if down:
            return "503 Service Unavailable", f"down: {', '.join(down)}\n".encode()
        return "200 OK", b"ok\n"

    def _page(self) -> tuple[str, bytes]:
        try:
            return "200 OK", (self._run / FILE).read_bytes()
        except OSError:
            return "503 Service Unavailable", b""
