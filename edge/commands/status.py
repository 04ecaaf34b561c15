"""`edge status`: one screen, or one JSON document."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from edge import __version__
from edge.commands import print_json, settings_of

NAME = "status"
HELP = "What the box is doing now: rooms, queues, packages, the last results, and first what waits for a person."


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def run(args: Namespace) -> int:
    from edge.operate.status import look
    from edge.operate.status_screen import render

    status = look(settings_of(args), __version__)
    if args.json:
        print_json(status.as_json())
    else:
        sys.stdout.write(render(status))
    return 0
