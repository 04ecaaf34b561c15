"""`edge find`: where is this study? The value comes from stdin, never from the command line, which others can read."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from edge.commands import print_json, settings_of
from edge.errors import UsageError

NAME = "find"
HELP = "Find stored studies by accession number or patient ID, read from stdin. Answers with UIDs and states only."

_LONGEST = 256


def add_arguments(parser: ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--accession", metavar="-", help="an Accession Number, from stdin")
    group.add_argument("--patient-id", metavar="-", help="a Patient ID, from stdin")


def run(args: Namespace) -> int:
    from edge.operate.control import ask
    from edge.operate.screen import Progress

    by = "accession" if args.accession is not None else "patient-id"
    if (args.accession or args.patient_id) != "-":
        raise UsageError("the value is read from stdin", which=f"--{by}", hint=f"edge find --{by} - and type it")
    request = {"act": "find", "by": by, "value": _value()}
    studies: list[dict[str, Any]] = []
    answer: dict[str, Any] = {}
    with Progress("looking") as progress:
        for answer in ask(settings_of(args).run, request):
            if "progress" in answer:
                progress.show(answer["progress"], answer["of"])
            elif "study" in answer:
                studies.append(answer["study"])
    if args.json:
        print_json({"studies": studies, "looked_at": answer["looked_at"], "seconds": answer["seconds"]})
    else:
        print("\n".join([*map(_line, studies), f"{len(studies)} studies; {_effort(answer)}"]))
    return 0 if studies else 1


def _value() -> str:
    if sys.stdin.isatty():
        sys.stderr.write("value: ")
        sys.stderr.flush()
    return sys.stdin.readline(_LONGEST).strip()


def _effort(answer: dict[str, Any]) -> str:
    return f"opened {answer['looked_at']} heads in {answer['seconds']:.1f} s"


def _line(study: dict[str, Any]) -> str:
    told = [
        f"{thing} {', '.join(f'{count} {state}' for state, count in study[thing].items())}"
        for thing in ("objects", "jobs", "deliveries")
        if study[thing]
    ]
    return "  ".join([study["study_instance_uid"], *told])
