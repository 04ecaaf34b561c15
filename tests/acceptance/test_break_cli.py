"""Clumsy uses of `edge`: wrong numbers, files that are none. Exit codes 0, 1, 2; one line; what to try; no trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import EDGE_TOML, run_edge

from edge import rooms
from edge.config import load

HUGE = "9" * 26


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box")
    (folder / "edge.toml").write_text(EDGE_TOML.format(port=11112))
    rooms.make_root(load(folder / "edge.toml"))
    (folder / "noise.dcm").write_bytes(os.urandom(5000))
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "preamble.dcm").write_bytes(bytes(128) + b"DICM")
    (folder / "cut.dcm").write_bytes(bytes(128) + b"DICM\x02\x00\x10\x00UI\xff\xff1.2")
    return folder


def refused(code: int, *words: str | Path) -> str:
    ended = run_edge(*words, timeout=40)
    assert ended.returncode == code, (words, ended.stdout, ended.stderr)
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "; try: " in ended.stderr, ended.stderr
    assert not ended.stdout
    return ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "show", HUGE), ("jobs", "show", "-1"), ("jobs", "show", "0"), ("jobs", "list", "--limit", HUGE),
        ("jobs", "list", "--limit", "0"), ("jobs", "list", "--limit", "-5"), ("jobs", "retry", "1", HUGE),
        ("deliveries", "resend", HUGE), ("deliveries", "list", "--limit", "-1"), ("deliveries", "discard", "x"),
    ],
)  # fmt: skip
def test_numbers_that_no_row_has(home: Path, words: tuple[str, ...]) -> None:
    assert refused(2, *words, "--config", home / "edge.toml").startswith("E-USAGE: ")


@pytest.mark.parametrize("name", ["noise.dcm", "empty.dcm", "preamble.dcm", "cut.dcm", "nothing.dcm", "."])
def test_a_file_that_is_none_is_named(home: Path, name: str) -> None:
    told = refused(1, "route", "test", home / name, "--config", home / "edge.toml")
    assert told.startswith("E-OBJECT: ")
    assert (home / name).name in told, "which of many files"
    assert "UID root" not in told, "advice for a scanner helps nobody with a wrong file"
