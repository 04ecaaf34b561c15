"""`edge keys`: the box's own keys."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of

NAME = "keys"
HELP = (
    "Make new keys for sealing and for signing while the box stands still. No object, result or event is lost; the old "
    "private keys are gone afterwards. An interrupted rotation is run again, and no room starts before."
)


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("rotate", help="new keys; everything follows them")


def run(args: Namespace) -> int:
    from edge.operate.rotation import rotate

    done = rotate(settings_of(args))
    if args.json:
        print_json(dataclasses.asdict(done))
    else:
        print(f"new keys: {done.slots} data keys wrapped anew, {done.results} results signed anew")
    return 0
