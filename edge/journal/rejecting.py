"""What a rejection note does to the journal: work on the rejected images stops, they are ERASED, the rest goes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edge.journal import erasure
from edge.journal.erasure import Stopped
from edge.journal.journal import Journal
from edge.journal.work import KEY_OBJECTS

_AT_ONCE = 500
_RESULTS = f"delivery.sop_class_uid <> '{KEY_OBJECTS}'"
"""Our own notes are no results: one that waits is not withdrawn by the note that it answers, carried out again."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One stored object of a rejected image."""

    object_id: str
    sop_instance_uid: str
    series_instance_uid: str
    slot: int
    state: str


@dataclass(frozen=True, slots=True)
class _Unit:
    id: int
    scope: str
    state: str


def find(journal: Journal, study: str, uids: Collection[str], note: str) -> tuple[Rejected, ...]:
    """What is stored of these images of `study` and was recorded before the object `note`: of all bytes they had."""
    wanted = sorted(uids)
    found: list[Rejected] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows = journal.database.rows(
            "SELECT object_id, sop_instance_uid, series_instance_uid, slot, state FROM instance "
            "WHERE study_instance_uid = ? AND state <> 'ERASED' "
            "AND rowid < (SELECT rowid FROM instance WHERE object_id = ?) "
            f"AND sop_instance_uid IN ({', '.join('?' * len(some))})",
            [study, note, *some],
        )
        found += [Rejected(**dict(row)) for row in rows]
    return tuple(found)


def stop(journal: Journal, study: str, rejected: Collection[Rejected], reason: str) -> Stopped:
    """Stop every job that looks at one of them and withdraw what of it has not been sent. One transaction.

    `reports` are the results that no destination has or waits for any more.
    """
    with journal.transaction():
        journal.note("study", study, "", "REJECTED", reason)
        jobs = deliveries = 0
        reports: list[str] = []
        for unit in _units(journal, study, rejected):
            jobs += erasure.stop_jobs(journal, "unit.id = ?", unit.id, reason)
            deliveries += erasure.stop_deliveries(journal, f"unit.id = ? AND {_RESULTS}", unit.id, reason)
            reports += _withdrawn(journal, unit.id)
        return Stopped(jobs, deliveries, tuple(reports))


@dataclass(frozen=True, slots=True)
class Sent:
    """A result that a destination has."""

    job: int
    package_digest: str
    sop_instance_uid: str
    sop_class_uid: str


def sent(journal: Journal, study: str, rejected: Collection[Rejected], destination: str) -> list[Sent]:
    """What `destination` has of results on these images, rejection notes excepted; oldest first."""
    found: list[Sent] = []
    for unit in _units(journal, study, rejected):
        rows = journal.database.rows(
            "SELECT delivery.job, job.digest AS package_digest, sop_instance_uid, sop_class_uid FROM delivery "
            "JOIN job ON job.id = delivery.job WHERE job.unit = ? AND destination = ? AND delivery.state = 'SENT' "
            f"AND {_RESULTS} ORDER BY delivery.id",
            (unit.id, destination),
        )
        found += [Sent(**dict(row)) for row in rows]
    return sorted(found, key=lambda each: each.job)


def spare_slots(journal: Journal, rejected: Collection[Rejected]) -> list[int]:
    """The key slots that nothing else needs: all of what they sealed is rejected, and they will seal no more.

    The key of an object that shares its slot with others goes when the last of them does.
    """
    going = {each.object_id for each in rejected}
    spare = []
    for slot in sorted({each.slot for each in rejected}):
        rows = journal.database.rows(
            "SELECT object_id, association.closed_at FROM instance JOIN association ON association.id = association "
            "WHERE slot = ? AND state <> 'ERASED'",
            (slot,),
        )
        if all(row["object_id"] in going and row["closed_at"] is not None for row in rows):
            spare.append(slot)
    return spare


def gone(journal: Journal, study: str, rejected: Collection[Rejected], reason: str) -> None:
    """Their files are removed. A series or study that has other images is looked at again. One transaction."""
    with journal.transaction():
        for each in rejected:
            journal.move("instance", each.object_id, each.state, "ERASED", reason)
        for unit in _units(journal, study, rejected):
            if unit.scope != "image":
                _look_again(journal, unit, reason)


def _look_again(journal: Journal, unit: _Unit, reason: str) -> None:
    """The next revision of the unit on the images that are left; none are left: it waits for nothing."""
    left = journal.database.row(
        "SELECT 1 FROM unit JOIN instance ON instance.current = 1 AND instance.state = 'ROUTED' AND CASE unit.scope "
        "WHEN 'series' THEN instance.series_instance_uid = unit.uid ELSE instance.study_instance_uid = unit.uid END "
        "WHERE unit.id = ?",
        (unit.id,),
    )
    if left is None and unit.state == "OPEN":
        journal.move("unit", unit.id, "OPEN", "READY", reason)
    elif left is not None and unit.state == "READY":
        journal.move("unit", unit.id, "READY", "OPEN", reason)
        journal.database.execute(
            "UPDATE unit SET revision = revision + 1, expected = 0, opened_at = ?, last_at = ? WHERE id = ?",
            (journal.clock(), journal.clock(), unit.id),
        )


def _units(journal: Journal, study: str, rejected: Collection[Rejected]) -> list[_Unit]:
    """The units that hold one of them."""
    uids = {each.sop_instance_uid for each in rejected} | {each.series_instance_uid for each in rejected} | {study}
    rows = journal.database.rows("SELECT id, scope, state, uid FROM unit WHERE study_instance_uid = ?", (study,))
    return [_Unit(row["id"], row["scope"], row["state"]) for row in rows if row["uid"] in uids]


def _withdrawn(journal: Journal, unit: int) -> list[str]:
    rows = journal.database.rows(
        "SELECT sop_instance_uid AS uid FROM delivery JOIN job ON job.id = delivery.job WHERE job.unit = ? "
        "GROUP BY sop_instance_uid HAVING sum(delivery.state IN ('PENDING', 'SENT')) = 0",
        (unit,),
    )
    return [row["uid"] for row in rows]
