"""What the infer room records: units and revisions, leases, results; each in one flushed commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import JournalError
from edge.journal import Journal, create, intake, outgoing, views, work
from edge.journal.database import IntegrityError
from edge.journal.journal import TRANSITIONS
from edge.records import UID, Instance, JobState, Outcome, Priority, Scope, UnitState

REPORT = UID("2.25.77")
DIGEST = "d" * 64


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    create(tmp_path / "journal.db")
    made = Journal(tmp_path / "journal.db", clock=Clock())
    yield made
    made.close()


def store(journal: Journal, number: int = 1, **fields: Any) -> Instance:
    instance = Instance(**{
        "object_id": f"{number:032x}", "sop_instance_uid": UID(f"1.2.{number}"), "sop_class_uid": UID("1.2.840"),
        "study_instance_uid": UID("1.3"), "series_instance_uid": UID("1.4"), "transfer_syntax_uid": UID("1.5"),
        "modality": "DX", "peer": "ct1", "association": "a" * 32, "tag": f"{number:064x}", "size": 1, "slot": 0,
        "received_at": float(number), **fields,
    })  # fmt: skip
    intake.store(journal, [instance], refuse_conflicts=False)
    return instance


def target(scope: Scope = Scope.IMAGE, package: str = "p", **fields: Any) -> work.Target:
    return work.Target(**{"scope": scope, "route": "r", "package": package, "priority": Priority.ROUTINE, **fields})


def finish(journal: Journal, job: Any, *destinations: str, report: UID = REPORT, **fields: Any) -> None:
    results = [work.Outgoing(report, UID("1.88"), alias, "e" * 64, "f" * 128) for alias in destinations]
    work.finish(journal, job, **{
        "outcome": Outcome.SUCCEEDED, "reason": "", "report": report, "digest": DIGEST, "quarantine": False,
        "outgoing": results, **fields,
    })  # fmt: skip


def only_job(journal: Journal) -> views.JobView:
    (found,) = views.jobs(journal)
    return found


def test_image_is_ready_at_once_and_leased_once(journal: Journal) -> None:
    instance = store(journal)
    work.route(journal, instance, [target()])
    job = work.lease(journal, 60)
    assert job is not None
    assert (job.uid, job.state, job.attempts, job.revision) == (instance.sop_instance_uid, JobState.RUNNING, 1, 1)
    assert work.lease(journal, 60) is None
    assert work.members(journal, job) == [instance]


def test_instance_without_targets_is_unrouted_with_its_reason(journal: Journal) -> None:
    work.route(journal, store(journal), [], "loop-guard")
    assert work.new_instances(journal) == []
    assert views.counts(journal)["instance"]["UNROUTED"] == 1
    assert views.events(journal)[0].reason == "loop-guard"


def test_unreadable_instance_is_quarantined(journal: Journal) -> None:
    work.quarantine_instance(journal, store(journal).object_id, "unreadable")
    assert views.counts(journal)["instance"]["QUARANTINED"] == 1
    assert work.new_instances(journal) == []


def test_one_package_one_unit_however_many_routes(journal: Journal) -> None:
    work.route(journal, store(journal), [target(), target(package="q")])
    assert {job.package for job in views.jobs(journal)} == {"p", "q"}


def test_priority_then_age(journal: Journal) -> None:
    for number, priority in enumerate([Priority.BACKFILL, Priority.ROUTINE, Priority.STAT, Priority.ROUTINE], 1):
        work.route(journal, store(journal, number), [target(priority=priority)])
    order = [job.uid for _ in range(4) if (job := work.lease(journal, 60))]
    assert order == ["1.2.3", "1.2.2", "1.2.4", "1.2.1"]


def test_lost_lease_goes_to_someone_else_and_the_first_cannot_finish_twice(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    first = work.lease(journal, 60)
    journal.clock.now += 61  # type: ignore[attr-defined]
    second = work.lease(journal, 60)
    assert second is not None
    assert second.attempts == 2
    finish(journal, second, "archive")
    with pytest.raises(JournalError):
        finish(journal, first, "archive")
    assert len(views.deliveries(journal)) == 1


def test_restart_makes_running_jobs_ready_and_suspects_a_job_only_after_many(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    attempts = []
    for _ in range(work.MAX_RESTARTS + 2):
        job = work.lease(journal, 60)
        assert job is not None
        attempts.append(job.attempts)
        work.release_stale(journal)
        assert (only_job(journal).state, only_job(journal).reason) == ("READY", "room-restarted")
    assert attempts == [1] * (work.MAX_RESTARTS + 1) + [2]


def test_late_instance_reopens_the_series_with_the_next_revision(journal: Journal) -> None:
    work.route(journal, store(journal, 1), [target(Scope.SERIES, expected=2)])
    (row,) = work.open_units(journal)
    assert (row["arrived"], row["busy"], row["expected"]) == (1, 1, 2)
    work.ready(journal, row["id"], "quiet", Priority.ROUTINE)
    assert work.open_units(journal) == []
    finish(journal, work.lease(journal, 60), "archive")
    work.route(journal, store(journal, 2), [target(Scope.SERIES)])
    (row,) = work.open_units(journal)
    unit = work.unit(journal, row["id"])
    assert unit is not None
    assert (unit.revision, unit.state, row["arrived"]) == (2, UnitState.OPEN, 2)


def test_closed_association_is_not_busy(journal: Journal) -> None:
    work.route(journal, store(journal), [target(Scope.SERIES)])
    intake.close_association(journal, "a" * 32)
    (row,) = work.open_units(journal)
    assert row["busy"] == 0


def test_corrected_image_is_a_new_revision_and_supersedes_what_is_not_sent(journal: Journal) -> None:
    work.route(journal, store(journal, 1), [target()])
    finish(journal, work.lease(journal, 60), "archive")
    newer = store(journal, 2, sop_instance_uid=UID("1.2.1"))
    work.route(journal, newer, [target()])
    job = work.lease(journal, 60)
    assert job is not None
    assert job.revision == 2
    assert work.members(journal, job) == [newer]
    assert work.predecessor(journal, job) is None, "nothing was sent yet"
    finish(journal, job, "archive", report=UID("2.25.78"))
    assert [each.state for each in views.deliveries(journal)] == ["PENDING", "SUPERSEDED"]


def test_predecessor_is_the_sent_report(journal: Journal) -> None:
    work.route(journal, store(journal, 1), [target()])
    finish(journal, work.lease(journal, 60), "archive")
    outgoing.sent(journal, outgoing.due(journal, "archive")[0])
    work.retry(journal, only_job(journal).id)
    job = work.lease(journal, 60)
    assert job is not None
    assert work.predecessor(journal, job) == REPORT


def test_retry_makes_the_next_revision_and_leaves_the_old_job(journal: Journal) -> None:
    work.route(journal, store(journal), [target(priority=Priority.STAT)])
    finish(journal, work.lease(journal, 60), outcome=Outcome.FAILED, reason="unreadable", quarantine=True)
    new = work.retry(journal, only_job(journal).id)
    states = {job.id: (job.state, job.revision, job.priority) for job in views.jobs(journal)}
    assert states[new] == ("READY", 2, "stat")
    assert list(states.values())[1] == ("QUARANTINED", 1, "stat")
    assert work.retry(journal, 999) == 0


def test_held_result_is_queued_as_held(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    held = [work.Outgoing(REPORT, UID("1.88"), "archive", "e" * 64, "0" * 128, held="identity-in-uid")]
    finish(journal, work.lease(journal, 60), outgoing=held)
    (delivery,) = views.deliveries(journal)
    assert (delivery.state, delivery.reason) == ("HELD", "identity-in-uid")
    assert outgoing.due(journal, "archive") == []


def test_a_retried_job_supersedes_what_was_held(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    held = [work.Outgoing(REPORT, UID("1.88"), "archive", "e" * 64, "0" * 128, held="identity-in-uid")]
    finish(journal, work.lease(journal, 60), outgoing=held)
    work.retry(journal, only_job(journal).id)
    finish(journal, work.lease(journal, 60), "archive", report=UID("2.25.78"))
    assert [(each.state, each.reason) for each in views.deliveries(journal)] == [
        ("PENDING", ""),
        ("SUPERSEDED", "newer-revision"),
    ]


def test_a_newer_revision_that_sends_nothing_still_withdraws_the_older(journal: Journal) -> None:
    work.route(journal, store(journal, 1), [target()])
    finish(journal, work.lease(journal, 60), "archive")
    work.route(journal, store(journal, 2, sop_instance_uid=UID("1.2.1")), [target()])
    finish(journal, work.lease(journal, 60), outcome=Outcome.NOT_ATTEMPTED, reason="no-images")
    assert [each.state for each in views.deliveries(journal)] == ["SUPERSEDED"]


def test_what_failed_cannot_be_resent_after_a_newer_revision(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    finish(journal, work.lease(journal, 60), "archive")
    outgoing.failed(journal, outgoing.due(journal, "archive")[0], "status-A900")
    work.retry(journal, only_job(journal).id)
    finish(journal, work.lease(journal, 60), "archive", report=UID("2.25.78"))
    assert [each.state for each in views.deliveries(journal)] == ["PENDING", "SUPERSEDED"]


def test_a_slow_older_revision_does_not_follow_the_newer(journal: Journal) -> None:
    work.route(journal, store(journal, 1), [target()])
    slow = work.lease(journal, 60)
    work.route(journal, store(journal, 2, sop_instance_uid=UID("1.2.1")), [target()])
    finish(journal, work.lease(journal, 60), "archive", report=UID("2.25.78"))
    finish(journal, slow, "archive")
    assert [each.sop_instance_uid for each in views.deliveries(journal)] == ["2.25.78"]


def test_a_result_that_the_journal_refuses_does_not_vanish(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    job = work.lease(journal, 60)
    with pytest.raises(IntegrityError):
        finish(journal, job, "INVENTED NAME")
    assert only_job(journal).state == "RUNNING"
    finish(journal, job, "archive", "archive")
    assert [each.state for each in views.deliveries(journal)] == ["PENDING"], "one for each destination"


@pytest.mark.parametrize(
    ("thing", "shown"), [("job", "`edge jobs list`"), ("delivery", "`edge deliveries list`"), ("unit", "`edge status`")]
)
def test_a_move_that_fails_says_where_to_look(journal: Journal, thing: str, shown: str) -> None:
    for old, new in (("NOWHERE", "DONE"), next(iter(sorted(TRANSITIONS[thing])))):
        with pytest.raises(JournalError, match=shown):
            journal.move(thing, 999, old, new)


@pytest.mark.parametrize("value", ["INVENTED^NAME", "not-applicable:Müller", "a b", "x" * 65])
def test_journal_takes_no_words(journal: Journal, value: str) -> None:
    instance = store(journal)
    with pytest.raises(IntegrityError):
        work.route(journal, instance, [], value)
    with pytest.raises(IntegrityError):
        work.quarantine_instance(journal, instance.object_id, value)
    assert work.new_instances(journal) == [instance], "nothing of the failed transactions stays"


def test_routing_and_lease_share_one_transaction(journal: Journal) -> None:
    """An image's life is three commits: routed and leased (which infer does not even flush), finished, sent."""
    instance = store(journal)
    commits: list[str] = []
    journal.database._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    with journal.transaction():
        work.route(journal, instance, [target()])
        job = work.lease(journal, 60)
    finish(journal, job, "archive")
    outgoing.sent(journal, outgoing.due(journal, "archive")[0])
    assert len(commits) == 3


