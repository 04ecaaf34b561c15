"""Looks after the packages that work: a self-test every day and after a crash, and how often each finding is flagged.

A package that does not keep its promises any more stops its routes, with an alarm; only with `auto_rollback` an earlier
package that the site accepted takes over. A flag rate outside the band that the manifest declares is an alarm too;
while it stands nothing of that package is marked urgent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

from edge.config import Settings
from edge.errors import EdgeError
from edge.infer.stage import Stage
from edge.journal import Journal, alarms, packages, traces
from edge.journal.database import DatabaseError
from edge.operate.logs import frames
from edge.packages.lifecycle import Lifecycle
from edge.packages.package import Package

CRASHES = ("worker-crashed", "time-limit", "memory-limit")
"""Ends of a look after which the self-test says whether the package or the image is to blame."""

FLAG_RATE = frozenset({"flag-rate"})
_ROUND_SECONDS = 10.0
_FIRST_SECONDS = 300.0
_HOUR = 3600.0

log = logging.getLogger("edge.infer")


class Caretaker:
    """One thread; `suspect` may be called by any."""

    def __init__(self, settings: Settings, journal: Journal, stage: Stage, lifecycle: Lifecycle) -> None:
        self._settings = settings
        self._journal = journal
        self._stage = stage
        self._lifecycle = lifecycle
        self._suspects: set[str] = set()
        self._tested: dict[str, float] = {}
        self._started = time.monotonic()
        self._wake = threading.Event()
        self._leaving = False
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def start(self) -> None:
        """Begin; the first daily self-test comes some minutes later."""
        self._thread.start()

    def suspect(self, digest: str) -> None:
        """A worker of this package crashed or met a limit: its self-test is due now."""
        self._suspects.add(digest)
        self._wake.set()

    def close(self) -> None:
        """End after what is being done."""
        self._leaving = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._leaving:
            self._wake.wait(_ROUND_SECONDS)
            self._wake.clear()
            try:
                self.look()
            except (EdgeError, DatabaseError, OSError) as error:
                log.error("the packages could not be looked after: %s\n%s", type(error).__name__, frames(error))

    def look(self) -> None:
        """One round."""
        for package in self._working():
            if self._leaving:
                return
            if self._is_due(package.digest):
                self._suspects.discard(package.digest)
                self._tested[package.digest] = time.monotonic()
                self._selftest(package)
        alarms.settle(self._journal, FLAG_RATE, dict(self._strange_rates()))

    def _working(self) -> list[Package]:
        lines = self._stage.roster.lines
        found = {line.package.digest: line.package for line in lines if line.package is not None and not line.problem}
        return list(found.values())

    def _is_due(self, digest: str) -> bool:
        if digest in self._suspects:
            return True
        hours = self._settings.models.selftest_hours
        last = self._tested.get(digest, self._started + _FIRST_SECONDS - hours * _HOUR)
        return hours > 0 and time.monotonic() - last >= hours * _HOUR

    def _selftest(self, package: Package) -> None:
        alarm = f"selftest.{package.manifest.name}"
        try:
            self._stage.selftest(package)
        except EdgeError as error:
            log.error("package %s-%s: %s", package.manifest.name, package.manifest.version, error.what)
            alarms.raise_alarm(self._journal, alarm, "selftest-failed")
            self._stop(package)
        else:
            self._journal.note("package", package.digest, "", "TESTED")
            alarms.clear_alarm(self._journal, alarm)

    def _stop(self, package: Package) -> None:
        if packages.find(self._journal, package.digest) is None:
            self._stage.stop(package.digest)
        else:
            with self._lifecycle.lock:
                self._lifecycle.give_up(package.digest, take_over=self._settings.models.auto_rollback)

    def _strange_rates(self) -> Iterator[tuple[str, str]]:
        for package in self._working():
            for output in package.manifest.outputs:
                for entry in output.classes:
                    band = entry.flag_rate
                    if band is None:
                        continue
                    flags = traces.recent_flags(self._journal, package.digest, entry.code.value, band.window)
                    share = sum(flags) / len(flags) if flags else 0.0
                    if len(flags) == band.window and not band.min <= share <= band.max:
                        yield f"flag-rate.{package.manifest.name}", "above" if share > band.max else "below"
