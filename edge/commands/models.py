"""`edge models`: bring a network in, check a package, try it on local files."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands import print_json
from edge.errors import PackageError, UsageError

if TYPE_CHECKING:
    from edge.packages.check import Report
    from edge.packages.package import Package

NAME = "models"
HELP = "Bring a trained network in, check a package, try it on local files."

_PICTURES = (".jpg", ".jpeg", ".png")
_PACKAGE = "a package folder, or the name of a shipped package"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    text = "Keras .h5, .keras, SavedModel or .onnx to a draft package folder"
    command = actions.add_parser("import", help=text, description=text)
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    command.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="JPEG or PNG files, or a folder, to compare on",
    )

    text = "is this package fit to run on this box?"
    command = actions.add_parser("check", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument(
        "--update-members", action="store_true", help="vendor's side: first write the hashes of the folder's files"
    )

    text = "run a package on local DICOM, JPEG or PNG files"
    command = actions.add_parser("try", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    command.add_argument("--png", type=Path, metavar="DIR", help="also write what the network sees, as PNG")


def run(args: argparse.Namespace) -> int:
    """0 fine, 1 refused or a problem found."""
    return {"import": _import, "check": _check, "try": _try}[args.action](args)


def _import(args: argparse.Namespace) -> int:
    from edge.packages.importer.run import import_model

    result = import_model(args.file, args.out, _pictures(args.images), _progress)
    if args.json:
        print_json({**asdict(result), "package": str(result.package)})
        return 0
    print(f"{result.package}: a draft package, at most {result.max_abs_difference:.3g} from the original")
    print("Still to be said in model.toml before it is a package:")
    for sentence in result.missing:
        print(f"  - {sentence}")
    return 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def _pictures(paths: list[Path]) -> list[bytes]:
    """The bytes of all pictures named, or lying in a folder that is named."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _PICTURES)
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError("there is no such picture", which=str(path), hint="check --images")
    return [path.read_bytes() for path in found]


def _package(name: str) -> Package:
    """A folder that is there wins over a shipped package of the same name only if it looks like a path."""
    from edge.packages.package import load_folder
    from edge.packages.registry import Registry

    registry = Registry()
    return registry.resolve(name) if name in registry.names() else load_folder(Path(name))


def _check(args: argparse.Namespace) -> int:
    from edge.packages import members
    from edge.packages.check import Problem, Report, examine

    digest = ""
    try:
        if args.update_members:
            members.update(Path(args.package))
        package = _package(args.package)
        digest = package.digest
        report = examine(package)
    except PackageError as error:
        report = Report((Problem(error.which, error.what, error.hint),))
    if args.json:
        print_json({"package": args.package, "ok": not report.problems, "digest": digest, **asdict(report)})
    else:
        _print(args.package, report)
    return 1 if report.problems else 0


def _print(name: str, report: Report) -> None:
    for problem in report.problems:
        print(f"{problem.where}: {problem.what}; try: {problem.hint}", file=sys.stderr)
    if report.provider:
        print(
            f"{name}: {report.cases} self-test cases on {report.provider}, off by at most {report.max_difference:.2g};"
            f" load {report.load_ms:.0f} ms, run {report.median_ms:.1f} ms, peak {report.peak_mib:.0f} MiB"
        )
    print(f"{name}: {'NOT fit to run' if report.problems else 'fit to run on this box'}")


def _try(args: argparse.Namespace) -> int:
    from edge.demo import inputs
    from edge.packages.attempt import Bench
    from edge.packages.check import check

    inputs.check(args.files)
    package = _package(args.package)
    problems = check(package)
    if problems:
        first = problems[0]
        raise PackageError(f"the package is not fit to run: {first.what}", which=first.where, hint=first.hint)
    with Bench(package) as bench:
        rows = [bench.attempt(path, args.png) for path in args.files]
    if args.json:
        results = [asdict(row) for row in rows]
        print_json({"package": package.manifest.name, "digest": package.digest, "results": results})
    else:
        print("\n".join(row.sentence() for row in rows))
    return 1 if any(row.reason for row in rows) else 0