def test_failure_in_a_nested_use_undoes_all(journal: Journal) -> None:
    instance = store(journal)

    def broken() -> None:
        with journal.transaction():
            work.route(journal, instance, [target()])
            work.route(journal, instance, [target()])

    with pytest.raises(JournalError):
        broken()
    assert work.new_instances(journal) == [instance]
    assert views.jobs(journal) == []


def queue(journal: Journal, number: int, priority: Priority, urgent_seconds: float = 0.0) -> None:
    """A segmentation and its report, in that order."""
    work.route(journal, store(journal, number), [target(priority=priority)])
    items = [
        work.Outgoing(UID(f"2.25.{number}{end}"), UID("1.66"), "archive", "e" * 64, "f" * 128, "", urgent_seconds)
        for end in (1, 2)
    ]
    finish(journal, work.lease(journal, 60), report=items[1].sop_instance_uid, outgoing=items)


def test_urgent_results_go_first_until_their_mark_ends(journal: Journal) -> None:
    queue(journal, 1, Priority.ROUTINE)
    queue(journal, 2, Priority.STAT)
    queue(journal, 3, Priority.BACKFILL, urgent_seconds=600)

    def order() -> list[tuple[str, str]]:
        return [(each.sop_instance_uid, str(each.priority)) for each in outgoing.due(journal, "archive")]

    stat, routine = [("2.25.21", "stat"), ("2.25.22", "stat")], [("2.25.11", "routine"), ("2.25.12", "routine")]
    assert order() == [("2.25.31", "stat"), ("2.25.32", "stat"), *stat, *routine]
    journal.clock.now += 601  # type: ignore[attr-defined]
    assert order() == [*stat, *routine, ("2.25.31", "backfill"), ("2.25.32", "backfill")]
    journal.clock.now -= 500_000  # type: ignore[attr-defined]
    assert order()[-1] == ("2.25.32", "backfill"), "a mark of a clock that was set back is not believed"


def test_a_mark_never_lowers_what_a_route_gave(journal: Journal) -> None:
    queue(journal, 1, Priority.STAT, urgent_seconds=1)
    journal.clock.now += 2  # type: ignore[attr-defined]
    queue(journal, 2, Priority.ROUTINE)
    assert [str(each.priority) for each in outgoing.due(journal, "archive")] == ["stat", "stat", "routine", "routine"]
