"""A journal that came back from a backup, held against what is on the disk now.

What it believes to be stored and cannot be opened any more is as erased: the disk is another one, or the study was
erased after the backup was made. Work on such studies ends; results that are gone are not waited for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edge.journal.intake import close_stale_associations
from edge.journal.journal import Journal

REASON = "lost"

_EMPTY = (
    "study_instance_uid NOT IN (SELECT study_instance_uid FROM instance WHERE state <> 'ERASED') "
    "AND study_instance_uid IN (SELECT study_instance_uid FROM instance)"
)
"""Of a unit: its study was here and nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """How many of each the disk does not have any more."""

    instances: int
    jobs: int
    deliveries: int


def is_used(journal: Journal) -> bool:
    """Whether anything was ever received or done with it."""
    return any(journal.database.row(f"SELECT 1 FROM {table} LIMIT 1") for table in ("instance", "unit"))


def slots(journal: Journal) -> int:
    """How many slots must be there so that no number it knows is given again."""
    row = journal.database.row("SELECT coalesce(max(slot) + 1, 0) AS n FROM instance")
    return int(row["n"]) if row else 0


def reconcile(journal: Journal, openable: Collection[str], results: Collection[str]) -> Lost:
    """Give up what is not there; one transaction.

    Parameters
    ----------
    journal : Journal
        The one that came back; nobody else uses it yet.
    openable : collection of str
        Object ids in the spool whose keys are in their slots.
    results : collection of str
        SOP Instance UIDs of the reports in the outbox.
    """
    with journal.transaction():
        close_stale_associations(journal)
        journal.note("box", "journal", "", "RESTORED")
        instances = _lose_instances(journal, openable)
        return Lost(instances, _end_work(journal), _lose_deliveries(journal, results))


def _lose_instances(journal: Journal, openable: Collection[str]) -> int:
    rows = journal.database.rows("SELECT object_id, state FROM instance WHERE state <> 'ERASED'")
    lost = [row for row in rows if row["object_id"] not in openable]
    for row in lost:
        journal.move("instance", row["object_id"], row["state"], "ERASED", REASON)
    return len(lost)


def _end_work(journal: Journal) -> int:
    """Of studies of which nothing is left; where something is, the job itself finds out what is missing."""
    for row in journal.database.rows(f"SELECT id FROM unit WHERE state = 'OPEN' AND {_EMPTY}"):
        journal.move("unit", row["id"], "OPEN", "READY", REASON)
    jobs = journal.database.rows(
        "SELECT job.id, job.state FROM job JOIN unit ON unit.id = job.unit "
        f"WHERE job.state IN ('READY', 'RUNNING') AND {_EMPTY}"
    )
    for row in jobs:
        if row["state"] == "RUNNING":
            journal.move("job", row["id"], "RUNNING", "READY", REASON)
        journal.move("job", row["id"], "READY", "DISCARDED", REASON)
        journal.database.execute("UPDATE job SET ended_at = ? WHERE id = ?", (journal.clock(), row["id"]))
    return len(jobs)


def _lose_deliveries(journal: Journal, results: Collection[str]) -> int:
    """What is HELD never had a file: it goes on waiting for a person as long as its images are there."""
    rows = journal.database.rows(
        f"SELECT delivery.id, sop_instance_uid AS uid, delivery.state, {_EMPTY} AS is_empty FROM delivery "
        "JOIN job ON job.id = delivery.job JOIN unit ON unit.id = job.unit "
        "WHERE delivery.state IN ('PENDING', 'HELD', 'FAILED')"
    )
    lost = [row for row in rows if (row["is_empty"] if row["state"] == "HELD" else row["uid"] not in results)]
    for row in lost:
        journal.move("delivery", row["id"], row["state"], "DISCARDED", REASON)
        journal.database.execute("UPDATE delivery SET ended_at = ? WHERE id = ?", (journal.clock(), row["id"]))
    return len(lost)
