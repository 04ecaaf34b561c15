"""`edge demo`: the whole appliance on loopback."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands import print_json

if TYPE_CHECKING:
    from edge.demo.run import Answer

NAME = "demo"
HELP = (
    "Start a box and a stand-in archive on loopback, push a chest X-ray (a generated phantom, or your DICOM, JPEG or "
    "PNG files), and print the report that arrives. A JPEG or PNG is pushed as the X-ray of an invented child of 4."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="DICOM, JPEG or PNG (default: a phantom)")
    parser.add_argument("--keep", action="store_true", help="keep the box's folder and its log for a look around")


def run(args: Namespace) -> int:
    from edge.demo import house, inputs
    from edge.demo.archive import Archive
    from edge.demo.run import demonstrate

    began = time.monotonic()
    inputs.check(args.files)
    folder = house.workplace()
    with (
        contextlib.closing(Archive(folder / "reports")) as archive,
        house.starting(folder, archive.port, keep=args.keep) as starting,
    ):
        _progress("starting a box of three rooms and an archive, on loopback only")
        pictures = [inputs.read(path) for path in args.files] or [inputs.the_phantom()]
        answers = demonstrate(starting.ready(), archive, pictures, _progress)
        elapsed = 1000.0 * (time.monotonic() - began)
    if args.json:
        print_json(_document(answers, elapsed))
    else:
        print("\n".join(_text(answers, elapsed)))
    return 0 if all(answer.answered for answer in answers) else 1


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"  {line}\n")


def _document(answers: list[Answer], elapsed: float) -> dict[str, Any]:
    results = [_result(answer) for answer in answers]
    first = next((result for result in results if result["report"]), results[0])
    return {
        "report": first["report"],
        "sop_instance_uid": first["sop_instance_uid"],
        "findings": first["findings"],
        "elapsed_ms": round(elapsed, 1),
        "results": results,
    }


def _result(answer: Answer) -> dict[str, Any]:
    from edge.report.show import as_json

    view = as_json(answer.view) if answer.view else {}
    return {
        "file": answer.picture.file,
        "identity_invented": answer.picture.wrapped,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "sentence": view.get("sentence", ""),
        "report": str(answer.report) if answer.report else None,
        "sop_instance_uid": view.get("sop_instance_uid"),
        "findings": view.get("findings", []),
        "elapsed_ms": round(answer.elapsed_ms, 1) if answer.elapsed_ms is not None else None,
    }


def _text(answers: list[Answer], elapsed: float) -> Iterator[str]:
    from edge.report.show import as_text

    shown = next((answer for answer in answers if answer.view), None)
    if shown and shown.view:
        yield from ("", f"== {shown.picture.file} ".ljust(100, "="), "", as_text(shown.view).rstrip(), "")
    if len(answers) > 1 or not shown:
        yield from _table(answers)
    if shown:
        if shown.picture.wrapped:
            yield "It was pushed as an X-ray of an invented child of 4 years."
        yield f"The report lies at {shown.report}"
        yield f"Push to report {shown.elapsed_ms:.0f} ms; {elapsed / 1000:.1f} s in all, start of the box included."


def _table(answers: list[Answer]) -> Iterator[str]:
    yield "=" * 100
    for answer in answers:
        took = f"{answer.elapsed_ms:.0f} ms" if answer.elapsed_ms is not None else ""
        yield f"{_findings(answer):<34}{took:>8}  {answer.picture.file}"
        if answer.reason:
            yield f"    {answer.reason}{_sentence(answer.reason)}"
    yield ""


def _sentence(reason: str) -> str:
    """What a reason of the catalogue means; a DICOM status speaks for itself."""
    from edge import reasons

    try:
        return f": {reasons.sentence(reason)}"
    except KeyError:
        return ""


def _findings(answer: Answer) -> str:
    """`Pneumonia: Detected 0.97`, or the outcome where nothing was looked for."""
    findings = answer.view.findings if answer.view else ()
    if not findings:
        return answer.outcome
    return ", ".join(
        f"{each.code.meaning}: {each.presence.meaning}" + (f" {each.score:.2f}" if each.score is not None else "")
        for each in findings
    )
