"""`edge backup`: journal and configuration in one file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import edge
from edge.commands import print_json, settings_of

NAME = "backup"
HELP = (
    "Write the journal, as it is at one moment, and the configuration to the new file OUT; the box may run. Images, "
    "results, study keys and private keys are never in it."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=Path, help="a file that is not there yet")


def run(args: Namespace) -> int:
    from edge.operate import backup

    made = backup.make(settings_of(args), args.out.absolute(), edge.__version__)
    if args.json:
        print_json({"file": str(args.out), "schema": made.schema, "events": made.events, "members": [*made.members]})
    else:
        print(f"{args.out}: {made.events} events, schema {made.schema}")
    return 0
