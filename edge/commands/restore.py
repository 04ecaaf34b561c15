"""`edge restore`: a backup put back."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge.commands import print_json, settings_of

NAME = "restore"
HELP = (
    "Put the backup FILE back into the root, while no room runs. What it believes to be stored and this disk cannot "
    "open any more is as erased. What was there before is kept beside."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="what `edge backup` wrote")
    parser.add_argument("--replace", action="store_true", help="also where a box was in use already")
    parser.add_argument("--only-journal", action="store_true", help="leave edge.toml and the device UID as they are")


def run(args: Namespace) -> int:
    from edge.operate.restore import restore

    done = restore(settings_of(args), args.file, replace=args.replace, only_journal=args.only_journal)
    if args.json:
        print_json(dataclasses.asdict(done))
        return 0
    lost = done.lost
    print(
        f"restored {done.events} events; the journal from before is {done.before}\nnot on this disk any more: "
        f"{lost.instances} objects, {lost.jobs} jobs, {lost.deliveries} deliveries\n"
        "now: `edge config check`, then start"
    )
    return 0
