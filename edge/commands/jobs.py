"""`edge jobs`: what was looked at, how it ended, and a person's decision about it."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from edge.commands import positive, print_json, settings_of
from edge.errors import JournalError, UsageError

if TYPE_CHECKING:
    from edge.config import Settings
    from edge.journal import Journal
    from edge.journal.views import JobView
    from edge.records import Job

NAME = "jobs"
HELP = "List jobs, show one, or decide about some of them by their ids."

_STATES = ("READY", "RUNNING", "DONE", "QUARANTINED", "DISCARDED")
_FROM = {"retry": ("DONE", "QUARANTINED", "DISCARDED"), "discard": ("READY", "QUARANTINED")}


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the newest first")
    listing.add_argument("--state", choices=_STATES, default="", help="only those in this state")
    listing.add_argument("--limit", type=positive, default=100, metavar="N", help="at most N (default 100)")
    actions.add_parser("show", help="one job and what it came to").add_argument("id", type=positive, metavar="ID")
    for action, text in (
        ("retry", "look again: the next revision of the unit, with a report of its own"),
        ("discard", "do nothing more about a READY or QUARANTINED job"),
    ):
        actions.add_parser(action, help=text).add_argument("ids", nargs="+", type=positive, metavar="ID")


def run(args: Namespace) -> int:
    from edge.journal import Journal

    settings = settings_of(args)
    journal = Journal(settings.journal)
    try:
        if args.action == "list":
            return _list(args, journal)
        if args.action == "show":
            return _show(args, journal)
        return _decide(args, settings, journal)
    finally:
        journal.close()


def _list(args: Namespace, journal: Journal) -> int:
    from edge.journal import views

    found = views.jobs(journal, args.state, args.limit)
    if args.json:
        print_json([dataclasses.asdict(each) for each in found])
    elif found:
        print("\n".join(_lines(found)))
    else:
        print("no jobs")
    return 0


def _lines(found: Iterable[JobView]) -> Iterator[str]:
    yield f"{'ID':>6}  {'STATE':<12}{'OUTCOME':<15}{'REASON':<34}{'PACKAGE':<20}{'REV':>3}  UNIT"
    for each in found:
        yield (
            f"{each.id:>6}  {each.state:<12}{each.outcome or '-':<15}{each.reason or '-':<34}{each.package:<20}"
            f"{each.revision:>3}  {each.scope} {each.unit}"
        )


def _show(args: Namespace, journal: Journal) -> int:
    from edge import reasons
    from edge.journal import traces, views

    view = views.job(journal, _find(journal, args.id).id)
    assert view is not None
    facts: dict[str, Any] = dataclasses.asdict(view)
    known = view.reason.partition(":")[0] in reasons.CATALOGUE
    facts["sentence"] = reasons.sentence(view.reason) if known else ""
    facts["trace"] = traces.of_job(journal, args.id)
    facts["deliveries"] = [dataclasses.asdict(each) for each in views.deliveries_of(journal, args.id)]
    if args.json:
        print_json(facts)
        return 0
    deliveries, trace = facts.pop("deliveries"), facts.pop("trace")
    print("\n".join(f"{key:<20}{value}" for key, value in facts.items() if value not in ("", None)))
    for each in deliveries:
        print(f"{'delivery':<20}{each['id']} {each['state']} {each['destination']} {each['reason']}".rstrip())
    if trace:
        print("\n".join(_trace(trace)))
    return 0


def _trace(trace: dict[str, Any]) -> Iterator[str]:
    """How it came to that: what ran, how long, and every digit; --json has the whole of it."""
    package, stages = trace["package"], trace["milliseconds"]
    yield f"{'ran':<20}{package['name']} {package['version']} {package['digest'][:16]} on {trace['provider'] or '-'}"
    yield f"{'versions':<20}" + " ".join(f"{name}={value}" for name, value in trace["versions"].items())
    yield f"{'milliseconds':<20}" + (" ".join(f"{name}={value}" for name, value in stages.items()) or "-")
    for each in trace["scores"]:
        yield f"{'score':<20}{each['code']} {each['score']!r} (threshold {each['threshold']!r})"
    for each in trace["sources"]:
        yield f"{'source':<20}{each['uid']} {each['tag'][:16]}"


def _decide(args: Namespace, settings: Settings, journal: Journal) -> int:
    from edge.wake import Ringer

    chosen = [_chosen(journal, args.action, job_id) for job_id in args.ids]
    with journal.transaction():
        rows = [_move(journal, job, args.action) for job in chosen]
    ringer = Ringer(settings.run)
    ringer.ring("infer")
    ringer.close()
    if args.json:
        print_json(rows)
    else:
        print("\n".join(f"{row['was_id']}: {row['was']} -> {row['id']}: {row['state']}" for row in rows))
    return 0


def _move(journal: Journal, job: Job, action: str) -> dict[str, int | str]:
    from edge.journal import work

    if action == "discard":
        journal.move("job", job.id, job.state, "DISCARDED", "person")
        return {"id": job.id, "state": "DISCARDED", "was_id": job.id, "was": str(job.state)}
    return {"id": work.retry(journal, job.id), "state": "READY", "was_id": job.id, "was": str(job.state)}


def _chosen(journal: Journal, action: str, job_id: int) -> Job:
    job = _find(journal, job_id)
    if job.state not in _FROM[action]:
        raise JournalError(
            f"a {job.state} job cannot be {'retried' if action == 'retry' else 'discarded'}",
            which=str(job_id),
            hint=f"{action} is for {', '.join(_FROM[action])}; `edge jobs list`",
        )
    return job


def _find(journal: Journal, job_id: int) -> Job:
    from edge.journal import work

    job = work.job(journal, job_id)
    if job is None:
        raise UsageError("there is no such job", which=str(job_id), hint="`edge jobs list`")
    return job
