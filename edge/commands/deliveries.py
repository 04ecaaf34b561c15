"""`edge deliveries`: what waits to leave, what was held or refused, and a person's decision about it."""

from __future__ import annotations

import dataclasses
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge.commands import positive, print_json, settings_of
from edge.errors import DeliveryError, UsageError

if TYPE_CHECKING:
    from edge.config import Settings
    from edge.journal import Journal
    from edge.journal.views import DeliveryView
    from edge.records import Delivery

NAME = "deliveries"
HELP = "List deliveries, or decide about some of them by their ids."

_STATES = ("PENDING", "SENT", "HELD", "FAILED", "SUPERSEDED", "DISCARDED")
_FROM = {"release": ("HELD",), "resend": ("FAILED", "SENT"), "discard": ("PENDING", "HELD", "FAILED")}


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the newest first")
    listing.add_argument("--state", choices=_STATES, default="", help="only those in this state")
    listing.add_argument("--limit", type=positive, default=100, metavar="N", help="at most N (default 100)")
    for action, text in (
        ("release", "send a HELD delivery that has a file; what the gate stopped has none, and says what to do"),
        ("resend", "send a FAILED or SENT delivery again: the same bytes"),
        ("discard", "never send a PENDING, HELD or FAILED delivery"),
    ):
        actions.add_parser(action, help=text).add_argument("ids", nargs="+", type=positive, metavar="ID")


def run(args: Namespace) -> int:
    from edge.journal import Journal

    settings = settings_of(args)
    journal = Journal(settings.journal)
    try:
        return _list(args, settings, journal) if args.action == "list" else _decide(args, settings, journal)
    finally:
        journal.close()


def _list(args: Namespace, settings: Settings, journal: Journal) -> int:
    from edge.journal import views

    found = views.deliveries(journal, args.state, args.limit)
    kinds = {alias: destination.kind for alias, destination in settings.destinations.items()}
    meanings = [_meaning(each.reason, kinds.get(each.destination, "")) for each in found]
    if args.json:
        pairs = zip(found, meanings, strict=True)
        print_json([{**dataclasses.asdict(each), "meaning": meaning} for each, meaning in pairs])
    elif found:
        print("\n".join(_lines(found)))
        explained = dict.fromkeys(f"{each.reason}: {said}" for each, said in zip(found, meanings, strict=True) if said)
        print("\n".join(explained), end="\n" if explained else "")
    else:
        print("no deliveries")
    return 0


def _meaning(reason: str, kind: str) -> str:
    """What the peer, or we, said, in words. A gateway has some statuses of its own."""
    from edge.deliver.meanings import meaning
    from edge.relink.status import Status
    from edge.upper_layer import storage_status

    status = re.fullmatch(r"status-([0-9A-F]{4})", reason)
    if status is None:
        return meaning(reason)
    number = int(status[1], 16)
    ours = kind == "relink" and number in set(Status)
    return Status(number).name.lower().replace("_", " ") if ours else storage_status(number)


def _lines(found: Iterable[DeliveryView]) -> Iterable[str]:
    yield f"{'ID':>6}  {'STATE':<11}{'DESTINATION':<18}{'PRIORITY':<10}{'TRIES':>5}  {'REASON':<24}REPORT"
    for each in found:
        wait = each.not_before - time.time()
        again = f" (again in {wait:.0f} s)" if each.state == "PENDING" and wait > 0 else ""
        yield (
            f"{each.id:>6}  {each.state:<11}{each.destination:<18}{_priority(each):<10}{each.attempts:>5}  "
            f"{each.reason or '-':<24}{each.sop_instance_uid}{again}"
        )


def _priority(each: DeliveryView) -> str:
    return "urgent" if each.urgent_until > time.time() and each.ended_at is None else each.priority


def _decide(args: Namespace, settings: Settings, journal: Journal) -> int:
    from edge.wake import Ringer

    chosen = [_chosen(journal, settings, args.action, delivery_id) for delivery_id in args.ids]
    with journal.transaction():
        for item in chosen:
            _move(journal, item, args.action)
    ringer = Ringer(settings.run)
    ringer.ring("deliver")
    ringer.close()
    state = "DISCARDED" if args.action == "discard" else "PENDING"
    if args.json:
        print_json([{"id": item.id, "state": state, "was": item.state} for item in chosen])
    else:
        print("\n".join(f"{item.id}: {item.state} -> {state}" for item in chosen))
    return 0


def _chosen(journal: Journal, settings: Settings, action: str, delivery_id: int) -> Delivery:
    """The delivery, if `action` can be done to it. Raises UsageError or DeliveryError."""
    from edge.journal import outgoing

    item = outgoing.find(journal, delivery_id)
    if item is None:
        raise UsageError("there is no such delivery", which=str(delivery_id), hint="`edge deliveries list`")
    if item.state not in _FROM[action]:
        raise DeliveryError(
            f"a {item.state} delivery cannot be {_past(action)}",
            which=str(delivery_id),
            hint=f"{action} is for {' or '.join(_FROM[action])}; `edge deliveries list`",
        )
    if action != "discard" and not (settings.outbox / f"{item.sop_instance_uid}.dcm").is_file():
        raise DeliveryError(
            "there is no file to send: what the gate stops is not written to the outbox, what is old is erased",
            which=str(delivery_id),
            hint=f"`edge jobs retry {item.job}` makes the report anew",
        )
    return item


def _move(journal: Journal, item: Delivery, action: str) -> None:
    from edge.journal import outgoing

    if action == "discard":
        outgoing.discard(journal, item.id, item.state)
    else:
        outgoing.requeue(journal, item.id, item.state, "person")


def _past(action: str) -> str:
    return {"release": "released", "resend": "resent", "discard": "discarded"}[action]
