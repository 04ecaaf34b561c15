"""What is wrong with the box now: raised once, cleared once, each an event of the audit trail (`thing` = box).

A name is `KIND` or `KIND.SUBJECT`, the subject a configured alias, a room or a package: `disk`, `room.infer`,
`peer-silent.ct1`, `certificate.receive`, `selftest.cxr-pneumonia`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.journal import Journal

RAISED, CLEARED = "RAISED", "CLEARED"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One that stands; `since` in seconds since the epoch, `reason` a code."""

    name: str
    since: float
    reason: str

    @property
    def kind(self) -> str:
        """The name without its subject."""
        return self.name.partition(".")[0]


def standing(journal: Journal) -> list[Alarm]:
    """All that stand, the oldest first."""
    return [Alarm(**dict(row)) for row in journal.database.rows("SELECT * FROM alarm ORDER BY since, name")]


def stands(journal: Journal, name: str) -> bool:
    """Whether `name` stands now."""
    return journal.database.row("SELECT 1 FROM alarm WHERE name = ?", (name,)) is not None


def raise_alarm(journal: Journal, name: str, reason: str) -> bool:
    """Raise `name`, or give the one that stands another reason; False when nothing changed."""
    with journal.transaction():
        row = journal.database.row("SELECT reason FROM alarm WHERE name = ?", (name,))
        if row is not None and row["reason"] == reason:
            return False
        journal.database.execute(
            "INSERT INTO alarm (name, since, reason) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET reason = ?",
            (name, journal.clock(), reason, reason),
        )
        journal.note("box", name, CLEARED if row is None else RAISED, RAISED, reason)
        return True


def clear_alarm(journal: Journal, name: str) -> bool:
    """End `name`; False when it does not stand."""
    with journal.transaction():
        if not journal.database.execute("DELETE FROM alarm WHERE name = ?", (name,)):
            return False
        journal.note("box", name, RAISED, CLEARED)
        return True


def settle(journal: Journal, kinds: frozenset[str], found: dict[str, str]) -> None:
    """Make what stands of `kinds` be exactly `found` (reason by name)."""
    for alarm in standing(journal):
        if alarm.kind in kinds and alarm.name not in found:
            clear_alarm(journal, alarm.name)
    for name, reason in found.items():
        raise_alarm(journal, name, reason)
