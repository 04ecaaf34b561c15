"""The packages on stage: which one each route has now, with warm workers, and how another takes its place.

In: settings, the journal, the packages of the software. Out: for each job one line that it keeps from start to end.
A successor is loaded, self-tested and warm beside the one that works, at the lowest priority; then one assignment lets
every job that begins from now on take it. What was replaced stays warm for a while, so that a rollback waits for
nothing; then its workers end, and with them their memory.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from edge.config import Settings
from edge.errors import EdgeError
from edge.infer import selftest
from edge.infer.pool import Pool
from edge.infer.process import Model, Worker, close_model, load_model
from edge.infer.roster import Line, Roster, approved, line_up
from edge.journal import Journal, packages
from edge.journal.packages import Installed
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.packages.site import installed, policy_of, store_of, usable

log = logging.getLogger("edge.infer")


class Stage:
    """Lanes use `roster` and `pool`; one thread at a time changes what they hold."""

    def __init__(self, settings: Settings, journal: Journal, shipped: Registry, lanes: int) -> None:
        self._settings = settings
        self._journal = journal
        self.shipped = shipped
        self._store = store_of(settings)
        self._changing = threading.RLock()
        self._unused: dict[str, float] = {}
        self._stopped: set[str] = set()
        self._most = settings.infer.max_frame_mib << 20
        self.pool = Pool({}, lanes)
        self.roster = Roster(())
        self.flip_ms = 0.0

    def start(self) -> None:
        """Put on stage what the journal says; a route that cannot run has a line that says why."""
        self.roster.flip(self._line_up())
        self.pool.warm()

    @property
    def longest_seconds(self) -> float:
        """The longest time that one run of a package may take."""
        on_stage = (line.package for line in self.roster.lines if line.package is not None)
        return max((package.manifest.limits.seconds for package in on_stage), default=0.0)

    def selftest(self, package: Package) -> None:
        """Run the package's golden cases on a worker of their own. Raises PackageError."""
        selftest.run_alone(package, approved(package, self._settings.infer.providers), self._most)

    def prepare(self, package: Package) -> None:
        """Have warm workers of `package`, as many as the one it replaces has. Raises PackageError."""
        with self._changing:
            self._unused.pop(package.digest, None)
            if package.digest in self.pool.on_stage():
                return
            model = self._model(package)
            workers: list[Worker] = []
            try:
                for _ in range(max(1, self._replaced(package))):
                    workers.append(Worker(model, gently=True))
                for worker in workers:
                    selftest.run(worker, package)
            except BaseException:
                for worker in workers:
                    worker.kill()
                close_model(model)
                raise
            self.pool.add(package.digest, model, workers)

    def switch(self) -> None:
        """From now on every job that begins runs what the journal says."""
        with self._changing:
            lines = self._line_up()
            replaced = _used(self.roster.lines) - _used(lines)
            started = time.perf_counter()
            self.roster.flip(lines)
            self.flip_ms = (time.perf_counter() - started) * 1e3
            self._mark(_used(lines), replaced)
        self.tidy()

    def stop(self, digest: str) -> None:
        """Let the routes of a package of the software stand still: it failed its self-test. A new start tries anew."""
        with self._changing:
            self._stopped.add(digest)
        self.switch()

    def tidy(self) -> None:
        """End the workers of packages that nothing uses any more and that were kept warm for long enough."""
        with self._changing:
            now = time.monotonic()
            for digest in [digest for digest, until in self._unused.items() if until <= now]:
                if not self.roster.in_use(digest):
                    self.pool.drop(digest)
                    del self._unused[digest]

    def _mark(self, used: set[str], replaced: set[str]) -> None:
        """Who has nothing to do from now on: what was replaced just now stays warm, all others need not."""
        warm_until = time.monotonic() + self._settings.models.keep_warm_seconds
        for digest in self.pool.on_stage():
            if digest in used:
                self._unused.pop(digest, None)
            else:
                self._unused[digest] = warm_until if digest in replaced else 0.0

    def _line_up(self) -> tuple[Line, ...]:
        policy = policy_of(self._settings)
        rows = packages.listing(self._journal, *packages.HERE)
        lines = line_up(self._settings, installed(self._journal, self._store, self.shipped, policy))
        return tuple(self._loaded(self._with_others(line, rows)) for line in lines)

    def _with_others(self, line: Line, rows: list[Installed]) -> Line:
        """The line with its shadow and its canary; one that cannot be used is left out, and the log says why."""
        own = [row for row in rows if row.name == line.route.package]
        shadow = next((row for row in own if row.state == "SHADOW"), None)
        wanted = line.route.canary
        canary = next((row for row in own if wanted and row.version == wanted.version and row.accepted), None)
        if wanted and canary is None:
            log.error("route %s: no accepted package of version %s is its canary", line.route.name, wanted.version)
        return replace(line, candidate=self._usable(shadow), canary=self._usable(canary))

    def _usable(self, row: Installed | None) -> Package | None:
        try:
            return None if row is None else usable(row, self._store, policy_of(self._settings))
        except EdgeError as error:
            log.error("package %s-%s: %s", row.name if row else "", row.version if row else "", error.what)
            return None

    def _loaded(self, line: Line) -> Line:
        """The line, its packages among those that the pool knows; or with the problem that stands in the way."""
        if line.package is not None and line.package.digest in self._stopped:
            return Line(line.route, line.package, "the package failed its self-test")
        for package in line.packages():
            if package.digest in self.pool.on_stage():
                continue
            try:
                self.pool.add(package.digest, self._model(package))
            except EdgeError as error:
                if package is line.package:
                    return Line(line.route, package, str(error))
                log.error("package %s: %s", package.manifest.name, error.what)
                line = replace(
                    line,
                    candidate=None if package is line.candidate else line.candidate,
                    canary=None if package is line.canary else line.canary,
                )
        return line

    def _model(self, package: Package) -> Model:
        return load_model(
            package,
            approved(package, self._settings.infer.providers),
            self._most,
            self._settings.infer.max_unit_mib << 20,
        )

    def _replaced(self, package: Package) -> int:
        """How many workers the package has that `package` will replace."""
        name = package.manifest.name
        old = {line.package.digest for line in self.roster.lines if line.package and line.route.package == name}
        return sum(self.pool.count(digest) for digest in old)


def _used(lines: tuple[Line, ...]) -> set[str]:
    """The packages that jobs get."""
    return {package.digest for line in lines for package in line.packages()}
