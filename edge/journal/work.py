"""What the infer room records: routed instances, units, jobs, leases and results."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal import traces
from edge.journal.database import Row
from edge.journal.journal import Journal
from edge.journal.pausing import NOT_PAUSED
from edge.records import UID, Instance, Job, JobState, Outcome, Priority, Scope, Unit, UnitState

PRIORITIES = (Priority.STAT, Priority.ROUTINE, Priority.BACKFILL)
"""The journal keeps a priority as its place here: the smaller goes first."""

MAX_RESTARTS = 10
"""How often a room may end around one job before the job itself is suspected."""

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
"""SOP Class of our own rejection notes: about results that were sent, so what withdraws results spares them."""

_LONGEST_LEASE_SECONDS = 86400.0

INSTANCE_COLUMNS = (
    "object_id, sop_instance_uid, sop_class_uid, study_instance_uid, series_instance_uid, transfer_syntax_uid, "
    "modality, peer, association, tag, size, slot, received_at"
)
_JOB = (
    "SELECT job.id, job.unit, unit.scope, unit.uid, unit.study_instance_uid, job.revision, job.route, unit.package, "
    "job.state, job.reason, job.outcome, job.attempts, job.priority FROM job JOIN unit ON unit.id = job.unit "
)


@dataclass(frozen=True, slots=True)
class Target:
    """One package that a stored instance is for, by the route that names it."""

    scope: Scope
    route: str
    package: str
    priority: Priority
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An object to be delivered: one file in the outbox, one destination.

    `urgent_seconds`: how long from now it goes before all that is not urgent; 0 where it is not.
    """

    sop_instance_uid: UID
    sop_class_uid: UID
    destination: str
    sha256: str
    signature: str
    held: str = ""
    urgent_seconds: float = 0.0


def new_instances(journal: Journal, limit: int = 64) -> list[Instance]:
    """Stored instances that no route has seen yet, oldest first."""
    rows = journal.database.rows(
        f"SELECT {INSTANCE_COLUMNS} FROM instance WHERE state = 'STORED' ORDER BY received_at LIMIT ?", (limit,)
    )
    return [as_instance(row) for row in rows]


def members(journal: Journal, job: Job) -> list[Instance]:
    """The current instances of a job's unit, in order of arrival."""
    column = {"image": "sop_instance_uid", "series": "series_instance_uid", "study": "study_instance_uid"}[job.scope]
    rows = journal.database.rows(
        f"SELECT {INSTANCE_COLUMNS} FROM instance WHERE {column} = ? AND current = 1 AND state = 'ROUTED' "
        "ORDER BY received_at, object_id",
        (job.uid,),
    )
    return [as_instance(row) for row in rows]


def stored(journal: Journal, sop_instance_uid: str, tag: str) -> Instance | None:
    """The object with these very bytes, also where a newer one is current; None once it is erased."""
    row = journal.database.row(
        f"SELECT {INSTANCE_COLUMNS} FROM instance WHERE sop_instance_uid = ? AND tag = ? AND state <> 'ERASED'",
        (sop_instance_uid, tag),
    )
    return as_instance(row) if row else None


def route(journal: Journal, instance: Instance, targets: list[Target], reason: str = "") -> None:
    """Record where `instance` goes: into a unit of every target, or UNROUTED. One transaction.

    An image unit is ready at once; a series or study unit opens, or reopens with the next revision.
    """
    with journal.transaction():
        journal.move("instance", instance.object_id, "STORED", "ROUTED" if targets else "UNROUTED", reason)
        for target in targets:
            unit = _unit_for(journal, instance, target)
            if target.scope is Scope.IMAGE:
                ready(journal, unit, "image", target.priority)


def quarantine_instance(journal: Journal, object_id: str, reason: str) -> None:
    """The instance cannot even be routed."""
    journal.move("instance", object_id, "STORED", "QUARANTINED", reason)


def open_units(journal: Journal) -> list[Row]:
    """Units that wait for more instances, with what completion needs to know about each.

    Columns: id, route, package, scope, expected, opened_at, last_at, arrived (current instances), busy (open
    associations that brought some of them).
    """
    return journal.database.rows(
        """
        SELECT unit.id, unit.route, unit.package, unit.scope, unit.expected, unit.opened_at, unit.last_at,
               count(instance.object_id) AS arrived,
               sum(association.closed_at IS NULL) AS busy
        FROM unit
        JOIN instance ON instance.current = 1 AND instance.state = 'ROUTED' AND CASE unit.scope
                WHEN 'series' THEN instance.series_instance_uid = unit.uid
                ELSE instance.study_instance_uid = unit.uid END
        JOIN association ON association.id = instance.association
        WHERE unit.state = 'OPEN' GROUP BY unit.id
        """
    )


