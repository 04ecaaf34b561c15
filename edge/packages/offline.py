"""Packages of a box whose infer room is down: tried in the same locked workers, run by nobody.

`request` is the way of everything that changes something: through the room where it runs, else here, with its lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge import rooms
from edge.config import Settings
from edge.errors import EnvironmentFailure, UsageError
from edge.infer import selftest
from edge.infer.keeper import answer
from edge.infer.roster import approved
from edge.journal import Journal
from edge.operate.control import ask
from edge.packages.lifecycle import Lifecycle
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.packages.site import policy_of, store_of

_SILENCE_SECONDS = 600.0


class Offline:
    """A `Bench` without a room: the next start runs what the journal says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def selftest(self, package: Package) -> None:
        """Run the golden cases. Raises PackageError."""
        most = self._settings.infer.max_frame_mib << 20
        selftest.run_alone(package, approved(package, self._settings.infer.providers), most)

    def prepare(self, package: Package) -> None:
        """Nothing is kept warm: only see that it works."""
        self.selftest(package)

    def switch(self) -> None:
        """Nobody runs."""


def request(settings: Settings, asked: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
    """What came of a request: by the infer room if it runs, else by this process in its place.

    Raises
    ------
    EdgeError
        What the lifecycle raises, wherever it works; EnvironmentFailure if the room runs and does not answer.
    """
    lock = _lock(settings)
    try:
        if lock is None or rooms.announced(settings, "infer"):
            try:
                *_, last = ask(settings.run, {"act": "models", **asked}, descriptor, _SILENCE_SECONDS)
                return last
            except EnvironmentFailure:
                if lock is None:
                    raise
        with _lifecycle(settings) as lifecycle:
            return answer(lifecycle, {**asked, "descriptor": descriptor})
    finally:
        if lock is not None:
            os.close(lock)


def _lock(settings: Settings) -> int | None:
    """The infer room's own lock, or None while it runs."""
    if not settings.run.is_dir():
        raise UsageError("there is no box yet", which=str(settings.root), hint="`edge init`")
    try:
        return rooms.claim(settings, "infer")
    except EnvironmentFailure:
        return None


@contextmanager
def _lifecycle(settings: Settings) -> Iterator[Lifecycle]:
    journal = Journal(settings.journal)
    try:
        lifecycle = Lifecycle(journal, store_of(settings), Registry(), Offline(settings), policy_of(settings))
        lifecycle.recover()
        yield lifecycle
    finally:
        journal.close()
