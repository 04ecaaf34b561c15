"""What waits to be looked at by a SHADOW package, and what it said. Nothing of it is a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.journal.journal import Journal
from edge.journal.pausing import NOT_PAUSED

_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """One job as the ACTIVE package told it and as the shadow did; `active` is None where no package looked."""

    job: int
    active: Mapping[str, Any] | None
    shadow: Mapping[str, Any]


def queue(journal: Journal, job: int, digest: str) -> None:
    """The job has ended: the shadow may look too. Not flushed, for nobody waits for it."""
    with journal.transaction(flush=False):
        journal.database.execute(
            "INSERT OR IGNORE INTO shadow (job, digest) SELECT id, ? FROM job "
            "WHERE id = ? AND state IN ('DONE', 'QUARANTINED')",
            (digest, job),
        )


def take(journal: Journal) -> tuple[int, str] | None:
    """The oldest that waits, as (job, digest); one that ended this process twice is given up."""
    with journal.transaction(flush=False):
        journal.database.execute("DELETE FROM shadow WHERE state = 'WAITING' AND attempts >= ?", (_ATTEMPTS,))
        row = journal.database.row(
            f"SELECT job, digest FROM shadow WHERE state = 'WAITING' AND {NOT_PAUSED} ORDER BY job LIMIT 1"
        )
        if row is None:
            return None
        journal.database.execute(
            "UPDATE shadow SET attempts = attempts + 1 WHERE job = ? AND digest = ?", (row["job"], row["digest"])
        )
        return row["job"], row["digest"]


def done(journal: Journal, job: int, digest: str, told: str) -> None:
    """The shadow has looked: its trace."""
    with journal.transaction(flush=False):
        journal.database.execute(
            "UPDATE shadow SET state = 'DONE', told = ? WHERE job = ? AND digest = ?", (told, job, digest)
        )


def drop(journal: Journal, job: int, digest: str) -> None:
    """It will not look: it is no shadow any more, or the images are gone."""
    with journal.transaction(flush=False):
        journal.database.execute("DELETE FROM shadow WHERE job = ? AND digest = ?", (job, digest))


def waiting(journal: Journal, digest: str) -> int:
    """How many jobs this shadow has not looked at yet."""
    row = journal.database.row("SELECT count(*) AS n FROM shadow WHERE digest = ? AND state = 'WAITING'", (digest,))
    return int(row["n"]) if row else 0


def pairs(journal: Journal, digest: str) -> list[Pair]:
    """All that this shadow looked at, oldest first, with what was said in earnest."""
    rows = journal.database.rows(
        "SELECT shadow.job, shadow.told AS shadow, trace.told AS active FROM shadow "
        "LEFT JOIN trace ON trace.job = shadow.job WHERE shadow.digest = ? AND state = 'DONE' ORDER BY shadow.job",
        (digest,),
    )
    return [
        Pair(row["job"], json.loads(row["active"]) if row["active"] else None, json.loads(row["shadow"]))
        for row in rows
    ]
