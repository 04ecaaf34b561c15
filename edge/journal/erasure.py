"""Erasing one study on demand: its work is stopped first, then its slots are named, last its objects are ERASED.

Between the first step and the last the study stands in the table `erasure`, so that a crash on the way is made good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.errors import JournalError
from edge.journal.journal import Journal

_STEPS = 1000
"""Beyond so many slots, reading the whole index is faster than stepping through it."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The work that will not be done any more, counted, and the results that may lie in the outbox."""

    jobs: int
    deliveries: int
    reports: tuple[str, ...]


def stored(journal: Journal, study: str) -> int:
    """How many objects of `study` can still be opened."""
    row = journal.database.row(
        "SELECT count(*) AS n FROM instance WHERE study_instance_uid = ? AND state <> 'ERASED'", (study,)
    )
    return int(row["n"]) if row else 0


def arriving(journal: Journal, study: str) -> bool:
    """Whether an association that brought something of `study` is still open: its key may seal more."""
    row = journal.database.row(
        "SELECT 1 FROM association WHERE closed_at IS NULL AND id IN "
        "(SELECT association FROM instance WHERE study_instance_uid = ?)",
        (study,),
    )
    return row is not None


def begin(journal: Journal, study: str, reason: str) -> Stopped:
    """Stop the study's jobs and deliveries and remember that it must go. One transaction.

    Raises
    ------
    JournalError
        If it is still being received: what comes later under the same key would be acknowledged and lost.
    """
    with journal.transaction():
        if arriving(journal, study):
            raise JournalError("the study is being received", which=study, hint="again when the sender has released")
        journal.database.execute(
            "INSERT OR REPLACE INTO erasure (study_instance_uid, last_slot, reason) "
            "SELECT ?, max(slot), ? FROM instance WHERE study_instance_uid = ?",
            (study, reason, study),
        )
        journal.note("study", study, "", "ERASING", reason)
        for row in _of(journal, "SELECT id FROM unit WHERE state = 'OPEN' AND study_instance_uid = ?", study):
            journal.move("unit", row, "OPEN", "READY", "erased")
        jobs = stop_jobs(journal, "unit.study_instance_uid = ?", study, "erased")
        deliveries = stop_deliveries(journal, "unit.study_instance_uid = ?", study, "erased")
        rows = journal.database.rows(
            "SELECT delivery.sop_instance_uid AS uid FROM unit JOIN job ON job.unit = unit.id "
            "JOIN delivery ON delivery.job = job.id WHERE unit.study_instance_uid = ?",
            (study,),
        )
        return Stopped(jobs, deliveries, tuple(dict.fromkeys(row["uid"] for row in rows)))


def slots(journal: Journal, study: str) -> list[int]:
    """The key slots of what was stored of `study` when its erasure began, in order."""
    last = _last_slot(journal, study)
    # from slot to slot in the index: a hundred thousand objects of one association are one step
    rows = journal.database.rows(
        "WITH RECURSIVE each(slot) AS (SELECT min(slot) FROM instance WHERE study_instance_uid = :study UNION ALL "
        "SELECT (SELECT min(slot) FROM instance WHERE study_instance_uid = :study AND slot > each.slot) FROM each "
        "WHERE each.slot IS NOT NULL LIMIT :steps) SELECT slot FROM each WHERE slot <= :last",
        {"study": study, "last": last, "steps": _STEPS},
    )
    if len(rows) == _STEPS:
        rows = journal.database.rows(
            "SELECT DISTINCT slot FROM instance WHERE study_instance_uid = ? AND slot <= ?", (study, last)
        )
    return [row["slot"] for row in rows]


def batches(journal: Journal, study: str, limit: int = 500) -> Iterator[tuple[str, ...]]:
    """The ids of those objects that are not ERASED yet; what came after the erasure began is not among them."""
    last = _last_slot(journal, study)
    place = (-1, -1)
    while rows := journal.database.rows(
        "SELECT object_id, slot, rowid FROM instance WHERE study_instance_uid = ? AND (slot, rowid) > (?, ?) "
        "AND slot <= ? AND state <> 'ERASED' ORDER BY slot, rowid LIMIT ?",
        (study, *place, last, limit),
    ):
        place = (rows[-1]["slot"], rows[-1]["rowid"])
        yield tuple(row["object_id"] for row in rows)


def gone(journal: Journal, objects: tuple[str, ...], reason: str) -> None:
    """Nothing can open these objects any more, and their files are removed. One transaction."""
    with journal.transaction(flush=False):
        for object_id in objects:
            # routing may have moved it since it was listed
            row = journal.database.row("SELECT state FROM instance WHERE object_id = ?", (object_id,))
            if row is not None and row["state"] != "ERASED":
                journal.move("instance", object_id, row["state"], "ERASED", reason)


def end(journal: Journal, study: str, reason: str) -> None:
    """Nothing of `study` is left."""
    with journal.transaction():
        journal.database.execute("DELETE FROM erasure WHERE study_instance_uid = ?", (study,))
        journal.note("study", study, "ERASING", "ERASED", reason)


def unfinished(journal: Journal) -> list[tuple[str, str]]:
    """Erasures that were begun and not ended, as (Study Instance UID, reason)."""
    return [tuple(row) for row in journal.database.rows("SELECT study_instance_uid, reason FROM erasure")]


def _last_slot(journal: Journal, study: str) -> int:
    row = journal.database.row("SELECT last_slot FROM erasure WHERE study_instance_uid = ?", (study,))
    return int(row["last_slot"]) if row else -1


def stop_jobs(journal: Journal, where: str, value: str | int, reason: str) -> int:
    """Discard what waits or runs of the units that `where` chooses; how many jobs.

    A RUNNING one too: whoever runs it is then refused when it ends, so nothing of it is delivered.
    """
    jobs = f"SELECT job.id FROM unit JOIN job ON job.unit = unit.id WHERE {where} AND job.state = "
    for job in _of(journal, f"{jobs}'RUNNING'", value):
        journal.move("job", job, "RUNNING", "READY", reason)
    ready = _of(journal, f"{jobs}'READY'", value)
    for job in ready:
        journal.move("job", job, "READY", "DISCARDED", reason)
        journal.database.execute("UPDATE job SET ended_at = ? WHERE id = ?", (journal.clock(), job))
    return len(ready)


def stop_deliveries(journal: Journal, where: str, value: str | int, reason: str) -> int:
    """Withdraw what has not been sent of the units that `where` chooses; how many deliveries."""
    count = 0
    for state in ("PENDING", "HELD", "FAILED"):
        waiting = _of(
            journal,
            "SELECT delivery.id FROM unit JOIN job ON job.unit = unit.id JOIN delivery ON delivery.job = job.id "
            f"WHERE delivery.state = '{state}' AND {where}",
            value,
        )
        for delivery in waiting:
            journal.move("delivery", delivery, state, "DISCARDED", reason)
            journal.database.execute("UPDATE delivery SET ended_at = ? WHERE id = ?", (journal.clock(), delivery))
        count += len(waiting)
    return count


def _of(journal: Journal, sql: str, value: str | int) -> list[int]:
    return [row["id"] for row in journal.database.rows(sql, (value,))]
