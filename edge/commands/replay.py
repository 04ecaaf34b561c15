"""`edge replay`: does the same image still lead to the same report?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from edge.commands import print_json, settings_of

NAME = "replay"
HELP = (
    "Look again at what a report was made from, with the same package, and compare: bit for bit the same, or what "
    "differs and which versions do (exit code 1). Nothing is recorded as a result, nothing is sent."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT_UID", help="SOP Instance UID of a result; `edge jobs show` names it")


def run(args: Namespace) -> int:
    from edge.operate.control import ask

    answer: dict[str, Any] = {}
    for each in ask(settings_of(args).run, {"act": "replay", "report": args.report}):
        answer = each
    answer.pop("end")
    if args.json:
        print_json(answer)
    else:
        print("\n".join(_lines(answer)))
    return 0 if answer["same"] else 1


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    package = answer["package"]
    found = "the same, bit for bit" if answer["same"] else "not the same"
    yield f"report {answer['report']}, job {answer['job']}, by {package['name']} {package['version']}: {found}"
    for each in answer["scores"]:
        said = "detected" if each["present"] else "not detected"
        yield f"  {each['code']:<24}{each['score']!r} (threshold {each['threshold']!r}) {said}"
    for each in answer["differences"]:
        yield f"  {each['what']}: then {each['then']!r}, now {each['now']!r}"
