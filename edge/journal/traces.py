"""What is kept of how each job came to its result (edge.infer.trace writes it), as long as its study is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class Result:
    """What one package said about one unit: `told` is its trace."""

    job: int
    unit: str
    study_instance_uid: str
    told: Mapping[str, Any]

    def presence(self, finding: str) -> bool | None:
        """Whether the finding with this code value is present; None where the package did not come to say so."""
        scores = [each for each in self.told["scores"] if each["code"].partition(":")[2] == finding]
        return any(each["present"] for each in scores) if scores else None


def add(journal: Journal, job: int, told: str) -> None:
    """Keep the trace of a job that has ended: JSON without spaces, of codes, UIDs and numbers."""
    journal.database.execute("INSERT OR REPLACE INTO trace (job, told) VALUES (?, ?)", (job, told))


def of_job(journal: Journal, job: int) -> dict[str, Any] | None:
    """The trace of one job; None where there was none, or its study is erased."""
    row = journal.database.row("SELECT told FROM trace WHERE job = ?", (job,))
    return json.loads(row["told"]) if row else None


def of_package(journal: Journal, digest: str) -> list[Result]:
    """What the package with this digest said, at work or as a shadow: of each unit the newest."""
    rows = journal.database.rows(
        "SELECT job.id, unit.uid, unit.study_instance_uid, told FROM ("
        "  SELECT trace.job, told FROM trace JOIN job ON job.id = trace.job WHERE job.digest = :digest"
        "  UNION ALL SELECT job, told FROM shadow WHERE digest = :digest AND state = 'DONE') AS said "
        "JOIN job ON job.id = said.job JOIN unit ON unit.id = job.unit ORDER BY job.id",
        {"digest": digest},
    )
    newest = {row["uid"]: row for row in rows}
    return [
        Result(row["id"], row["uid"], row["study_instance_uid"], json.loads(row["told"])) for row in newest.values()
    ]


def recent_flags(journal: Journal, digest: str, finding: str, limit: int) -> list[bool]:
    """Whether the finding was present in each of the last `limit` units that this package worked on, newest first."""
    rows = journal.database.rows(
        "SELECT told FROM trace JOIN job ON job.id = trace.job WHERE job.digest = ? AND job.outcome = 'succeeded' "
        "ORDER BY job.id DESC LIMIT ?",
        (digest, limit),
    )
    said = (Result(0, "", "", json.loads(row["told"])).presence(finding) for row in rows)
    return [present for present in said if present is not None]


def job_of(journal: Journal, sop_instance_uid: str) -> int | None:
    """The job that made the result with this SOP Instance UID."""
    row = journal.database.row(
        "SELECT id FROM job WHERE report = ? UNION SELECT job FROM delivery WHERE sop_instance_uid = ?",
        (sop_instance_uid, sop_instance_uid),
    )
    return int(row["id"]) if row else None


def forget(journal: Journal) -> int:
    """Remove the traces of studies of which nothing is stored any more; how many."""
    of_erased = (
        "WHERE job IN (SELECT job.id FROM job JOIN unit ON unit.id = job.unit "
        "WHERE unit.study_instance_uid NOT IN (SELECT study_instance_uid FROM instance WHERE state <> 'ERASED'))"
    )
    with journal.transaction():
        journal.database.execute(f"DELETE FROM shadow {of_erased}")
        return journal.database.execute(f"DELETE FROM trace {of_erased}")
