"""When a series or study is whole enough to be looked at (DESIGN 6). A late instance opens it again.

Comes in: the open units as the journal knows them. Goes out: which are ready, and why. Time is counted from when
this process first saw a state, on a clock that nobody can set, so a jump of the box's clock changes nothing; after a
restart the quiet time begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.config.routes import Route
from edge.records import Priority


@dataclass(frozen=True, slots=True)
class Ready:
    """A unit that is complete: `reason` is `count`, `quiet`, `max-wait` or `no-route` (its route is gone)."""

    unit: int
    reason: str
    priority: Priority


@dataclass(slots=True)
class _Seen:
    state: tuple[Any, ...]
    opened_at: float
    opened: float
    changed: float


class Completion:
    """Remembers since when each open unit is as it is."""

    def __init__(self, routes: Mapping[str, Route], clock: Callable[[], float] = time.monotonic) -> None:
        self._routes = routes
        self._clock = clock
        self._seen: dict[int, _Seen] = {}

    def ready(self, rows: Iterable[Mapping[str, Any]]) -> list[Ready]:
        """The units among `rows` (journal.work.open_units) that are ready now."""
        rows = list(rows)
        self._seen = {row["id"]: self._look(row) for row in rows}
        found = []
        for row in rows:
            route = self._routes.get(row["route"])
            reason = self._reason(row, route)
            if reason:
                found.append(Ready(row["id"], reason, Priority(route.priority) if route else Priority.ROUTINE))
        return found

    def _look(self, row: Mapping[str, Any]) -> _Seen:
        now = self._clock()
        state = (row["arrived"], row["last_at"], bool(row["busy"]))
        seen = self._seen.get(row["id"])
        if seen is None or seen.opened_at != row["opened_at"]:
            return _Seen(state, row["opened_at"], now, now)
        if seen.state != state:
            seen.state, seen.changed = state, now
        return seen

    def _reason(self, row: Mapping[str, Any], route: Route | None) -> str:
        if route is None:
            return "no-route"
        if 0 < row["expected"] <= row["arrived"]:
            return "count"
        seen, now = self._seen[row["id"]], self._clock()
        if now - seen.opened >= route.max_wait_seconds:
            return "max-wait"
        return "quiet" if not row["busy"] and now - seen.changed >= route.quiet_seconds else ""
