"""One file per command. A command module has four names, and nothing else is asked of it:

    NAME: str                      the word after `edge`
    HELP: str                      what it does: the first thing that `edge NAME --help` says
    add_arguments(parser) -> None  its own arguments; `--config` and `--json` are there already
    run(args) -> int               the exit code: 0 fine, 1 a problem was found

A module imports at its top only what `add_arguments` needs. `TABLE` is what `edge --help` shows; a module is
imported when its command is used, so a missing optional dependency hurts that command alone.
"""

from __future__ import annotations

import importlib
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from edge.config import Settings, load
from edge.config import find as find_file

TABLE: Mapping[str, str] = MappingProxyType(
    {
        "demo": "the whole appliance on loopback: push an image, read its report",
        "init": "make a new box: folders, keys, journal",
        "serve": "run the rooms (all three, or one)",
        "status": "what the box is doing now",
        "doctor": "check everything that can be wrong, and say what to do",
        "config": "show or check edge.toml",
        "jobs": "list, show, retry or discard jobs",
        "deliveries": "list, release, resend or discard deliveries",
        "route": "which routes and packages a file meets, and why not",
        "report": "read a structured report as text",
        "replay": "does the same image still lead to the same report, bit for bit?",
        "models": "model packages: import, check, sign; install, activate, roll back",
        "keys": "rotate the box's own keys",
        "find": "where is this study? by accession number or patient ID, from stdin",
        "erase": "erase one study, now and for ever",
        "audit": "show the audit trail, or verify that it is whole",
        "pause": "stop analysing and delivering; images are still received",
        "resume": "end a pause",
        "backup": "write journal and configuration to one file; the box may run",
        "restore": "put a backup back",
        "support-bundle": "one file for whoever helps: state, configuration, logs; names nobody",
        "metrics": "numbers for a monitoring system, as text or on a unix socket",
        "notify": "hand what a person must know to a program of your own",
        "relink": "run the hospital-side gateway: results in, filed under their patient",
        "bench": "measure this machine against named peers",
    }
)


class Command(Protocol):
    """See the module's docstring."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def run(self, args: Namespace) -> int: ...


def positive(text: str) -> int:
    """An argument that counts or names rows: 1 or more, and not more than the journal can hold."""
    number = int(text)
    if not 0 < number < 1 << 63:
        raise ValueError
    return number


def load_command(name: str) -> Command:
    """The module of the command `name`."""
    return cast(Command, importlib.import_module(f"edge.commands.{name.replace('-', '_')}"))


def settings_of(args: Namespace) -> Settings:
    """The settings that `--config`, $EDGE_CONFIG or the usual places name."""
    return load(find_file(args.config))  # not `find`: that is a command here


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
