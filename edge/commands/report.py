"""`edge report show FILE`: a Structured Report as readable text."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge.errors import BadObject
from edge.report.reader import ReportView, read_report
from edge.report.show import as_json, as_text

NAME = "report"
HELP = "Read reports: ours, and any DICOM Structured Report."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="an SR as readable text", description="An SR as readable text.")
    show.add_argument("file", metavar="FILE", type=Path, help="a DICOM Structured Report")


def run(args: argparse.Namespace) -> int:
    """Print the report; with --json as one document."""
    view = _view(args.file)
    sys.stdout.write(json.dumps(as_json(view), indent=2) + "\n" if args.json else as_text(view))
    return 0


def _view(path: Path) -> ReportView:
    try:
        return read_report(path.read_bytes())
    except BadObject as error:
        raise BadObject(error.what, which=str(path), hint=error.hint) from None
    except OSError as error:
        raise BadObject(
            f"the file cannot be opened ({error.strerror})", which=str(path), hint="check its name"
        ) from None
