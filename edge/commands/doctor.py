"""`edge doctor`: prints each check as it is made; exit code 1 if one failed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from edge.commands import print_json

NAME = "doctor"
HELP = "Check everything that can be wrong with this box, and say what to do. Exit code 1 if a check failed."


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def run(args: Namespace) -> int:
    from edge.operate.doctor import examine

    checks = []
    for check in examine(args.config):
        checks.append(check)
        if not args.json:
            _show(check.word, check.name, check.detail, check.hint)
    if args.json:
        print_json({"checks": [check.as_json() for check in checks]})
    else:
        _sum_up([check.word for check in checks])
    return 0 if all(check.ok for check in checks) else 1


def _show(word: str, name: str, detail: str, hint: str) -> None:
    from edge.operate.screen import paint

    sys.stdout.write(f"{paint(word.ljust(4))}  {name.ljust(22)} {detail}\n")
    if hint:
        sys.stdout.write(f"{'':29}try: {hint}\n")
    sys.stdout.flush()


def _sum_up(words: list[str]) -> None:
    wrong = words.count("FAIL")
    told = f"{wrong} of {len(words)} checks failed" if wrong else f"all {len(words)} checks passed"
    warnings = words.count("WARN")
    sys.stdout.write(f"\n{told}" + (f", {warnings} with a warning\n" if warnings else "\n"))
