"""`edge`: finds the command, runs it, and turns every error into one line and an exit code.

Exit codes: 0 fine, 1 a problem was found, 2 wrong use. Stdout is the command's own; everything else is stderr.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime asks DNS at every session unless told before its import

import argparse
import contextlib
import difflib
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from edge import __version__
from edge.commands import TABLE, load_command
from edge.errors import EdgeError, EnvironmentFailure, JournalError, UsageError
from edge.operate import logs

_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that has `--config` and `--json`, as have all its sub-parsers, and that fails in one line."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", _wide)
        super().__init__(**options)  # type: ignore[arg-type]
        self.register("action", "parsers", _Words)
        common = self.add_argument_group("common options")
        common.add_argument(
            "--config",
            metavar="F",
            type=Path,
            default=argparse.SUPPRESS,
            help="edge.toml (else $EDGE_CONFIG, ./edge.toml, /etc/edge/edge.toml)",
        )
        common.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
        )

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        near = difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), 1) if wrong else []
        what = f"there is no `{wrong[1]}`" if wrong else message
        raise UsageError(what, hint=f"`{self.prog} {near[0]}`" if near else f"`{self.prog} --help`")


class _Words(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Words that choose a sub-parser; its line in the list is also how its own help begins."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        told = str(options.get("help") or "")
        options.setdefault("description", f"{told[:1].upper()}{told[1:]}{'' if told[-1:] in '.?' else '.'}")
        parser: argparse.ArgumentParser = super().add_parser(name, **options)
        return parser


def _wide(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=32, width=112)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with contextlib.suppress(ValueError):  # only the main thread has signals
        # as Ctrl-C: what was started is ended, what is temporary is removed
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        args = parse(words)
        logs.configure(getattr(args, "room", None) or args.command)
        return load_command(args.command).run(args)
    except EdgeError as error:
        return _say(" ".join(str(error).split()), error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", _INTERRUPTED)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        return _say(str(_missing(error)), 1)
    except OSError as error:
        return _say(str(_refused(error)), 1)
    except Exception as error:  # noqa: BLE001 - a bug: its text may hold a received value, its place does not
        if _is_of_the_journal(error):
            return _say(str(_journal_failed()), 1)
        sys.stderr.write(logs.frames(error))
        return _say(f"E-EDGE: internal error ({type(error).__name__}); try: report it with the lines above", 1)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments with `command`, `config` (Path or None) and `json` set. Raises UsageError."""
    defaults = argparse.Namespace(config=None, json=False)
    args = build_parser([word for word in words if word in TABLE]).parse_args(words, defaults)
    if args.command is None:
        raise UsageError("no command given", hint="`edge --help`")
    return args


def build_parser(loaded: Sequence[str]) -> Parser:
    """The parser of `edge`; only the commands in `loaded` are imported and know their own arguments."""
    parser = Parser(prog="edge", description="An inference appliance for imaging devices.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"edge {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in TABLE.items():
        if name in loaded:
            command = load_command(name)
            command.add_arguments(commands.add_parser(name, help=summary, description=command.HELP))
        else:
            commands.add_parser(name, help=summary)
    return parser


def _missing(error: ModuleNotFoundError) -> EnvironmentFailure:
    name = (error.name or "").partition(".")[0]
    extra = {"onnxruntime": "cpu", "tensorflow": "keras", "tf2onnx": "keras", "highdicom": "test"}.get(name)
    hint = f"pip install 'edge-imaging[{extra}]'" if extra else "install edge-imaging again"
    return EnvironmentFailure("a Python package is not installed", which=error.name or "", hint=hint)


def _refused(error: OSError) -> EnvironmentFailure:
    """What the system said, and of which file: its own words, which hold nothing received."""
    name = error.filename if isinstance(error.filename, str) else ""
    hint = "run as the box's own user, or `edge doctor`"
    return EnvironmentFailure(f"the system refused ({error.strerror})", which=name, hint=hint)


def _is_of_the_journal(error: Exception) -> bool:
    """Without importing the journal for commands that have none."""
    database = sys.modules.get("edge.journal.database")
    return database is not None and isinstance(error, database.DatabaseError)


def _journal_failed() -> JournalError:
    return JournalError(
        "the journal cannot be read or written", which="journal.db", hint="`edge doctor`: disk space, damage, modes"
    )


def _say(line: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")
    return code


__all__ = ["build_parser", "main", "parse"]
