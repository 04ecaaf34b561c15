"""`edge relink`: the hospital-side gateway, and the ordered worklist of what it has filed."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.commands import positive, print_json, settings_of
from edge.errors import BadObject, DeliveryError, PeerFailure, UsageError

if TYPE_CHECKING:
    from edge.config import Settings
    from edge.relink.worklist import Worklist

NAME = "relink"
HELP = (
    "Run the hospital-side gateway until SIGTERM or SIGINT: it takes PHI-free results from listed boxes, asks the PACS "
    "whose study it is, and stores them there under that patient. Logs go to stderr. With --worklist: ask the PACS for "
    "the reports of boxes and show them with their patients, urgent ones first."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--worklist", action="store_true", help="show the reports in the PACS, urgent first, and end")
    parser.add_argument("--days", type=positive, default=3, metavar="N", help="studies of the last N days (default 3)")
    parser.add_argument(
        "--page",
        type=int,
        metavar="PORT",
        help="with --worklist: as a page on 127.0.0.1 until SIGTERM; 0 takes a free port",
    )


def run(args: Namespace) -> int:
    settings = settings_of(args)
    if args.worklist:
        return _worklist(args, settings)
    if args.page is not None:
        raise UsageError("--page is for the worklist", which="--page", hint="add --worklist")
    from edge import rooms

    rooms.run_room("relink", settings)
    if args.json:
        print_json({"stopped": "relink"})
    return 0


def _worklist(args: Namespace, settings: Settings) -> int:
    from edge.relink import page

    read = _reader(settings, args.days)
    if args.page is not None:
        _serve(args.page, read)
        return 0
    found = read()
    if args.json:
        print_json(page.as_json(found))
    else:
        print("\n".join(page.as_text(found)))
    return 0


def _reader(settings: Settings, days: int) -> Callable[[], Worklist]:
    from edge.relink import worklist
    from edge.relink.room import needed, pacs_of
    from edge.relink.status import Refused

    relink = needed(settings)
    pacs = pacs_of(settings, relink)

    def read() -> Worklist:
        try:
            since = datetime.date.today() - datetime.timedelta(days=days)
            return worklist.read(pacs, relink.pacs.character_set, since)
        except (PeerFailure, Refused, BadObject) as error:
            reason = getattr(error, "reason", "answer-unreadable")
            raise DeliveryError(
                "the PACS does not say which reports it has",
                which=reason,
                hint="it must let us ask (C-FIND) and retrieve SR (C-GET); edge/relink/README.md",
            ) from None

    return read


def _serve(port: int, read: Callable[[], Worklist]) -> None:
    import signal
    import sys
    import threading

    from edge.relink import page

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    def ready(port: int) -> None:
        sys.stderr.write(f"http://{page.LOOPBACK}:{port}/\n")
        sys.stderr.flush()

    page.serve(port, read, ready, stopping)