def ready(journal: Journal, unit: int, reason: str, priority: Priority) -> None:
    """The unit is complete: OPEN becomes READY and a job of this revision is made. One transaction."""
    with journal.transaction():
        journal.move("unit", unit, "OPEN", "READY", reason)
        journal.database.execute(
            "INSERT INTO job (unit, revision, route, priority, state, ready_at) "
            "SELECT id, revision, route, ?, 'READY', ? FROM unit WHERE id = ?",
            (PRIORITIES.index(priority), journal.clock(), unit),
        )


def lease(journal: Journal, seconds: float) -> Job | None:
    """Take the next job: stat first, then by age; none while paused. RUNNING until done, or until the lease is over."""
    with journal.transaction():
        now = journal.clock()
        row = journal.database.row(
            _JOB + "WHERE (job.state = 'READY' OR (job.state = 'RUNNING' AND job.lease_until NOT BETWEEN ? AND ?)) "
            f"AND {NOT_PAUSED} ORDER BY job.priority, job.id LIMIT 1",
            (now, now + _LONGEST_LEASE_SECONDS),  # what lies beyond was given by a clock that has been set back
        )
        if row is None:
            return None
        if row["state"] == JobState.RUNNING:
            journal.move("job", row["id"], "RUNNING", "READY", "lease-lost")
        journal.move("job", row["id"], "READY", "RUNNING")
        journal.database.execute(
            "UPDATE job SET attempts = attempts + 1, lease_until = ? WHERE id = ?", (now + seconds, row["id"])
        )
        return job(journal, row["id"])


def release_stale(journal: Journal) -> None:
    """At start: what an earlier infer process was running is ready again.

    The attempt does not count, for the room ended and not the job, until the job has seen MAX_RESTARTS of them:
    then it is the one suspected of ending rooms.
    """
    with journal.transaction():
        for row in journal.database.rows("SELECT id FROM job WHERE state = 'RUNNING'"):
            journal.move("job", row["id"], "RUNNING", "READY", "room-restarted")
            journal.database.execute(
                "UPDATE job SET restarts = restarts + 1, attempts = attempts - (restarts < ?) WHERE id = ?",
                (MAX_RESTARTS, row["id"]),
            )


def give_back(journal: Journal, job_id: int, reason: str) -> None:
    """The box could not work, through no fault of the job's: READY again, and the attempt does not count."""
    with journal.transaction():
        journal.move("job", job_id, "RUNNING", "READY", reason)
        journal.database.execute("UPDATE job SET attempts = attempts - 1 WHERE id = ?", (job_id,))


def retry_later(journal: Journal, job_id: int, reason: str) -> None:
    """A retryable failure with attempts left."""
    journal.move("job", job_id, "RUNNING", "READY", reason)


def finish(
    journal: Journal,
    job: Job,
    *,
    outcome: Outcome,
    reason: str,
    report: UID,
    digest: str,
    quarantine: bool,
    outgoing: list[Outgoing],
    trace: str = "",
) -> None:
    """End a job with its outcome, its trace (edge.journal.traces) and its results, in one transaction.

    Results of earlier revisions that have not been sent are SUPERSEDED, also where this one sends nothing: they speak
    of images that are no longer current. A job that ends after a later revision of its unit queues nothing.
    """
    with journal.transaction():
        journal.move("job", job.id, "RUNNING", "QUARANTINED" if quarantine else "DONE", reason)
        journal.database.execute(
            "UPDATE job SET outcome = ?, report = ?, digest = ?, ended_at = ? WHERE id = ?",
            (outcome, report, digest, journal.clock(), job.id),
        )
        if trace:
            traces.add(journal, job.id, trace)
        _supersede(journal, job)
        for item in () if _overtaken(journal, job) else outgoing:
            queue(journal, job, item)


def predecessor(journal: Journal, job: Job) -> UID | None:
    """The SENT report of the newest earlier revision, which the next report must name."""
    row = journal.database.row(
        "SELECT job.report FROM job JOIN delivery ON delivery.job = job.id AND delivery.state = 'SENT' "
        # a segmentation, a presentation state or a note that was sent is not yet a report that was
        "AND delivery.sop_class_uid NOT IN ('1.2.840.10008.5.1.4.1.1.66.4', '1.2.840.10008.5.1.4.1.1.11.1', ?) "
        "WHERE job.unit = ? AND job.revision < ? ORDER BY job.revision DESC LIMIT 1",
        (KEY_OBJECTS, job.unit, job.revision),
    )
    return UID(row["report"]) if row else None


def retry(journal: Journal, job_id: int) -> int:
    """A person asks for a quarantined or finished job again: the unit's next revision. Returns its job id."""
    with journal.transaction():
        old = journal.database.row("SELECT unit, priority FROM job WHERE id = ?", (job_id,))
        if old is None:
            return 0
        unit = old["unit"]
        journal.move("unit", unit, "READY", "OPEN", "retry")
        journal.database.execute("UPDATE unit SET revision = revision + 1 WHERE id = ?", (unit,))
        ready(journal, unit, "retry", PRIORITIES[old["priority"]])
        row = journal.database.row("SELECT max(id) AS id FROM job WHERE unit = ?", (unit,))
        return int(row["id"]) if row else 0


