"""What people ask the journal: how much waits, what was held, one list of jobs, one of deliveries. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.database import DatabaseError, Row, Value
from edge.journal.journal import Journal
from edge.journal.work import PRIORITIES

_THINGS = {
    "instance": ("STORED", "ROUTED", "UNROUTED", "QUARANTINED", "ERASED"),
    "unit": ("OPEN", "READY"),
    "job": ("READY", "RUNNING", "DONE", "QUARANTINED", "DISCARDED"),
    "delivery": ("PENDING", "SENT", "HELD", "FAILED", "SUPERSEDED", "DISCARDED"),
}

_JOB = (
    "SELECT job.id, job.state, job.reason, unit.scope, unit.uid AS unit, job.revision, unit.package, job.outcome, "
    "job.route, job.priority, job.attempts, unit.study_instance_uid, job.report, job.ready_at, job.ended_at "
    "FROM job JOIN unit ON unit.id = job.unit"
)
_DELIVERY = (
    "SELECT delivery.id, delivery.state, delivery.reason, delivery.destination, delivery.sop_instance_uid, "
    "delivery.job, unit.package, job.outcome, delivery.priority, delivery.attempts, delivery.not_before, "
    "delivery.urgent_until, delivery.created_at, delivery.ended_at "
    "FROM delivery JOIN job ON job.id = delivery.job JOIN unit ON unit.id = job.unit"
)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as `edge jobs list` shows it; times in seconds since the epoch, `ended_at` None while it is open."""

    id: int
    state: str
    reason: str
    scope: str
    unit: str
    revision: int
    package: str
    outcome: str
    route: str
    priority: str
    attempts: int
    study_instance_uid: str
    report: str
    ready_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as `edge deliveries list` shows it; `not_before` is when a PENDING one is tried again.

    `urgent_until` is when the mark of an urgent finding ends; 0 where there is none.
    """

    id: int
    state: str
    reason: str
    destination: str
    sop_instance_uid: str
    job: int
    package: str
    outcome: str
    priority: str
    attempts: int
    not_before: float
    urgent_until: float
    created_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One line of the audit trail."""

    at: float
    thing: str
    name: str
    old: str
    new: str
    reason: str


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What became of one pushed SOP Instance: its own state, then its newest job's and that job's delivery's.

    Empty texts where there is no job, or no delivery, yet.
    """

    state: str
    reason: str
    job: str
    outcome: str
    job_reason: str
    report: str
    delivery: str
    delivery_reason: str


@dataclass(frozen=True, slots=True)
class Passage:
    """When one SOP Instance passed each stage, in seconds since the epoch; None where it has not yet."""

    sop_instance_uid: str
    received_at: float
    ready_at: float | None
    job_ended_at: float | None
    sent_at: float | None


def counts(journal: Journal) -> dict[str, dict[str, int]]:
    """How many instances, units, jobs and deliveries are in each state; states with none are there, with 0."""
    counted = {}
    for thing, states in _THINGS.items():
        rows = journal.database.rows(f"SELECT state, count(*) AS n FROM {thing} GROUP BY state")
        found = {row["state"]: int(row["n"]) for row in rows}
        counted[thing] = {state: found.get(state, 0) for state in states}
    return counted


def open_associations(journal: Journal) -> int:
    """Associations that brought something and have not ended."""
    row = journal.database.row("SELECT count(*) AS n FROM association WHERE closed_at IS NULL")
    return int(row["n"]) if row else 0


def jobs(journal: Journal, state: str = "", limit: int = 100) -> list[JobView]:
    """The newest jobs first, only those in `state` if one is given."""
    where, values = _filter("job", state, limit)
    rows = journal.database.rows(
        f"{_JOB} {where} ORDER BY job.id DESC LIMIT ?",
        values,
    )
    return [_job(row) for row in rows]


def job(journal: Journal, job_id: int) -> JobView | None:
    """One job, or None."""
    row = journal.database.row(f"{_JOB} WHERE job.id = ?", (job_id,))
    return _job(row) if row else None


def deliveries(journal: Journal, state: str = "", limit: int = 100) -> list[DeliveryView]:
    """The newest deliveries first, only those in `state` if one is given."""
    where, values = _filter("delivery", state, limit)
    rows = journal.database.rows(
        f"{_DELIVERY} {where} ORDER BY delivery.id DESC LIMIT ?",
        values,
    )
    return [_delivery(row) for row in rows]


def deliveries_of(journal: Journal, job_id: int) -> list[DeliveryView]:
    """The deliveries of one job, oldest first."""
    rows = journal.database.rows(f"{_DELIVERY} WHERE delivery.job = ? ORDER BY delivery.id", (job_id,))
    return [_delivery(row) for row in rows]


def events(journal: Journal, limit: int = 20, thing: str = "", name: str = "") -> list[EventView]:
    """The newest lines of the audit trail first, only those of `thing` and `name` if given."""
    rows = journal.database.rows(
        "SELECT at, thing, name, old, new, reason FROM event "
        "WHERE (? = '' OR thing = ?) AND (? = '' OR name = ?) ORDER BY id DESC LIMIT ?",
        (thing, thing, name, name, limit),
    )
    return [EventView(**dict(row)) for row in rows]


def pushed(journal: Journal, sop_instance_uid: str) -> ObjectView | None:
    """What became of the current object of a SOP Instance UID; None where nothing of it is stored."""
    row = journal.database.row(
        "SELECT instance.state, instance.reason, job.state AS job, job.outcome, job.reason AS job_reason, job.report, "
        "delivery.state AS delivery, delivery.reason AS delivery_reason FROM instance "
        "LEFT JOIN unit ON unit.uid = CASE unit.scope WHEN 'image' THEN instance.sop_instance_uid "
        "WHEN 'series' THEN instance.series_instance_uid ELSE instance.study_instance_uid END "
        "LEFT JOIN job ON job.unit = unit.id LEFT JOIN delivery ON delivery.job = job.id "
        "WHERE instance.sop_instance_uid = ? AND instance.current = 1 ORDER BY job.id DESC, delivery.id LIMIT 1",
        (sop_instance_uid,),
    )
    return ObjectView(*(column or "" for column in row)) if row else None


def passages(journal: Journal) -> list[Passage]:
    """The stages of every image unit's newest job, oldest first: where the time goes."""
    rows = journal.database.rows(
        "SELECT instance.sop_instance_uid, instance.received_at, max(job.ready_at) AS ready_at, "
        "max(job.ended_at) AS job_ended_at, "
        "max(CASE delivery.state WHEN 'SENT' THEN delivery.ended_at END) AS sent_at FROM instance "
        "LEFT JOIN unit ON unit.scope = 'image' AND unit.uid = instance.sop_instance_uid "
        "LEFT JOIN job ON job.unit = unit.id LEFT JOIN delivery ON delivery.job = job.id "
        "WHERE instance.current = 1 GROUP BY instance.object_id ORDER BY instance.received_at"
    )
    return [Passage(**dict(row)) for row in rows]


def last_heard(journal: Journal, peer: str) -> float:
    """When `peer` last opened an association that brought something; before that, when the box began; 0 for never."""
    row = journal.database.row(
        "SELECT coalesce((SELECT max(opened_at) FROM association WHERE peer = ?), "
        "(SELECT min(at) FROM event), 0) AS at",
        (peer,),
    )
    return float(row["at"]) if row else 0.0


def damage(journal: Journal) -> str:
    """What SQLite finds wrong with the file (PRAGMA quick_check); empty when it is sound."""
    try:
        row = journal.database.row("PRAGMA quick_check(1)")
    except DatabaseError as error:
        return type(error).__name__
    return "" if row is not None and row[0] == "ok" else "quick_check failed"


def _filter(table: str, state: str, limit: int) -> tuple[str, list[Value]]:
    return (f"WHERE {table}.state = ?", [state, limit]) if state else ("", [limit])


def _job(row: Row) -> JobView:
    return JobView(**{**dict(row), "priority": str(PRIORITIES[row["priority"]])})


def _delivery(row: Row) -> DeliveryView:
    return DeliveryView(**{**dict(row), "priority": str(PRIORITIES[row["priority"]])})
