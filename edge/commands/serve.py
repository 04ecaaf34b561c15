"""`edge serve`: run the rooms."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of
from edge.errors import EnvironmentFailure

NAME = "serve"
HELP = "Run the three rooms until SIGTERM or SIGINT, or one room in this process. Logs go to stderr."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--room", choices=("receive", "infer", "deliver"), help="be only this room (as a unit does)")


def run(args: Namespace) -> int:
    from edge import rooms

    settings = settings_of(args)
    try:
        if args.room:
            rooms.run_room(args.room, settings)
        else:
            rooms.serve(settings)
    except OSError as error:
        raise EnvironmentFailure(
            f"the box cannot start ({error.strerror})", which=args.room or "serve", hint="`edge doctor`"
        ) from None
    if args.json:
        print_json({"stopped": args.room or "all"})
    return 0