def job(journal: Journal, job_id: int) -> Job | None:
    """One job, or None."""
    row = journal.database.row(_JOB + "WHERE job.id = ?", (job_id,))
    return _job(row) if row else None


def unit(journal: Journal, unit_id: int) -> Unit | None:
    """One unit, or None."""
    row = journal.database.row("SELECT * FROM unit WHERE id = ?", (unit_id,))
    if row is None:
        return None
    return Unit(
        id=row["id"], scope=Scope(row["scope"]), uid=UID(row["uid"]), study_instance_uid=UID(row["study_instance_uid"]),
        route=row["route"], package=row["package"], revision=row["revision"], state=UnitState(row["state"]),
        reason=row["reason"],
    )  # fmt: skip


def _unit_for(journal: Journal, instance: Instance, target: Target) -> int:
    """The open unit that `instance` belongs to: a new one, or the old one reopened with the next revision."""
    uid = {
        Scope.IMAGE: instance.sop_instance_uid,
        Scope.SERIES: instance.series_instance_uid,
        Scope.STUDY: instance.study_instance_uid,
    }[target.scope]
    now = journal.clock()
    row = journal.database.row(
        "SELECT id, state FROM unit WHERE scope = ? AND uid = ? AND package = ?",
        (target.scope, uid, target.package),
    )
    if row is None:
        return journal.database.insert(
            "INSERT INTO unit (scope, uid, study_instance_uid, route, package, revision, expected, opened_at, last_at, "
            "state) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, 'OPEN')",
            (
                target.scope,
                uid,
                instance.study_instance_uid,
                target.route,
                target.package,
                target.expected,
                now,
                now,
            ),
        )
    if row["state"] == UnitState.READY:
        journal.move("unit", row["id"], "READY", "OPEN", "late-instance")
        journal.database.execute(
            "UPDATE unit SET revision = revision + 1, opened_at = ?, route = ? WHERE id = ?",
            (now, target.route, row["id"]),
        )
    journal.database.execute(
        "UPDATE unit SET last_at = ?, expected = max(expected, ?) WHERE id = ?", (now, target.expected, row["id"])
    )
    return int(row["id"])


def _overtaken(journal: Journal, job: Job) -> bool:
    """Whether a later revision has ended already, on another lane."""
    row = journal.database.row(
        "SELECT 1 FROM job WHERE unit = ? AND revision > ? AND state IN ('DONE', 'QUARANTINED')",
        (job.unit, job.revision),
    )
    return row is not None


def _supersede(journal: Journal, job: Job) -> None:
    rows = journal.database.rows(
        "SELECT delivery.id, delivery.state FROM delivery JOIN job ON job.id = delivery.job "
        "WHERE job.unit = ? AND job.revision < ? AND delivery.state IN ('PENDING', 'HELD', 'FAILED') "
        "AND delivery.sop_class_uid <> ?",
        (job.unit, job.revision, KEY_OBJECTS),
    )
    for row in rows:
        journal.move("delivery", row["id"], row["state"], "SUPERSEDED", "newer-revision")


def queue(journal: Journal, job: Job, item: Outgoing) -> None:
    """Let `item` wait for its destination, once; HELD where the gate stopped it. Within a transaction."""
    now = journal.clock()
    added = journal.database.execute(
        "INSERT INTO delivery (job, sop_instance_uid, sop_class_uid, destination, priority, urgent_until, state, "
        "reason, created_at, sha256, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (sop_instance_uid, destination) DO NOTHING",
        (
            job.id,
            item.sop_instance_uid,
            item.sop_class_uid,
            item.destination,
            PRIORITIES.index(job.priority),
            now + item.urgent_seconds if item.urgent_seconds else 0.0,
            "HELD" if item.held else "PENDING",
            item.held,
            now,
            item.sha256,
            item.signature,
        ),
    )
    if added:
        journal.note("delivery", item.sop_instance_uid, "", "HELD" if item.held else "PENDING", item.held)


def as_instance(row: Row) -> Instance:
    """The record of a row that has INSTANCE_COLUMNS."""
    return Instance(**{key: row[key] for key in INSTANCE_COLUMNS.split(", ")})


def _job(row: Row) -> Job:
    return Job(
        id=row["id"], unit=row["unit"], scope=Scope(row["scope"]), uid=UID(row["uid"]),
        study_instance_uid=UID(row["study_instance_uid"]), revision=row["revision"], route=row["route"],
        package=row["package"], state=JobState(row["state"]), reason=row["reason"], outcome=row["outcome"],
        attempts=row["attempts"], priority=PRIORITIES[row["priority"]],
    )  # fmt: skip
