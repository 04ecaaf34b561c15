"""`edge route test`: which routes and packages a file meets, and why not."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands import print_json, settings_of

if TYPE_CHECKING:
    from edge.infer.explain import FileExplanation

NAME = "route"
HELP = "Say of DICOM files which routes and packages they meet, and why not. Nothing is stored, no model runs."


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser("test", help="what each route says to each file; exit 1 if a model would look at none")
    test.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a DICOM file")
    test.add_argument("--peer", default="", metavar="ALIAS", help="as if this peer had sent it")


def run(args: Namespace) -> int:
    import datetime

    from edge.infer.explain import explain
    from edge.infer.roster import line_up
    from edge.packages.site import registry_of

    settings = settings_of(args)
    lines = line_up(settings, registry_of(settings))
    today = datetime.datetime.now(datetime.UTC).date()
    found = [explain(path, lines, peer=args.peer, today=today) for path in args.files]
    if args.json:
        print_json([dataclasses.asdict(each) for each in found])
    else:
        print("\n".join(line for each in found for line in _lines(each)))
    return 0 if any(route.applicable for each in found for route in each.routes) else 1


def _lines(each: FileExplanation) -> Iterator[str]:
    yield f"{each.file}  {each.sop_instance_uid}"
    if not each.routes:
        yield "  no routes are configured"
    for route in each.routes:
        verdict = "runs" if route.applicable else "matches, but" if route.matches else "no:"
        yield f"  {route.route:<20}{route.package:<24}{verdict} {route.why}".rstrip()
