"""The command line itself: one line per error, exit codes, options everywhere, nothing received in any log."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import __version__, cli
from edge.commands import TABLE, load_command
from edge.errors import EdgeError
from edge.operate import logs

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PLANTED = "INVENTED^NAME"


class _Failing:
    """A command that ends as told."""

    NAME, HELP = "status", "Fails."

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def add_arguments(self, parser: object) -> None:
        pass

    def run(self, args: object) -> int:
        raise self._error


@pytest.fixture
def quiet() -> Iterator[None]:
    """Undo what `logs.configure` does to the process."""
    ours, root = logging.getLogger("edge"), logging.getLogger()
    before = (ours.handlers[:], ours.propagate, ours.level, root.handlers[:], sys.excepthook, threading.excepthook)
    hook = sys.unraisablehook
    with warnings.catch_warnings():
        yield
    ours.handlers, ours.propagate, root.handlers = before[0], before[1], before[3]
    ours.setLevel(before[2])
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[4], before[5], hook


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, quiet: None) -> Callable[[BaseException], int]:
    """Run `edge status` whose command raises the error given."""

    def run(error: BaseException) -> int:
        monkeypatch.setattr(cli, "load_command", lambda name: _Failing(error))
        return cli.main(["status"])

    return run


def test_version(run_edge: Run) -> None:
    ended = run_edge("--version")
    assert (ended.returncode, ended.stdout) == (0, f"edge {__version__}\n")


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys; from edge.cli import build_parser; print(build_parser([]).format_help());"
        "print([name for name in sys.modules if name.startswith('edge.commands.')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(summary in ended.stdout for summary in TABLE.values())
    assert ended.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "`edge --help`"),
        (["stauts"], "`edge status`"),
        (["nothing-like-it"], "`edge --help`"),
        (["config", "chek"], "`edge config check`"),
        (["config"], "`edge config --help`"),
        (["status", "--jsno"], "`edge --help`"),
        (["serve", "--room", "kitchen"], "`edge serve --help`"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("E-USAGE: ")
    assert err.endswith(f"try: {hint}\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", TABLE)
def test_every_command_takes_config_and_json(name: str) -> None:
    parser = cli.build_parser([name])
    for action in _actions(name):
        words = [name, *action, "--config", "some.toml", "--json"]
        for rest in (
            [],
            ["1"],
            ["folder", "file"],
            ["f", "--out", "d"],
            ["f", "--key", "k"],
            ["d", "--truth", "t", "--images", "d"],
            ["f", "--truth", "t", "--by", "x"],
            ["--accession", "-"],
        ):
            try:
                args = parser.parse_args([*words, *rest])
            except EdgeError:
                continue
            assert (args.config, args.json) == (Path("some.toml"), True)
            break
        else:
            pytest.fail(f"edge {' '.join(words)} is never accepted")


def _actions(name: str) -> list[list[str]]:
    parser = cli.Parser(prog="edge")
    load_command(name).add_arguments(parser)
    found = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    return [[each] for each in found[0].choices] if found else [[]]


def test_common_options_may_stand_before_the_action() -> None:
    args = cli.parse(["--json", "config", "--config", "a.toml", "show"])
    assert (args.command, args.action, args.json, args.config) == ("config", "show", True, Path("a.toml"))


def test_an_error_of_ours_is_its_own_line(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(EdgeError("it broke", which="this", hint="that")) == 1
    assert capsys.readouterr().err == "E-EDGE: it broke [this]; try: that\n"


def test_a_bug_shows_places_and_no_values(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(ValueError(PLANTED)) == 1
    err = capsys.readouterr().err
    assert PLANTED not in err
    assert "test_cli.py" in err
    assert err.splitlines()[-1].startswith("E-EDGE: internal error (ValueError)")


def test_a_missing_package_names_the_extra(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(ModuleNotFoundError("no", name="onnxruntime")) == 1
    assert "edge-imaging[cpu]" in capsys.readouterr().err


def test_an_interrupt_is_one_word(failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m edge config show --config /dev/null | true"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr


def test_logs_hold_no_text_of_an_exception_or_a_library(quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("infer")
    try:
        raise ValueError(PLANTED)
    except ValueError:
        logging.getLogger("edge.infer").exception("job 7 failed")
    logging.getLogger("pydicom").warning(PLANTED)
    warnings.warn(PLANTED, UserWarning, stacklevel=1)
    err = capsys.readouterr().err
    assert "ERROR infer: job 7 failed" in err
    assert "ValueError" in err
    assert PLANTED not in err


def test_a_dying_thread_shows_no_values(quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("receive")

    def die() -> None:
        raise ValueError(PLANTED)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    err = capsys.readouterr().err
    assert "uncaught ValueError" in err
    assert PLANTED not in err


def test_telemetry_is_off_before_anything_is_imported() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    program = "import edge.cli, os, json; print(json.dumps(os.environ.get('ORT_DISABLE_TELEMETRY')))"
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == "1"
