"""The control desk: answers `run/control.sock`, for acts that need the opening key.

Only root and this room's own user are heard: the kernel says who sent a datagram (SCM_CREDENTIALS, unix(7)). The group
is not enough, for the other rooms are in it. One thread, one request at a time; others wait in the kernel's short
queue. A request is one bounded datagram, so nobody can hold a half-sent one open.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import EdgeError, UsageError
from edge.operate.control import LONGEST, NAME
from edge.operate.logs import frames
from edge.wake import bound

_CREDENTIALS = struct.Struct("3i")
_DESCRIPTOR = struct.Struct("i")
_BESIDE = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size)
"""With a request come who sent it and at most one open file: an archive that the room itself cannot see."""
_ANSWER = re.compile(r"ask-[0-9a-f]{16}\.sock")
_SEND_SECONDS = 5.0
_MODE = 0o600
_ROOT = 0

log = logging.getLogger("edge.infer")


@dataclass(frozen=True, slots=True)
class Act:
    """What a request can ask for; `run` takes the request and yields answers, as JSON can hold them.

    `stops` says whether it ends early when the asker has gone; else it is brought to its end unheard.
    """

    run: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
    stops: bool = False


class Control:
    """Answers until `close`. Does nothing in a unit that forbids sockets."""

    def __init__(self, run: Path, acts: Mapping[str, Act]) -> None:
        self._acts = acts
        self._path = run / NAME
        self._folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
        self._leave_read, self._leave_write = os.pipe()
        self._socket = bound(self._path, _MODE)
        self._thread = threading.Thread(target=self._answer_all, name="control", daemon=True)
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.settimeout(_SEND_SECONDS)
            self._thread.start()

    def close(self) -> None:
        """Let the act in hand end, then answer nobody."""
        if self._socket is not None:
            os.write(self._leave_write, b"!")
            self._thread.join()
            self._socket.close()
            self._path.unlink(missing_ok=True)
        for descriptor in (self._leave_read, self._leave_write, self._folder):
            os.close(descriptor)

    def _answer_all(self) -> None:
        assert self._socket is not None
        while True:
            readable, _, _ = select.select([self._socket.fileno(), self._leave_read], [], [])
            if self._leave_read in readable:
                return
            message, controls, flags, _ = self._socket.recvmsg(LONGEST, _BESIDE)
            descriptors = _descriptors(controls)
            request = None if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) else _parsed(message)
            if request is None:
                log.warning("control: a message that is no request")
            elif _sender(controls) not in (_ROOT, os.geteuid()):
                log.warning("control: a request from a user who may not ask")
                self._send(request["answer"], _told(_not_allowed()))
            else:
                # never a number that the request itself brings: it would name a file of this room
                self._obey({**request, "descriptor": descriptors[0] if descriptors else None})
            for descriptor in descriptors:
                os.close(descriptor)

    def _obey(self, request: Mapping[str, Any]) -> None:
        act = self._acts.get(str(request.get("act")))
        address = request["answer"]
        if act is None:
            self._send(address, _told(UsageError("there is no such request", hint="use the `edge` of this box")))
            return
        try:
            heard = True
            for answer in act.run(request):
                heard = heard and self._send(address, answer)
                if not heard and act.stops:
                    return
        except EdgeError as error:
            self._send(address, _told(error))
        except Exception as error:  # noqa: BLE001 - one request, not the desk; its text may hold what was asked for
            log.error("control: %s\n%s", type(error).__name__, frames(error))
            self._send(address, _told(EdgeError("internal error", hint="see the log of the infer room")))

    def _send(self, address: str, answer: Mapping[str, Any]) -> bool:
        """Whether the asker is still there."""
        assert self._socket is not None
        try:
            self._socket.sendto(json.dumps(answer).encode(), f"/proc/self/fd/{self._folder}/{address}")
        except OSError:
            return False
        return True


def _parsed(message: bytes) -> dict[str, Any] | None:
    """A request with a valid address to answer to, or None."""
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(request, dict) and _ANSWER.fullmatch(str(request.get("answer", "")))
    return request if whole else None


def _sender(controls: list[tuple[int, int, bytes]]) -> int:
    """The user who sent the message, as the kernel says; -1 when it does not."""
    for level, kind, data in controls:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) == _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack(data)[1])
    return -1


def _descriptors(controls: list[tuple[int, int, bytes]]) -> list[int]:
    """The open files that came with a message; whoever takes them closes them."""
    return [
        found
        for level, kind, data in controls
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (found,) in _DESCRIPTOR.iter_unpack(data[: len(data) // _DESCRIPTOR.size * _DESCRIPTOR.size])
    ]


def _not_allowed() -> EdgeError:
    return UsageError("this user may not ask the infer room", hint="ask as root or as the box's own user")


def _told(error: EdgeError) -> dict[str, Any]:
    return {"error": {"code": error.code, "what": error.what, "which": error.which, "hint": error.hint}}
