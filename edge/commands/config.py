"""`edge config`: what the box was told, whether it can be done, what systemd and other systems must know of it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge.commands import print_json, settings_of
from edge.config import find
from edge.errors import ConfigError, EnvironmentFailure

NAME = "config"
HELP = "Show all settings with their defaults, or check edge.toml: every problem with its key, line and what to try."


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("show", help="all settings, defaults included", description="All settings, defaults included.")
    actions.add_parser("check", help="ok, or what is wrong", description="Check edge.toml, and all that it names.")
    actions.add_parser(
        "conformance",
        help="the DICOM Conformance Statement of this configuration",
        description="The DICOM Conformance Statement (PS3.2) of this configuration, as Markdown.",
    )
    units = actions.add_parser(
        "units",
        help="write what the systemd units take from edge.toml",
        description="Write drop-ins with the addresses and files that edge.toml names. Then: systemctl daemon-reload.",
    )
    units.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path("/etc/systemd/system"))


def run(args: Namespace) -> int:
    return {"show": _show, "check": _check, "units": _units, "conformance": _conformance}[args.action](args)


def _show(args: Namespace) -> int:
    from edge.operate import configuration

    settings = settings_of(args)
    if args.json:
        print_json(configuration.effective(settings))
    else:
        sys.stdout.write(configuration.as_toml(settings))
    return 0


def _check(args: Namespace) -> int:
    file = find(args.config)
    found = _problems(args)
    if args.json:
        rows = [{"key": each.which, "what": each.what, "try": each.hint} for each in found]
        print_json({"ok": not found, "file": str(file), "problems": rows})
    elif not found:
        sys.stdout.write(f"ok: {file}\n")
    for each in found:
        sys.stderr.write(f"{each}\n")
    return 1 if found else 0


def _units(args: Namespace) -> int:
    from edge.operate import units

    try:
        paths = units.write(settings_of(args), args.folder)
    except OSError as error:
        raise EnvironmentFailure(
            f"the drop-ins cannot be written ({error.strerror})", which=str(args.folder), hint="run as root"
        ) from None
    if args.json:
        print_json({"files": [str(path) for path in paths]})
    else:
        sys.stdout.writelines(f"{path}\n" for path in paths)
    return 0


def _conformance(args: Namespace) -> int:
    from edge.operate.conformance import statement

    text = statement(settings_of(args))
    if args.json:
        print_json({"markdown": text})
    else:
        sys.stdout.write(text)
    return 0


def _problems(args: Namespace) -> list[ConfigError]:
    """The first mistake of grammar, or all that does not fit this box."""
    from edge.operate import configuration
    from edge.packages.site import registry_of

    try:
        settings = settings_of(args)
        return list(configuration.problems(settings, registry_of(settings)))
    except ConfigError as error:
        return [error]
