"""`edge notify`: hand what a person must know to a program of the hospital's own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import settings_of
from edge.errors import ConfigError

NAME = "notify"
HELP = (
    "Run notify.command for everything that a person must know, one run a message, which it reads as JSON from its "
    "standard input. Runs until SIGTERM. It goes on where it stopped last."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="tell what is waiting, then end")


def run(args: Namespace) -> int:
    import signal
    import threading

    from edge.journal import Journal
    from edge.operate.notifying import Notifier

    settings = settings_of(args)
    if not settings.notify.command:
        raise ConfigError("there is no command to run", which="notify.command", hint="name one in edge.toml")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    journal = Journal(settings.journal)
    try:
        Notifier(settings, journal).run(stopping, once=args.once)
    finally:
        journal.close()
    return 0
