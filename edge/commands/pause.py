"""`edge pause`: a maintenance window. What modalities send is still received; nothing is analysed or delivered."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of
from edge.errors import UsageError
from edge.records import as_code

NAME = "pause"
HELP = "Pause analysis and delivery until `edge resume`, across restarts. Images are still received and stored."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="CODE", default="maintenance", help="why, for the audit trail (a code)")


def run(args: Namespace) -> int:
    from edge.journal import Journal, pausing

    reason = as_code(args.reason)
    if not reason or not set(reason).isdisjoint("+/"):
        raise UsageError("the reason is not a code", which="--reason", hint="letters, digits and _ . : - only")
    journal = Journal(settings_of(args).journal)
    try:
        began = pausing.pause(journal, reason)
    finally:
        journal.close()
    if args.json:
        print_json({"paused": True, "changed": began})
    else:
        print("paused: jobs and deliveries wait, images are still received" if began else "was paused already")
    return 0
