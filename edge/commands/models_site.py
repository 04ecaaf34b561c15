"""`edge models`, the hospital's side: install, list, shadow, compare, accept, activate, rollback, remove, history.

What changes something goes through the infer room where it runs, else it is done here, with the room's lock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edge.commands import positive, print_json, settings_of
from edge.errors import EdgeError, PackageError, UsageError

if TYPE_CHECKING:
    from edge.config import Settings
    from edge.journal.packages import Installed

_PACKAGE = "NAME (its newest version), NAME-VERSION, or the first 8 or more digits of a digest"
_REASON = "why, where a gate stands before it: a code for the audit trail, no text"


def add_arguments(actions: Any) -> None:
    """`actions`: the sub-parsers of `edge models`."""
    text = "verify, unpack and self-test a signed package; nothing runs it yet"
    command = actions.add_parser("install", help=text, description=text)
    command.add_argument("package", type=Path, metavar="FILE", help="an archive, or a package folder")
    command.add_argument("--reason", metavar="CODE", default="", help=_REASON)

    text = "the packages of this box and their states"
    actions.add_parser("list", help=text, description=text)

    text = "let a package look at what the active one looks at, and send nothing"
    command = actions.add_parser("shadow", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument("--off", action="store_true", help="no longer")

    text = "run a package from the next job on, without a pause"
    command = actions.add_parser("activate", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument("--reason", metavar="CODE", default="", help=_REASON)

    text = "what a shadow said beside the active package: agreement, disagreements, latency, failures"
    command = actions.add_parser("compare", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)

    text = "measure a package on this site's own labelled studies, and keep the record"
    command = actions.add_parser("accept", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)
    command.add_argument("--truth", type=Path, required=True, metavar="CSV", help="columns UID, finding, label")
    command.add_argument("--by", required=True, metavar="NAME", help="who answers for it; never leaves the box")

    text = "run again what ran before the active package"
    command = actions.add_parser("rollback", help=text, description=text)
    command.add_argument("package", metavar="NAME")
    command.add_argument("--reason", metavar="CODE", default="", help=_REASON)

    text = "delete a package that does nothing; its version is remembered"
    command = actions.add_parser("remove", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", help=_PACKAGE)

    text = "what happened to packages, the newest first"
    command = actions.add_parser("history", help=text, description=text)
    command.add_argument("package", metavar="PACKAGE", nargs="?", default="", help=_PACKAGE)
    command.add_argument("--limit", type=positive, default=50, metavar="N", help="at most N (default 50)")


def _install(args: argparse.Namespace) -> int:
    from edge.packages import archive
    from edge.packages.offline import request

    settings = settings_of(args)
    with tempfile.TemporaryFile() as packed:
        if args.package.is_dir():
            archive.pack(args.package, packed)
            packed.seek(0)
            return _tell(args, request(settings, _asked(args), packed.fileno()))
        try:
            file = args.package.open("rb")
        except OSError as error:
            raise PackageError(
                f"the archive cannot be read ({error.strerror})", which=str(args.package), hint="check the path"
            ) from None
        with file:
            return _tell(args, request(settings, _asked(args), file.fileno()))


def _change(args: argparse.Namespace) -> int:
    from edge.packages.offline import request

    return _tell(args, request(settings_of(args), _asked(args)))


def _accept(args: argparse.Namespace) -> int:
    from edge.packages.offline import request

    try:
        file = args.truth.open("rb")
    except OSError as error:
        raise UsageError(
            f"the truth file cannot be read ({error.strerror})", which="--truth", hint="check the path"
        ) from None
    with file:
        asked = {"do": "accept", "package": args.package, "by": args.by}
        record = request(settings_of(args), asked, file.fileno())
    record.pop("end", None)
    if args.json:
        print_json(record)
        return 0
    print(f"{record['package']} {record['version']} accepted on {record['labels']} labels, by {record['by']}")
    for each in record["findings"]:
        print(
            f"  {each['finding']}: {each['positives']} positive, {each['negatives']} negative,"
            f" {each['missing']} without a result"
        )
        for what in ("sensitivity", "specificity", "flag_rate"):
            print(f"    {what.replace('_', ' '):<12}{_share(each[what])}")
    return 0


def _share(told: dict[str, Any]) -> str:
    if not told["of"]:
        return "nothing to count"
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f}, 95 %), {told['count']} of {told['of']}"


def _compare(args: argparse.Namespace) -> int:
    from edge.journal import Journal, shadows
    from edge.packages.comparison import compare
    from edge.packages.lifecycle import resolved

    journal = Journal(settings_of(args).journal)
    try:
        package = resolved(journal, args.package, "SHADOW", "INSTALLED", "ACTIVE", "RETIRED")
        found = compare(shadows.pairs(journal, package.digest), shadows.waiting(journal, package.digest))
    finally:
        journal.close()
    told = {"package": package.name, "version": package.version, "digest": package.digest, **asdict(found)}
    if args.json:
        print_json(told)
        return 0
    print(
        f"{package.name} {package.version}: looked at {found.looked}, {found.waiting} waiting,"
        f" {found.compared} compared"
    )
    print(f"  agreement      {_share(told['agreement'])}")
    for each in told["findings"]:
        print(
            f"  {each['finding']}: both {each['both']}, neither {each['neither']}, only active {each['only_active']},"
            f" only shadow {each['only_shadow']}; scores apart {each['mean_difference']:.4f},"
            f" at most {each['max_difference']:.4f}"
        )
    print(f"  run            active {found.active_ms:.1f} ms, shadow {found.shadow_ms:.1f} ms")
    print(f"  outcomes       {', '.join(f'{name}: {count}' for name, count in found.outcomes.items()) or '-'}")
    print(f"  disagreements  {', '.join(map(str, found.disagreements)) or '-'} (`edge jobs show`)")
    return 0


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """The request for the room. A file goes as a descriptor: the room could not see its path."""
    wanted = {"package": args.package if isinstance(args.package, str) else "", "do": args.action}
    return {**wanted, "reason": getattr(args, "reason", ""), "off": getattr(args, "off", False)}


def _tell(args: argparse.Namespace, told: dict[str, Any]) -> int:
    told.pop("end", None)
    if args.json:
        print_json(told)
        return 0
    package = told["package"]
    replaced = f", in place of {told['replaced'][:12]}" if told["replaced"] else ""
    called = f"{package['name']} {package['version']} {package['digest'][:12]}"
    print(f"{called}: {told['was']} -> {package['state']}{replaced}")
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = list(_rows(settings_of(args)))
    if args.json:
        print_json(rows)
        return 0
    print(f"{'NAME':<28}{'VERSION':<10}{'STATE':<11}{'DIGEST':<14}{'SIGNER':<18}{'ROUTES':<16}NOTE")
    for row in rows:
        note = row["problem"] or (row["waiver"] and f"not accepted here: {row['waiver']}") or row["reason"]
        print(
            f"{row['name']:<28}{row['version']:<10}{row['state']:<11}{row['digest'][:12]:<14}{row['signer']:<18}"
            f"{','.join(row['routes']) or '-':<16}{note}".rstrip()
        )
    return 0


def _rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each package: those of the software, then those installed."""
    from edge.journal import Journal, packages
    from edge.packages.registry import Registry
    from edge.packages.site import policy_of, store_of, usable

    found: list[Installed] = []
    if settings.journal.exists():
        journal = Journal(settings.journal)
        try:
            found = packages.listing(journal)
        finally:
            journal.close()
    routes = {name: [each.name for each in settings.routes if each.package == name] for name in _names(settings)}
    working = {each.name for each in found if each.state == "ACTIVE"}
    shipped = Registry()
    for name in shipped.names():
        package = shipped.resolve(name)
        used = routes.get(name, []) if name not in working else []
        yield _row(package.manifest.name, package.manifest.version, package.digest, "ACTIVE" if used else "INSTALLED",
                   routes=used, origin="builtin")  # fmt: skip
    for each in found:
        problem = ""
        if each.state == "ACTIVE":
            try:
                usable(each, store_of(settings), policy_of(settings))
            except EdgeError as error:  # also a key file that cannot be read: the list says so and goes on
                problem = error.what
        yield _row(
            each.name, each.version, each.digest, each.state, origin="installed", signer=each.signer,
            routes=routes.get(each.name, []) if each.state == "ACTIVE" else [], reason=each.reason,
            waiver=each.waiver if each.state == "ACTIVE" else "", accepted=each.accepted, problem=problem,
            installed_at=each.installed_at, activated_at=each.activated_at,
        )  # fmt: skip


