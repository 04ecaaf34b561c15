"""Asking the infer room for what needs its key: the command line's side of `run/control.sock`.

One datagram asks (JSON, at most `LONGEST` bytes), one or more answer: `{"progress": ..., "of": ...}` while it lasts,
whatever the act finds, and last `{"end": true, ...}` or `{"error": {...}}`. Datagrams, because the room's unit forbids
it to listen or to accept: nobody can hold a connection to it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge import errors
from edge.crypto import random_bytes
from edge.errors import EdgeError, EnvironmentFailure
from edge.wake import bound

NAME = "control.sock"
LONGEST = 4096
_LONGEST_ANSWER = 1 << 18
"""More than the kernel lets a datagram hold by default (net.core.wmem_default), so none is cut."""
_SILENCE_SECONDS = 60.0
_ANSWERABLE = 0o660


def ask(
    run: Path, request: dict[str, Any], descriptor: int | None = None, silence: float = _SILENCE_SECONDS
) -> Iterator[dict[str, Any]]:
    """The room's answers to `request`, the one with `end` last. `descriptor`: an open file that goes with it.

    `silence`: after so many seconds without an answer nobody is there.

    Raises
    ------
    EnvironmentFailure
        If the room does not answer, or this user may not ask it.
    EdgeError
        What the room itself raised.
    """
    path = run / f"ask-{random_bytes(8).hex()}.sock"
    try:
        own = bound(path, _ANSWERABLE)
    except OSError as error:
        raise _unanswered(error.strerror or "no socket") from None
    if own is None:
        raise _unanswered("sockets are forbidden here")
    try:
        _send(own, run, json.dumps({**request, "answer": path.name}).encode(), descriptor)
        yield from _answers(own, silence)
    finally:
        own.close()
        path.unlink(missing_ok=True)


def _send(own: socket.socket, run: Path, message: bytes, descriptor: int | None) -> None:
    if len(message) > LONGEST:
        raise errors.UsageError("the request is too long", hint="ask for less")
    folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
    try:
        own.settimeout(_SILENCE_SECONDS)
        to = f"/proc/self/fd/{folder}/{NAME}"
        files = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))]
        own.sendmsg([message], files, 0, to)
    except OSError as error:
        raise _unanswered(error.strerror or "busy") from None
    finally:
        os.close(folder)


def _answers(own: socket.socket, silence: float) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + silence
    while True:
        own.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            answer = json.loads(own.recv(_LONGEST_ANSWER))
        except TimeoutError:
            raise _unanswered("it is silent") from None
        deadline = time.monotonic() + silence
        if "error" in answer:
            raise as_error(answer["error"])
        yield answer
        if "end" in answer:
            return


def as_error(told: dict[str, str]) -> EdgeError:
    """The error that the room describes, of the class with its code."""
    known = (errors.UsageError, errors.JournalError, errors.PackageError, errors.SealError, errors.RuntimeFailure,
             errors.KeyFileError)  # fmt: skip
    kinds = {kind.code: kind for kind in known}
    return kinds.get(told["code"], EnvironmentFailure)(told["what"], which=told["which"], hint=told["hint"])


def _unanswered(why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"the infer room does not answer ({why})",
        which=NAME,
        hint="ask as root or as the box's own user while the box runs; `edge status`",
    )
