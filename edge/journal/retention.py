"""What may go: studies whose work is done and whose time is up, and whatever is too old however it stands."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.journal import Journal

_WORK_IS_DONE = """
    SELECT study_instance_uid FROM instance WHERE state <> 'ERASED'
    GROUP BY study_instance_uid
    HAVING max(received_at) < :before AND sum(state = 'STORED') = 0
    EXCEPT SELECT study_instance_uid FROM unit WHERE state = 'OPEN'
    EXCEPT SELECT unit.study_instance_uid FROM unit JOIN job ON job.unit = unit.id
        WHERE job.state IN ('READY', 'RUNNING') OR job.ended_at >= :before
    EXCEPT SELECT unit.study_instance_uid FROM unit JOIN job ON job.unit = unit.id
        JOIN delivery ON delivery.job = job.id
        WHERE delivery.state IN ('PENDING', 'HELD', 'FAILED') OR delivery.ended_at >= :before
"""

_OPEN = "SELECT id FROM association WHERE closed_at IS NULL"
"""Their keys may still seal something."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The objects of one data key: erased together by overwriting its slot."""

    slot: int
    objects: tuple[tuple[str, str], ...]
    """Each as (object id, state)."""
    reason: str


def expired(journal: Journal, keep_seconds: float, max_seconds: float, limit: int = 64) -> list[Expired]:
    """Slots to erase now.

    A study goes `keep_seconds` after the last of its jobs and deliveries became final; an object goes
    `max_seconds` after it came, even if something still waits for a person (DESIGN 8).
    """
    now = journal.clock()
    found: dict[int, Expired] = {}
    for reason, where, before in (
        ("kept-long-enough", f"study_instance_uid IN ({_WORK_IS_DONE})", now - keep_seconds),
        ("too-old", "slot IN (SELECT slot FROM instance GROUP BY slot HAVING max(received_at) < :before)",
         now - max_seconds),
    ):  # fmt: skip
        for row in journal.database.rows(
            "SELECT slot, group_concat(object_id || ' ' || state) AS objects FROM instance "
            f"WHERE state <> 'ERASED' AND {where} AND association NOT IN ({_OPEN}) GROUP BY slot LIMIT :limit",
            {"before": before, "limit": limit},
        ):
            objects = tuple((object_id, state) for object_id, _, state in map(_parted, row["objects"].split(",")))
            found.setdefault(row["slot"], Expired(row["slot"], objects, reason))
    return list(found.values())


def erased(journal: Journal, gone: Expired) -> None:
    """Record that nothing can open these objects any more."""
    with journal.transaction():
        for object_id, state in gone.objects:
            journal.move("instance", object_id, state, "ERASED", gone.reason)


def finished_reports(journal: Journal) -> list[str]:
    """SOP Instance UIDs of results whose every image is erased and that no destination still waits for."""
    rows = journal.database.rows(
        """
        SELECT DISTINCT delivery.sop_instance_uid AS uid FROM delivery JOIN job ON job.id = delivery.job
        JOIN unit ON unit.id = job.unit
        WHERE unit.study_instance_uid IN (
            SELECT study_instance_uid FROM instance GROUP BY study_instance_uid HAVING sum(state <> 'ERASED') = 0)
        EXCEPT SELECT sop_instance_uid FROM delivery WHERE state = 'PENDING'
        """
    )
    return [row["uid"] for row in rows]


def reports(journal: Journal) -> frozenset[str]:
    """SOP Instance UIDs of every result that was ever queued."""
    return frozenset(row["uid"] for row in journal.database.rows("SELECT sop_instance_uid AS uid FROM delivery"))


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition(" ")
