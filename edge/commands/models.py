"""`edge models`: the vendor's side (models_vendor.py) and the hospital's (models_site.py) of a package's life."""

from __future__ import annotations

import argparse

from edge.commands import models_site, models_vendor

NAME = "models"
HELP = "A model package's life: import, check, try, sign and pack it; install, activate and roll it back."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    models_vendor.add_arguments(actions)
    models_site.add_arguments(actions)


def run(args: argparse.Namespace) -> int:
    """0 fine, 1 refused or a problem found."""
    return {**models_vendor.ACTIONS, **models_site.ACTIONS}[args.action](args)
