"""Counts for metrics: what was stored, what waits, what was sent, how long it took. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.journal import Journal
from edge.journal.work import PRIORITIES


@dataclass(frozen=True, slots=True)
class Stored:
    """Objects and bytes, in all and of those that are not erased."""

    objects: int
    bytes: int
    objects_now: int
    bytes_now: int


def stored(journal: Journal) -> Stored:
    """What receive recorded."""
    row = journal.database.row(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(state <> 'ERASED'), 0), "
        "coalesce(sum(size * (state <> 'ERASED')), 0) FROM instance"
    )
    return Stored(*row) if row else Stored(0, 0, 0, 0)


def waiting(journal: Journal) -> dict[str, int]:
    """READY jobs by priority; those with none are there, with 0."""
    rows = journal.database.rows("SELECT priority, count(*) AS n FROM job WHERE state = 'READY' GROUP BY priority")
    found = {row["priority"]: row["n"] for row in rows}
    return {str(priority): found.get(place, 0) for place, priority in enumerate(PRIORITIES)}


def deliveries(journal: Journal) -> list[tuple[str, str, int]]:
    """(destination, state, how many)."""
    rows = journal.database.rows("SELECT destination, state, count(*) FROM delivery GROUP BY destination, state")
    return [tuple(row) for row in rows]


def sent_between(journal: Journal, after: float, until: float) -> list[tuple[str, float]]:
    """Results of image units that were taken in this time, as (priority, seconds since the image was stored)."""
    rows = journal.database.rows(
        "SELECT delivery.priority, delivery.ended_at - max(instance.received_at) AS seconds FROM delivery "
        "JOIN job ON job.id = delivery.job JOIN unit ON unit.id = job.unit AND unit.scope = 'image' "
        "JOIN instance ON instance.sop_instance_uid = unit.uid AND instance.current = 1 "
        "WHERE delivery.state = 'SENT' AND delivery.ended_at > ? AND delivery.ended_at <= ? GROUP BY delivery.id",
        (after, until),
    )
    return [(str(PRIORITIES[row["priority"]]), max(0.0, row["seconds"])) for row in rows]


def audited(journal: Journal) -> tuple[int, int]:
    """How many events there are, and how many of them no signed head covers."""
    row = journal.database.row(
        "SELECT (SELECT coalesce(max(id), 0) FROM event), (SELECT coalesce(max(event), 0) FROM checkpoint)"
    )
    return (row[0], row[0] - row[1]) if row else (0, 0)


@dataclass(frozen=True, slots=True)
class Kind:
    """How often a thing came into a state for a reason."""

    thing: str
    new: str
    reason: str
    count: int


def kinds(journal: Journal) -> list[Kind]:
    """The audit trail, counted."""
    rows = journal.database.rows(
        "SELECT thing, new, reason, count(*) AS count FROM event GROUP BY thing, new, reason ORDER BY count DESC"
    )
    return [Kind(**dict(row)) for row in rows]
