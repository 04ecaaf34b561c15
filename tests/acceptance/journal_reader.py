"""A test's look into a living box's journal: what is where, and whether everything has come to rest."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

_WAITING = """
SELECT (SELECT count(*) FROM instance WHERE state = 'STORED')
     + (SELECT count(*) FROM unit WHERE state = 'OPEN')
     + (SELECT count(*) FROM job WHERE state IN ('READY', 'RUNNING'))
     + (SELECT count(*) FROM delivery WHERE state = 'PENDING')
"""


class JournalReader:
    """One read-only connection."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=30)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.row_factory = sqlite3.Row

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def number(self, sql: str, *values: object) -> int:
        """The single number that a query gives."""
        return int(self.rows(sql, *values)[0][0])

    def wait_quiet(self, instances: int, seconds: float = 60.0) -> None:
        """Until `instances` are recorded and nothing waits any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.number("SELECT count(*) FROM instance") >= instances and not self.number(_WAITING):
                return
            time.sleep(0.05)
        pytest.fail(f"the box did not come to rest within {seconds:g} s: {self.summary()}")

    def summary(self) -> dict[str, dict[str, int]]:
        """How many of what are in which state, for messages."""
        return {
            thing: {
                f"{row['state']} {row['reason']}".strip(): row["n"]
                for row in self.rows(f"SELECT state, reason, count(*) AS n FROM {thing} GROUP BY state, reason")
            }
            for thing in ("instance", "unit", "job", "delivery")
        }

    def jobs(self) -> dict[str, sqlite3.Row]:
        """The newest job of each unit, by the unit's UID."""
        rows = self.rows("SELECT unit.uid, job.* FROM job JOIN unit ON unit.id = job.unit ORDER BY job.id")
        return {row["uid"]: row for row in rows}

    def close(self) -> None:
        """Let go."""
        self._connection.close()
