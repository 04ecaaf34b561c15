"""What is kept of how each job came to its result (edge.infer.trace writes it), as long as its study is kept."""

from __future__ import annotations

import json
from typing import Any

from edge.journal.journal import Journal


def add(journal: Journal, job: int, told: str) -> None:
    """Keep the trace of a job that has ended: JSON without spaces, of codes, UIDs and numbers."""
    journal.database.execute("INSERT OR REPLACE INTO trace (job, told) VALUES (?, ?)", (job, told))


def of_job(journal: Journal, job: int) -> dict[str, Any] | None:
    """The trace of one job; None where there was none, or its study is erased."""
    row = journal.database.row("SELECT told FROM trace WHERE job = ?", (job,))
    return json.loads(row["told"]) if row else None


def job_of(journal: Journal, sop_instance_uid: str) -> int | None:
    """The job that made the result with this SOP Instance UID."""
    row = journal.database.row(
        "SELECT id FROM job WHERE report = ? UNION SELECT job FROM delivery WHERE sop_instance_uid = ?",
        (sop_instance_uid, sop_instance_uid),
    )
    return int(row["id"]) if row else None


def forget(journal: Journal) -> int:
    """Remove the traces of studies of which nothing is stored any more; how many."""
    return journal.database.execute(
        "DELETE FROM trace WHERE job IN (SELECT job.id FROM job JOIN unit ON unit.id = job.unit "
        "WHERE unit.study_instance_uid NOT IN (SELECT study_instance_uid FROM instance WHERE state <> 'ERASED'))"
    )
