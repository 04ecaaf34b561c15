"""`edge resume`: the end of a maintenance window."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of

NAME = "resume"
HELP = "End a pause: what waited is analysed and delivered, the most urgent first."


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def run(args: Namespace) -> int:
    from edge.journal import Journal, pausing
    from edge.wake import Ringer

    settings = settings_of(args)
    journal = Journal(settings.journal)
    try:
        ended = pausing.resume(journal)
    finally:
        journal.close()
    ringer = Ringer(settings.run)
    for room in ("infer", "deliver"):
        ringer.ring(room)
    ringer.close()
    if args.json:
        print_json({"paused": False, "changed": ended})
    else:
        print("resumed" if ended else "was not paused")
    return 0