def _names(settings: Settings) -> set[str]:
    return {route.package for route in settings.routes}


def _row(name: str, version: str, digest: str, state: str, **more: Any) -> dict[str, Any]:
    unknown = {"origin": "", "signer": "", "routes": [], "reason": "", "waiver": "", "accepted": False, "problem": "",
               "installed_at": None, "activated_at": None}  # fmt: skip
    return {"name": name, "version": version, "digest": digest, "state": state, **unknown, **more}


def _history(args: argparse.Namespace) -> int:
    from edge.journal import Journal, packages, views
    from edge.packages.lifecycle import is_meant

    journal = Journal(settings_of(args).journal)
    try:
        known = {each.digest: each for each in packages.listing(journal)}
        meant = [each.digest for each in known.values() if is_meant(each, args.package)] if args.package else [""]
        events = [event for digest in meant for event in views.events(journal, args.limit, "package", digest)]
    finally:
        journal.close()
    rows: list[dict[str, Any]] = []
    for event in sorted(events, key=lambda event: event.at, reverse=True)[: args.limit]:
        about = known.get(event.name)
        rows.append(
            {"at": event.at, "digest": event.name, "name": about.name if about else "",
             "version": about.version if about else "", "old": event.old, "new": event.new, "reason": event.reason}
        )  # fmt: skip
    if args.json:
        print_json(rows)
    else:
        for row in rows:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["at"]))
            moved = f"{row['old'] or '-'} -> {row['new']}"
            print(f"{when}Z  {row['name'] or '-':<28}{row['version']:<10}{moved:<24}{row['reason']}".rstrip())
    return 0


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType(
    {"install": _install, "list": _list, "history": _history, "accept": _accept, "compare": _compare}
    | dict.fromkeys(("shadow", "activate", "rollback", "remove"), _change)
)
"""What each word after `edge models` runs."""
