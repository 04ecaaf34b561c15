"""`edge bench`: this machine against named peers, always as ratios of the same run."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from typing import Any

from edge.commands import print_json
from edge.errors import UsageError

NAME = "bench"
HELP = "Measure this machine against named peers, in the same run. A ratio above 1 is better for us."

_TASKS = {
    "infer": "queue, worker and shared memory against the bare model; the runtime against others",
    "kernels": "each kernel against the libraries that compute the same, and against memory",
    "receive": "C-STORE into the box against storescp, Orthanc and pynetdicom",
    "report": "a report and a segmentation built and encoded, against highdicom",
    "end-to-end": "push to report: throughput against the bare model, and latency",
}
_COLUMNS = ("task", "ours", "peer", "ratio", "ratio_range", "n")


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="TASK", required=True)
    for name, summary in _TASKS.items():
        if find_spec(_module(name)):
            task = actions.add_parser(name, help=summary, description=f"Measure {summary}.")
            task.add_argument("-n", type=int, default=0, help="how many images or rounds (default: the task's own)")
            if name == "kernels":
                task.add_argument("--only", default="", metavar="WORD", help="only tasks whose name holds WORD")
                task.add_argument("--plot", default="", metavar="FILE", help="also write the picture (SVG) to FILE")
            if name == "receive":
                task.add_argument("--full", action="store_true", help="every kind of object and peer; some minutes")
                task.add_argument("--plot", default="", metavar="FILE", help="also write the picture (SVG) to FILE")


def run(args: Namespace) -> int:
    if args.n < 0:
        raise UsageError("-n must be positive", which="-n", hint="leave it out")
    task = importlib.import_module(_module(args.action))
    if sys.stderr.isatty():
        sys.stderr.write("measuring; keep the machine idle ...\n")
    options = {name: value for name in ("full", "only", "plot") if (value := getattr(args, name, False))}
    result: Any = task.run(args.n, **options) if args.n else task.run(**options)
    document = result if isinstance(result, dict) else {"rows": result, **task.header()}
    if args.json:
        print_json(document)
    else:
        sys.stdout.write(task.show(document) if hasattr(task, "show") else _table(document))
    return 0


def _module(name: str) -> str:
    return f"edge.bench.{name.replace('-', '_')}"


def _table(document: dict[str, Any]) -> str:
    from edge.operate.screen import table

    tasks = [row["task"] for row in document["rows"]]
    columns = (*_COLUMNS, "peer_name") if len(set(tasks)) < len(tasks) else _COLUMNS  # several peers for one task
    rows = [[_cell(row[column]) for column in columns] for row in document["rows"]]
    facts = [fact for key, value in document.items() if key != "rows" for fact in _facts(key, value)]
    if columns is _COLUMNS:
        peers = dict.fromkeys(str(row["peer_name"]) for row in document["rows"] if "peer_name" in row)
        facts += [("peer", name) for name in peers]
    return table(rows, columns) + "\n" + table(facts)


def _facts(key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(key, ""), *((f"  {inner}", _cell(item)) for inner, item in value.items())]
    return [(key, _cell(value))]


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " .. ".join(_cell(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
