"""What people ask about packages while the room runs: the act `models` of `run/control.sock`.

In: a request {do, package, reason, ...} and, for an installation, an archive as an open descriptor: the room cannot see
the files of who asks. Out: what changed. The same `Lifecycle` serves `edge models` when the room is down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

from edge.errors import UsageError
from edge.packages.gates import checked_reason
from edge.packages.lifecycle import Changed, Lifecycle


class Keeper:
    """Obeys requests, one at a time."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def act(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The act `models`. Raises UsageError, PackageError, JournalError, RuntimeFailure."""
        with self._lifecycle.lock:
            told = answer(self._lifecycle, request)
        yield {"end": True, **told}


def answer(lifecycle: Lifecycle, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what `request` asks for, and what came of it as JSON can hold it."""
    if request.get("do") == "accept":
        with _sent(request) as truth:
            return lifecycle.accept(str(request.get("package", "")), truth, str(request.get("by", "")))
    return asdict(_obey(lifecycle, request))


def _obey(lifecycle: Lifecycle, request: Mapping[str, Any]) -> Changed:
    package, reason = str(request.get("package", "")), checked_reason(str(request.get("reason", "")))
    match request.get("do"):
        case "install":
            with _sent(request) as source:
                return lifecycle.install(source, reason)
        case "activate":
            return lifecycle.activate(package, reason)
        case "rollback":
            return lifecycle.roll_back(package, reason)
        case "shadow":
            return lifecycle.shadow(package, off=bool(request.get("off")))
        case "remove":
            return lifecycle.remove(package)
    raise UsageError("there is no such request", hint="use the `edge` of this box")


def _sent(request: Mapping[str, Any]) -> BinaryIO:
    """The file that came with a request."""
    descriptor = request.get("descriptor")
    if not isinstance(descriptor, int):
        raise UsageError("no file came with the request", hint="use the `edge` of this box")
    return open(os.dup(descriptor), "rb")
