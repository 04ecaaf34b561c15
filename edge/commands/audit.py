"""`edge audit`: who did what to which study, and whether the trail is whole."""

from __future__ import annotations

import dataclasses
import re
import time
from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of
from edge.errors import UsageError

NAME = "audit"
HELP = "Show the audit trail, or verify that nothing in it was changed, removed, reordered or cut off."


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="the newest events first")
    show.add_argument("--limit", type=int, default=100, metavar="N", help="at most N (default 100)")
    show.add_argument("--thing", default="", help="only of this kind: study, job, delivery, box, ...")
    show.add_argument("--name", default="", help="only of this UID or id")
    verify = actions.add_parser("verify", help="walk the whole trail; exit code 1 if it is not as it was written")
    verify.add_argument("--head", default="", metavar="EVENT:CHAIN", help="a head noted elsewhere, from infer's log")


def run(args: Namespace) -> int:
    return _show(args) if args.action == "show" else _verify(args)


def _show(args: Namespace) -> int:
    from edge.journal import Journal, views

    journal = Journal(settings_of(args).journal)
    try:
        found = views.events(journal, args.limit, args.thing, args.name)
        journal.note("box", "audit", "", "READ", "show")
    finally:
        journal.close()
    if args.json:
        print_json([dataclasses.asdict(each) for each in found])
    else:
        for each in found:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.at))
            print(f"{at}  {each.thing:<12}{each.name}  {each.old or '-'} -> {each.new}  {each.reason}".rstrip())
    return 0


def _verify(args: Namespace) -> int:
    from edge.operate import audit

    trail = audit.verify(settings_of(args), _head(args.head))
    verdict = trail.verdict
    if args.json:
        print_json({"ok": not verdict.problems, **dataclasses.asdict(verdict), "noted": trail.noted})
        return 1 if verdict.problems else 0
    for problem in verdict.problems:
        print(f"FAIL  {problem}")
    if not verdict.problems:
        print(f"OK    {verdict.events} events, whole; signed up to event {verdict.signed}")
    if trail.unsigned:
        print(f"      the last {trail.unsigned} are not signed yet: a power cut may take them, and nothing would show")
    return 1 if verdict.problems else 0


def _head(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    parts = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if parts is None:
        raise UsageError("that is no head", which="--head", hint="as infer's log has it: `audit head 1234:...`")
    return int(parts[1]), parts[2]
