"""What `edge find` needs: which objects to open, and in which states a study's objects, jobs and deliveries are."""

from __future__ import annotations

from typing import Any

from edge.journal.journal import Journal
from edge.journal.work import INSTANCE_COLUMNS, as_instance
from edge.records import Instance


def heads(journal: Journal) -> list[Instance]:
    """One stored object of each series of each association, the newest first."""
    rows = journal.database.rows(
        f"SELECT {INSTANCE_COLUMNS}, max(received_at) AS newest FROM instance WHERE state <> 'ERASED' "
        "GROUP BY series_instance_uid, slot ORDER BY newest DESC"
    )
    return [as_instance(row) for row in rows]


def states(journal: Journal, study: str) -> dict[str, Any]:
    """How many objects, jobs and deliveries of `study` are in each state."""
    jobs = "FROM unit JOIN job ON job.unit = unit.id"
    return {
        "study_instance_uid": study,
        "objects": _counted(journal, "instance.state", "FROM instance", "instance", study),
        "jobs": _counted(journal, "job.state", jobs, "unit", study),
        "deliveries": _counted(
            journal, "delivery.state", f"{jobs} JOIN delivery ON delivery.job = job.id", "unit", study
        ),
    }


def _counted(journal: Journal, column: str, source: str, of: str, study: str) -> dict[str, int]:
    rows = journal.database.rows(
        f"SELECT {column} AS state, count(*) AS n {source} WHERE {of}.study_instance_uid = ? GROUP BY {column}",
        (study,),
    )
    return {row["state"]: int(row["n"]) for row in rows}
