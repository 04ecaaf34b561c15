"""`edge init`: make a new box."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of
from edge.errors import EnvironmentFailure

NAME = "init"
HELP = "Make the root folder, the keys and the journal of a new box. What is there already stays as it is."


def add_arguments(parser: ArgumentParser) -> None:
    """It has none of its own."""


def run(args: Namespace) -> int:
    from edge import keys, rooms

    settings = settings_of(args)
    new = not settings.journal.exists()
    try:
        rooms.make_root(settings)
    except OSError as error:
        raise EnvironmentFailure(
            f"the root cannot be made ({error.strerror})", which="box.root", hint="choose a folder that you may write"
        ) from None
    device = keys.device_uid(settings.keys)
    if args.json:
        print_json({"root": str(settings.root), "new": new, "device_uid": device})
    else:
        print(f"{'made' if new else 'was there already'}: {settings.root}\ndevice UID {device}")
    return 0
