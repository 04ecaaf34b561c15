"""Readers of the audit trail that tell others of it. The trail itself is their spool: nothing is lost while the other
side is away, and after a crash the last few events are told twice rather than not at all."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the trail; `study` is the Study Instance UID it is about, `other` the alias of the device or archive
    that it was exchanged with, where there is one."""

    id: int
    at: float
    thing: str
    name: str
    old: str
    new: str
    reason: str
    study: str
    other: str


_STUDY = """
CASE event.thing
    WHEN 'study' THEN event.name
    WHEN 'instance' THEN (SELECT study_instance_uid FROM instance WHERE object_id = event.name)
    WHEN 'unit' THEN (SELECT study_instance_uid FROM unit WHERE id = CAST(event.name AS INTEGER))
    WHEN 'job' THEN (SELECT unit.study_instance_uid FROM job JOIN unit ON unit.id = job.unit
                     WHERE job.id = CAST(event.name AS INTEGER))
    WHEN 'delivery' THEN (SELECT unit.study_instance_uid FROM delivery JOIN job ON job.id = delivery.job
                          JOIN unit ON unit.id = job.unit WHERE delivery.sop_instance_uid = event.name
                          OR (event.name NOT GLOB '*[^0-9]*' AND delivery.id = CAST(event.name AS INTEGER)) LIMIT 1)
END
"""
_OTHER = """
CASE event.thing
    WHEN 'association' THEN event.name
    WHEN 'instance' THEN (SELECT peer FROM instance WHERE object_id = event.name)
    WHEN 'delivery' THEN (SELECT destination FROM delivery WHERE event.name NOT GLOB '*[^0-9]*'
                          AND id = CAST(event.name AS INTEGER))
END
"""


def position(journal: Journal, follower: str) -> int:
    """The last event that `follower` has told; a new one begins at the trail's end, for the past is no news."""
    row = journal.database.row("SELECT event FROM follower WHERE name = ?", (follower,))
    if row is not None:
        return int(row["event"])
    with journal.transaction():
        last = journal.database.row("SELECT max(id) AS id FROM event")
        here = int(last["id"] or 0) if last else 0
        journal.database.execute(
            "INSERT INTO follower (name, event) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (follower, here)
        )
        return here


def after(journal: Journal, event: int, limit: int = 256) -> list[Event]:
    """The events after `event`, in order."""
    rows = journal.database.rows(
        f"SELECT id, at, thing, name, old, new, reason, coalesce({_STUDY}, '') AS study, "
        f"coalesce({_OTHER}, '') AS other "
        "FROM event WHERE id > ? ORDER BY id LIMIT ?",
        (event, limit),
    )
    return [Event(**dict(row)) for row in rows]


def told(journal: Journal, follower: str, event: int) -> None:
    """`follower` has told everything up to `event`. Not flushed: a power cut costs a repetition."""
    with journal.transaction(flush=False):
        journal.database.execute("UPDATE follower SET event = max(event, ?) WHERE name = ?", (event, follower))


def waiting(journal: Journal, follower: str) -> int:
    """How many events `follower` has still to tell."""
    row = journal.database.row(
        "SELECT count(*) AS n FROM event WHERE id > (SELECT event FROM follower WHERE name = ?)", (follower,)
    )
    return int(row["n"]) if row else 0
