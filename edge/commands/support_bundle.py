"""`edge support-bundle`: one file for whoever helps."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import edge
from edge.commands import print_json, settings_of
from edge.errors import UsageError

NAME = "support-bundle"
HELP = (
    "Write the new file OUT with what helps to find a fault: status, checks, settings without their texts, counts, "
    "versions. It names nobody: UIDs, AE titles and addresses are replaced."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=Path, help="a file that is not there yet, NAME.tar.gz")
    parser.add_argument("--logs", metavar="FILE", help="log lines to put in, `-` for stdin (support-bundle.sh does it)")


def run(args: Namespace) -> int:
    from edge.operate import support

    with _lines(args.logs) as logs:
        names = support.write(settings_of(args), args.out.absolute(), edge.__version__, logs)
    if args.json:
        print_json({"file": str(args.out), "members": names})
    else:
        print(f"{args.out}: {', '.join(names)}")
    return 0


@contextlib.contextmanager
def _lines(name: str | None) -> Iterator[IO[str] | tuple[str, ...]]:
    if name is None:
        yield ()
    elif name == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        yield sys.stdin
    else:
        if not Path(name).is_file():
            raise UsageError("there is no such log", which="--logs", hint="name a file, or - for standard input")
        with Path(name).open(encoding="utf-8", errors="replace") as file:
            yield file
