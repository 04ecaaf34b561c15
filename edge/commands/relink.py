"""`edge relink`: the hospital-side gateway."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of

NAME = "relink"
HELP = (
    "Run the hospital-side gateway until SIGTERM or SIGINT: it takes PHI-free results from listed boxes, asks the PACS "
    "whose study it is, and stores them there under that patient. Logs go to stderr."
)


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def run(args: Namespace) -> int:
    from edge import rooms

    rooms.run_room("relink", settings_of(args))
    if args.json:
        print_json({"stopped": "relink"})
    return 0
