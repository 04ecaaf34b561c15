"""Which package stands behind each route, or why the route stands still. Decided once, when the room starts.

A route that cannot run never stops the others: what it matches ends QUARANTINED as `package-unavailable`, so that
nothing is lost, and `edge jobs retry` takes it up after the box was corrected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from edge.config import Settings
from edge.config.destinations import Destination
from edge.config.routes import Route
from edge.errors import EdgeError, PackageError
from edge.infer.applicability import check_keywords
from edge.packages.manifest import check_supported
from edge.packages.package import GRAPH, Package
from edge.packages.registry import Registry
from edge.records import Scope


@dataclass(frozen=True, slots=True)
class Line:
    """A route and its package. `problem` is empty, or what `edge doctor` says about the route."""

    route: Route
    package: Package | None
    problem: str = ""

    @property
    def scope(self) -> Scope:
        """What one job of this route looks at."""
        return self.package.manifest.scope if self.package else Scope.IMAGE


def line_up(settings: Settings, registry: Registry) -> tuple[Line, ...]:
    """Every route of the settings with its verified package."""
    return tuple(_line(settings, registry, route) for route in settings.routes)


def backends(package: Package, providers: tuple[str, ...]) -> tuple[str, ...]:
    """What may run the package here, in order: the box's order, or with "auto" the manifest's."""
    approved = package.manifest.runtime.backends
    return approved if "auto" in providers else tuple(name for name in providers if name in approved)


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
    check_supported(manifest)
    check_keywords(manifest.applicability)
    package.read(GRAPH)
    if not backends(package, settings.infer.providers):
        raise PackageError(
            "the package approves none of the box's providers",
            which=manifest.name,
            hint=f"infer.providers with one of: {', '.join(manifest.runtime.backends)}",
        )
