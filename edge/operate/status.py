"""`edge status`: what the box is doing now, gathered once. UIDs, codes, numbers and configured aliases only."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from edge import rooms
from edge.config import Settings
from edge.errors import PackageError
from edge.journal import Journal, alarms, pausing, views
from edge.journal.alarms import Alarm
from edge.journal.pausing import Pause
from edge.journal.views import DeliveryView
from edge.packages.site import registry_of
from edge.receive.reserve import Reserve

_LAST = 5


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """One room; `since` in seconds since the epoch, `facts` what it announced about itself."""

    up: bool
    pid: int
    since: float
    facts: dict[str, int | str | float]


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the root; `accepting` is False when images are refused for lack of space."""

    free_gib: float
    used_percent: float
    reserve_gib: float
    accepting: bool


@dataclass(frozen=True, slots=True)
class PackageStatus:
    """A package that a route names; `problem` is empty when it can be used."""

    name: str
    version: str
    status: str
    digest: str
    routes: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """All that the screen shows."""

    version: str
    root: str
    at: float
    rooms: dict[str, RoomStatus]
    associations: int
    counts: dict[str, dict[str, int]]
    last_deliveries: tuple[DeliveryView, ...]
    disk: Disk
    packages: tuple[PackageStatus, ...]
    paused: Pause | None = None
    alarms: tuple[Alarm, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values; `held` first, because a person must act on it."""
        return {"held": self.counts["delivery"]["HELD"], **asdict(self)}


def look(settings: Settings, version: str) -> Status:
    """The status now. Raises JournalError when the box has no journal yet."""
    journal = Journal(settings.journal)
    try:
        return Status(
            version=version,
            root=str(settings.root),
            at=time.time(),
            rooms={room: _room(settings, room) for room in rooms.ROOMS},
            associations=views.open_associations(journal),
            counts=views.counts(journal),
            last_deliveries=tuple(views.deliveries(journal, limit=_LAST)),
            disk=_disk(settings),
            packages=tuple(_packages(settings)),
            paused=pausing.current(journal),
            alarms=tuple(alarms.standing(journal)),
        )
    finally:
        journal.close()


def _room(settings: Settings, room: str) -> RoomStatus:
    facts = rooms.announced(settings, room)
    if facts is None:
        return RoomStatus(False, 0, 0.0, {})
    rest = {key: value for key, value in facts.items() if key not in ("pid", "started_at")}
    return RoomStatus(True, int(facts["pid"]), float(facts["started_at"]), rest)


def _disk(settings: Settings) -> Disk:
    status = os.statvfs(settings.root)
    used = status.f_blocks - status.f_bfree
    percent = 100.0 * used / max(1, used + status.f_bavail)
    free = status.f_bavail * status.f_frsize / (1 << 30)
    accepting = not Reserve(settings.root, settings.storage).reached()
    return Disk(round(free, 1), round(percent, 1), settings.storage.reserve_gib, accepting)


def _packages(settings: Settings) -> list[PackageStatus]:
    registry = registry_of(settings)
    found = []
    for name in dict.fromkeys(route.package for route in settings.routes):
        routes = tuple(route.name for route in settings.routes if route.package == name)
        try:
            package = registry.resolve(name)
        except PackageError as error:
            found.append(PackageStatus(name, "", "", "", routes, error.what))
            continue
        manifest = package.manifest
        found.append(PackageStatus(name, manifest.version, manifest.status, package.digest, routes))
    return found
