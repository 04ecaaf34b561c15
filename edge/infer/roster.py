"""Which package stands behind each route, or why the route stands still. A job keeps the line that it began with.

A route that cannot run never stops the others: what it matches ends QUARANTINED as `package-unavailable`, so that
nothing is lost, and `edge jobs retry` takes it up after the box was corrected.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edge.config import Settings
from edge.config.destinations import Destination
from edge.config.routes import Route
from edge.errors import EdgeError, PackageError
from edge.infer.applicability import check_keywords
from edge.packages.package import GRAPH, Package
from edge.packages.registry import Registry
from edge.records import Scope


@dataclass(frozen=True, slots=True)
class Line:
    """A route and its package. `problem` is empty, or what `edge doctor` says about the route.

    `candidate` looks too and says nothing (SHADOW); `canary` works in place of the package on the route's share.
    """

    route: Route
    package: Package | None
    problem: str = ""
    candidate: Package | None = None
    canary: Package | None = None

    def packages(self) -> tuple[Package, ...]:
        """All that may look for this route."""
        found = () if self.problem else (self.package, self.canary)
        return tuple(each for each in (*found, self.candidate) if each is not None)

    def of_unit(self, uid: str) -> Line:
        """This line for one unit: its package is the canary where the unit is of the canary's share.

        The share goes by a hash of the unit's UID, so a unit meets the same package again.
        """
        if self.canary is None or self.route.canary is None:
            return self
        place = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") % 100
        return replace(self, package=self.canary) if place < self.route.canary.percent else self

    @property
    def scope(self) -> Scope:
        """What one job of this route looks at."""
        return self.package.manifest.scope if self.package else Scope.IMAGE


class Roster:
    """The lines as they are now. Whoever works holds one; `flip` changes what those get who come after."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self._lock = threading.Lock()
        self._lines = lines
        self._by_route: dict[str, Line] = {}
        self._held: Counter[str] = Counter()
        self.flip(lines)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, in the order of the settings."""
        return self._lines

    @contextmanager
    def hold(self, route: str) -> Iterator[Line | None]:
        """The line of `route`, the same until the end whatever happens meanwhile; None when there is no such route."""
        with self._lock:
            line = self._by_route.get(route)
            digests = [package.digest for package in line.packages()] if line is not None else []
            self._held.update(digests)
        try:
            yield line
        finally:
            with self._lock:
                self._held.subtract(digests)

    def flip(self, lines: tuple[Line, ...]) -> None:
        """All lines at once become `lines`."""
        by_route = {line.route.name: line for line in lines}
        with self._lock:
            self._lines, self._by_route = lines, by_route

    def in_use(self, digest: str) -> bool:
        """Whether somebody works with this package."""
        with self._lock:
            return self._held[digest] > 0


def line_up(settings: Settings, registry: Registry) -> tuple[Line, ...]:
    """Every route of the settings with its verified package."""
    return tuple(_line(settings, registry, route) for route in settings.routes)


def backends(package: Package, providers: tuple[str, ...]) -> tuple[str, ...]:
    """What may run the package here, in order: the box's order, or with "auto" the manifest's."""
    approved = package.manifest.runtime.backends
    return approved if "auto" in providers else tuple(name for name in providers if name in approved)


def approved(package: Package, providers: tuple[str, ...]) -> tuple[str, ...]:
    """As `backends`. Raises PackageError when there is none."""
    found = backends(package, providers)
    if not found:
        raise PackageError(
            "the package approves none of the box's providers",
            which=package.manifest.name,
            hint=f"infer.providers with one of: {', '.join(package.manifest.runtime.backends)}",
        )
    return found


def problems(settings: Settings, route: Route, package: Package) -> Iterator[tuple[str, PackageError]]:
    """Why `route` may not run `package` here: the key of the route to be corrected, and the error."""
    try:
        _check_runnable(settings, package)
    except PackageError as error:
        yield "package", error
    if package.manifest.status == "demonstration" and not route.allow_demonstration:
        for alias in route.deliver:
            if why := _too_far(settings.destinations[alias]):
                yield (
                    "deliver",
                    PackageError(
                        f"the package is a demonstration and destination `{alias}` {why}",
                        which=f"route {route.name}",
                        hint="allow_demonstration = true in the route, if no patient depends on it",
                    ),
                )


def _line(settings: Settings, registry: Registry, route: Route) -> Line:
    package: Package | None = None
    try:
        package = registry.resolve(route.package)
    except EdgeError as error:
        return Line(route, package, str(error))
    return Line(route, package, next((str(error) for _, error in problems(settings, route, package)), ""))


def _too_far(destination: Destination) -> str:
    """Why a demonstration does not go there on its own, or an empty string."""
    if destination.kind == "relink":
        return "is a gateway that files it under a patient"  # wherever it listens: on loopback too
    return "" if ipaddress.ip_address(destination.host).is_loopback else "is not on this machine"


def _check_runnable(settings: Settings, package: Package) -> None:
    manifest = package.manifest
    check_keywords(sorted(manifest.names_of_attributes()))
    package.read(GRAPH)
    approved(package, settings.infer.providers)
