"""What is wrong with the box, as the room that can tell others sees it: rooms, disk, certificates, silent devices.

In: settings, announcements, the journal. Out: alarms (`edge.journal.alarms`). Only what this room may see is looked at:
a certificate that it cannot read is left to `edge doctor`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from edge import rooms
from edge.config import Settings
from edge.crypto import certificate_expires
from edge.journal import Journal, alarms, views

KINDS = frozenset({"room", "disk", "certificate", "peer-silent"})
SECONDS = 60.0
_WARN_DAYS = (7, 30, 60)


class Watch:
    """Looks once a minute; a room counts as down when it was down at two looks in a row."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._due = 0.0
        self._down: frozenset[str] = frozenset()

    def look(self) -> None:
        """Raise and clear what changed, when it is time to look."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + SECONDS
        alarms.settle(self._journal, KINDS, dict(self._found()))

    def _found(self) -> Iterator[tuple[str, str]]:
        yield from self._rooms()
        yield from disk(self._settings)
        yield from certificates(self._settings, self._journal.clock())
        yield from silent_peers(self._settings, self._journal)

    def _rooms(self) -> Iterator[tuple[str, str]]:
        down = frozenset(room for room in rooms.ROOMS if rooms.announced(self._settings, room) is None)
        yield from ((f"room.{room}", "down") for room in sorted(down & self._down))
        self._down = down


def disk(settings: Settings) -> Iterator[tuple[str, str]]:
    """`disk`: the bounds of `[storage]` at which receive refuses are reached."""
    found = os.statvfs(settings.journal.parent)
    used = found.f_blocks - found.f_bfree
    percent = 100.0 * used / max(1, used + found.f_bavail)
    if found.f_bavail * found.f_frsize < settings.storage.reserve_gib * (1 << 30):
        yield "disk", "reserve-reached"
    elif percent >= settings.storage.refuse_at_percent:
        yield "disk", "refuse-at-percent-reached"


def certificates(settings: Settings, now: float) -> Iterator[tuple[str, str]]:
    """`certificate.SECTION`, the section as in edge.toml: one of ours ends within 60, 30 or 7 days, or has ended."""
    for name, tls in settings.tls_sections():
        try:
            left = certificate_expires(settings.path(tls.certificate).read_bytes()) - now
        except (OSError, ValueError):
            continue
        if left < 0:
            yield f"certificate.{name}", "expired"
            continue
        within = next((days for days in _WARN_DAYS if left < days * 86400), None)
        if within is not None:
            yield f"certificate.{name}", f"expires-within-{within}-days"


def silent_peers(settings: Settings, journal: Journal) -> Iterator[tuple[str, str]]:
    """`peer-silent.ALIAS`: a device that is expected opened no association for `expect_every_hours`."""
    now = journal.clock()
    for peer in settings.receive.peers:
        if not peer.expect_every_hours:
            continue
        last = views.last_heard(journal, peer.alias)
        if last and now - last > peer.expect_every_hours * 3600:
            yield f"peer-silent.{peer.alias}", f"silent-for-{peer.expect_every_hours}-hours"
