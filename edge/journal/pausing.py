"""The maintenance window: while it lasts no job is leased and no delivery is due. What comes in is still stored."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.journal import Journal

NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM pause)"
"""For the WHERE of whatever hands out work."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when (seconds since the epoch), and why (a code)."""

    since: float
    reason: str


def current(journal: Journal) -> Pause | None:
    """The pause that lasts, or None."""
    row = journal.database.row("SELECT since, reason FROM pause")
    return Pause(row["since"], row["reason"]) if row else None


def pause(journal: Journal, reason: str) -> bool:
    """Begin a pause; False when one lasts already, which then stays as it is."""
    with journal.transaction():
        if current(journal):
            return False
        journal.database.execute("INSERT INTO pause (only, since, reason) VALUES (1, ?, ?)", (journal.clock(), reason))
        journal.note("box", "pause", "RUNNING", "PAUSED", reason)
        return True


def resume(journal: Journal) -> bool:
    """End the pause; False when there is none."""
    with journal.transaction():
        if not journal.database.execute("DELETE FROM pause"):
            return False
        journal.note("box", "pause", "PAUSED", "RUNNING")
        return True
