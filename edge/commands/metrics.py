"""`edge metrics`: the numbers that a monitoring system collects."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of
from edge.errors import EnvironmentFailure

NAME = "metrics"
HELP = "Print the metrics of the running box (Prometheus text), or serve them on a unix socket, run/metrics.sock."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--serve", action="store_true", help="answer HTTP on run/metrics.sock until SIGTERM")


def run(args: Namespace) -> int:
    from edge.operate.metrics import FILE

    folder = settings_of(args).run
    try:
        if args.serve:
            _serve(args)
            return 0
        text = (folder / FILE).read_text()
    except OSError as error:
        raise EnvironmentFailure(
            f"there are no metrics ({error.strerror})",
            which=FILE,
            hint="`edge serve`: infer writes them; `edge status`",
        ) from None
    if args.json:
        print_json({name: float(value) for name, _, value in map(_parted, text.splitlines()) if name[:1] != "#"})
    else:
        sys.stdout.write(text)
    return 0


def _serve(args: Namespace) -> None:
    import signal

    from edge.operate.exporter import Exporter

    exporter = Exporter(settings_of(args).run)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: exporter.stop())
    exporter.serve()


def _parted(line: str) -> tuple[str, str, str]:
    return line.rpartition(" ")
