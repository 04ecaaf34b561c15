"""`edge models`, the vendor's side: import, check, try, calibrate, keygen, sign, pack. Nothing here needs a box."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edge.commands import print_json, settings_of
from edge.errors import ConfigError, PackageError, UsageError

if TYPE_CHECKING:
    from edge.packages.check import Report
    from edge.packages.package import Package
    from edge.packages.signature import TrustedKey

_PICTURES = (".jpg", ".jpeg", ".png")
_PACKAGE = "a package folder, an archive, or the name of a shipped package"


def add_arguments(actions: Any) -> None:
    """`actions`: the sub-parsers of `edge models`."""
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

    text = "is this package fit to run on this box? who signed it?"
    command = actions.add_parser("check", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", nargs="?", help=_PACKAGE)
    command.add_argument(
        "--update-members", action="store_true", help="vendor's side: first write the hashes of the folder's files"
    )
    command.add_argument(
        "--key", type=Path, action="append", default=[], metavar="PUB", help="compare the signature with this key"
    )
    command.add_argument("--schema", action="store_true", help="print the JSON Schema of model.toml, for editors")

    text = "run a package on local DICOM, JPEG or PNG files"
    command = actions.add_parser("try", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    command.add_argument("--png", type=Path, metavar="DIR", help="also write what the network sees, as PNG")

    text = "which threshold labelled images support, measured on other patients; written into the model card"
    command = actions.add_parser("calibrate", help=text, description=text)
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--truth", type=Path, required=True, metavar="CSV", help="file, patient, finding, label")
    command.add_argument("--images", type=Path, required=True, metavar="DIR", help="where the files are")
    command.add_argument("--sensitivity", type=_share, default=0.9, metavar="X", help="to be reached (default 0.9)")

    text = "a vendor's key pair: NAME.key signs and stays secret, NAME.pub goes to hospitals"
    command = actions.add_parser("keygen", help=text, description=text)
    command.add_argument("name", type=Path, metavar="NAME", help="path without ending")

    text = "sign a package folder: write SIGNATURE"
    command = actions.add_parser("sign", help=text, description=text)
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key")

    text = "one file NAME-VERSION.edgemodel from a package folder; the same folder gives the same bytes"
    command = actions.add_parser("pack", help=text, description=text)
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to (default: here)")


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


@contextmanager
def opened(name: str) -> Iterator[Package]:
    """The package that `name` means: a shipped one, else a folder, else an archive, unpacked for as long as needed."""
    from edge.packages import archive
    from edge.packages.package import load_folder
    from edge.packages.registry import Registry

    registry = Registry()
    path = Path(name)
    if name in registry.names():
        yield registry.resolve(name)
    elif path.is_file():
        with tempfile.TemporaryDirectory(prefix="edge-models-") as folder, path.open("rb") as source:
            yield archive.unpack(source, Path(folder) / "package", accept=lambda *_: None)
    else:
        yield load_folder(path)


def _check(args: argparse.Namespace) -> int:
    from edge.packages import members, schema, signature
    from edge.packages.check import Problem, Report, examine

    if args.schema:
        sys.stdout.write(schema.text())
        return 0
    if args.package is None:
        raise UsageError("name a package", hint="edge models check PACKAGE")
    digest, signed = "", ""
    try:
        if args.update_members:
            members.update(Path(args.package))
        keys = signature.load_keys(args.key) or _configured_keys(args)
        with opened(args.package) as package:
            digest = package.digest
            signed = _signed(package, keys)
            report = examine(package)
    except PackageError as error:
        report = Report((Problem(error.which, error.what, error.hint),))
    if args.json:
        told = {"package": args.package, "ok": not report.problems, "digest": digest, "signed": signed}
        print_json({**told, **asdict(report)})
    else:
        _print(args.package, report)
        print(f"{args.package}: {signed or 'signature not looked at'}")
    return 1 if report.problems else 0


def _configured_keys(args: argparse.Namespace) -> tuple[TrustedKey, ...]:
    """The keys of the box that is configured here, if one is: a vendor has none."""
    from edge.packages import signature

    try:
        settings = settings_of(args)
    except ConfigError:
        if args.config:
            raise
        return ()
    return signature.load_keys(map(settings.path, settings.models.trusted_keys))


def _signed(package: Package, keys: tuple[TrustedKey, ...]) -> str:
    """Who signed it, in words. Raises PackageError when there is a signature and none of `keys` made it."""
    from edge.packages.registry import BUILTIN
    from edge.packages.signature import verified

    found = package.signature()
    if package.origin == BUILTIN:
        return "part of this software"
    if found is None:
        return "not signed"
    if not keys:
        return "signed; give --key to see by whom"
    return f"signed by key {verified(package.manifest_bytes, found, keys).id}"


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
    with opened(args.package) as package:
        problems = check(package)
        if problems:
            first = problems[0]
            raise PackageError(f"the package is not fit to run: {first.what}", which=first.where, hint=first.hint)
        with Bench(package) as bench:
            rows = list(bench.attempts(args.files, args.png))
    if args.json:
        results = [asdict(row) for row in rows]
        print_json({"package": package.manifest.name, "digest": package.digest, "results": results})
    else:
        print("\n".join(row.sentence() for row in rows))
    return 1 if any(row.reason for row in rows) else 0


def _share(text: str) -> float:
    """An argument between 0 and 1."""
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError
    return number


def _calibrate(args: argparse.Namespace) -> int:
    from edge.packages import calibration, members
    from edge.packages.attempt import Bench
    from edge.packages.package import load_folder

    package = load_folder(args.folder)
    if package.manifest.task != "classify":
        raise PackageError("only classifiers are calibrated", which=package.manifest.name, hint="see its task")
    try:
        data = args.truth.read_bytes()
    except OSError as error:
        raise UsageError(f"it cannot be read ({error.strerror})", which="--truth", hint="check the path") from None
    cases = calibration.read_cases(data, package.manifest)
    files = sorted({case.file for case in cases})
    with Bench(package) as bench:
        attempts = {name: bench.attempt(args.images / name) for name in files}
    scores = {(name, each.code.value): each.score for name, found in attempts.items() for each in found.findings}
    entries = [entry for output in package.manifest.outputs for entry in output.classes]
    stated = {entry.code.value: entry.threshold for entry in entries}
    measured = calibration.calibrate(cases, scores, stated, args.sensitivity)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    calibration.write_card(package, measured, hashlib.sha256(data).hexdigest(), day)
    members.update(args.folder)
    left_out = sum(not found.findings for found in attempts.values())
    lines = [
        f"{each.finding}: AUC {each.auc.value:.3f}; threshold {each.stated:g} finds {each.stated_sensitivity.value:.3f}"
        f" and clears {each.stated_specificity.value:.3f}; {each.proposed:g} would find"
        f" {each.proposed_sensitivity.value:.3f} and clear {each.proposed_specificity.value:.3f} of {each.testing}"
        for each in measured
    ]
    told = {"package": str(args.folder), "left_out": left_out, "findings": [asdict(each) for each in measured]}
    _tell(args, told, "\n".join([*lines, f"{left_out} files were not analysed; the card is written, sign it anew"]))
    return 0


def _keygen(args: argparse.Namespace) -> int:
    from edge.packages.signature import make_keys

    private, public = (args.name.with_name(args.name.name + ending) for ending in (".key", ".pub"))
    key = make_keys(private, public)
    _tell(
        args,
        {"private": str(private), "public": str(public), "key": key.id},
        f"{private}: keep it secret, off every box\n{public}: key {key.id}; hospitals name it in models.trusted_keys",
    )
    return 0


def _sign(args: argparse.Namespace) -> int:
    from edge.packages.package import SIGNATURE
    from edge.packages.signature import sign_folder

    key = sign_folder(args.folder, args.key)
    path = args.folder / SIGNATURE
    _tell(args, {"package": str(args.folder), "signature": str(path), "key": key.id}, f"{path}: by key {key.id}")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from edge.packages import archive
    from edge.packages.package import load_folder

    target = args.out / archive.file_name(load_folder(args.folder).manifest)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            package = archive.pack(args.folder, file)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    signed = package.signature() is not None
    _tell(
        args,
        {"archive": str(target), "digest": package.digest, "size": target.stat().st_size, "signed": signed},
        f"{target}: {target.stat().st_size} bytes, {'signed' if signed else 'NOT signed: no box installs it'}",
    )
    return 0


def _tell(args: argparse.Namespace, document: Mapping[str, object], text: str) -> None:
    if args.json:
        print_json(document)
    else:
        print(text)


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType(
    {
        "import": _import,
        "check": _check,
        "try": _try,
        "keygen": _keygen,
        "sign": _sign,
        "pack": _pack,
        "calibrate": _calibrate,
    }
)
"""What each word after `edge models` runs."""
