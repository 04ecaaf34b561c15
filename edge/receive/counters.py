"""How often what happened: numbers by fixed code, for status and metrics, and a rate-limited audit of refusals.

A stranger must not be able to fill the journal, so equal refusals are written at most once a minute, with their count.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from pathlib import Path

from edge.journal import Journal
from edge.journal.database import DatabaseError

AUDIT_SECONDS = 60.0


class Counters:
    """Counts by code; every thread adds, the room's own thread writes them out.

    Parameters
    ----------
    path : Path
        `run/receive-counters.json`, for `edge status` and metrics.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._written: dict[str, int] = {}
        self._unaudited: Counter[tuple[str, str]] = Counter()
        self._audited_at: dict[tuple[str, str], float] = {}

    def add(self, code: str, count: int = 1) -> None:
        """Count something ordinary."""
        with self._lock:
            self._counts[code] += count

    def refuse(self, code: str, peer: str = "") -> None:
        """Count a refusal; it will be audited. `peer` is a configured alias, or empty for a stranger."""
        with self._lock:
            self._counts[f"refused-{code}"] += 1
            self._unaudited[peer or "unknown", code] += 1

    def snapshot(self) -> dict[str, int]:
        """The counts now."""
        with self._lock:
            return dict(self._counts)

    def write(self, journal: Journal, *, everything: bool = False) -> None:
        """Bring the file up to date and audit what is due (`everything`: all of it, at the end)."""
        counts = self.snapshot()
        if counts != self._written:
            self._put(counts)
        for (peer, code), count in self._due(everything):
            try:
                journal.note("association", peer, "", "REFUSED", f"{code}:{count}")
            except DatabaseError:  # a full disk: they are audited once it can be written again
                with self._lock:
                    self._unaudited[peer, code] += count

    def _put(self, counts: dict[str, int]) -> None:
        """On a full disk the file stays as it was until the next time: counting never ends the room."""
        part = self._path.with_suffix(".part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(counts, sort_keys=True))
            part.rename(self._path)
            self._written = counts

    def _due(self, everything: bool) -> list[tuple[tuple[str, str], int]]:
        now = time.monotonic()
        with self._lock:
            due = [
                (key, count)
                for key, count in self._unaudited.items()
                if everything or now - self._audited_at.get(key, -AUDIT_SECONDS) >= AUDIT_SECONDS
            ]
            for key, _ in due:
                del self._unaudited[key]
                self._audited_at[key] = now
        return due
