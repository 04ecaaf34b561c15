"""Broken boxes: whatever is wrong with the root, a command ends with 1, one line that says what to try, no trace."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import EDGE_TOML, REPOSITORY, Box, run_edge, wait_until

from edge import rooms
from edge.config import load

LOOKING = (("status",), ("jobs", "list"), ("deliveries", "list"), ("jobs", "retry", "1"))
STARTING = (("init",), ("serve", "--room", "receive"), ("serve", "--room", "infer"), ("serve", "--room", "deliver"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a box that has been made and never started."""
    (tmp_path / "edge.toml").write_text(EDGE_TOML.format(port=11112))
    rooms.make_root(load(tmp_path / "edge.toml"))
    return tmp_path


def refused(home: Path, *words: str) -> str:
    """Run the command, which must end by itself in 1 with one line; the line."""
    ended = run_edge(*words, "--config", home / "edge.toml", timeout=30)
    assert ended.returncode == 1, (words, ended.stdout, ended.stderr)
    assert "; try: " in ended.stderr, ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


def garbage(journal: Path) -> None:
    journal.write_bytes(os.urandom(40960))


def truncated(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])


def a_folder(journal: Path) -> None:
    journal.unlink()
    journal.mkdir()


def of_a_later_version(journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("spoil", [garbage, truncated, a_folder, of_a_later_version])
def test_a_spoilt_journal_is_named_by_every_command(home: Path, spoil: Callable[[Path], None]) -> None:
    spoil(home / "root" / "journal.db")
    for words in (("status",), ("jobs", "retry", "1"), *STARTING[:2]):
        assert refused(home, *words).startswith("E-JOURNAL: ")


def test_an_empty_journal_is_brought_up_to_date_by_init(home: Path) -> None:
    (home / "root" / "journal.db").write_bytes(b"")
    for words in LOOKING:
        assert "run `edge init`" in refused(home, *words)
    assert run_edge("init", "--config", home / "edge.toml").returncode == 0
    assert run_edge("jobs", "list", "--config", home / "edge.toml").returncode == 0


def test_tables_that_are_gone_are_no_internal_error(home: Path) -> None:
    with sqlite3.connect(home / "root" / "journal.db") as connection:
        connection.execute("DROP TABLE delivery")
    connection.close()
    for words in (("status",), ("deliveries", "list"), ("deliveries", "release", "1")):
        assert refused(home, *words).startswith("E-JOURNAL: ")


def test_an_infer_room_that_cannot_go_on_ends(home: Path) -> None:
    """It must not live on with a journal that it has closed: nobody would start it again."""
    with sqlite3.connect(home / "root" / "journal.db") as connection:
        connection.execute("DROP TABLE job")
    connection.close()
    words = [sys.executable, "-m", "edge", "serve", "--room", "infer", "--config", str(home / "edge.toml")]
    ended = subprocess.run(words, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "; try: " in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(("private", "public"), [("open.key", "seal.pub"), ("sign.key", "verify.pub")])
def test_half_a_key_pair(home: Path, private: str, public: str) -> None:
    keys = home / "root" / "keys"
    kept = (keys / public).read_bytes()
    (keys / public).unlink()
    assert run_edge("init", "--config", home / "edge.toml").returncode == 0
    assert (keys / public).read_bytes() == kept, "made again from the private half"
    (keys / private).unlink()
    told = refused(home, "init")
    assert told.startswith("E-KEY: ")
    assert private in told
    assert (keys / public).read_bytes() == kept


def test_a_device_uid_that_is_none(home: Path) -> None:
    path = home / "root" / "keys" / "device.uid"
    path.chmod(0o600)
    path.write_bytes(b"\xff\xfe")
    for words in (("init",), ("serve", "--room", "infer")):
        assert refused(home, *words).startswith("E-KEY: ")


@pytest.mark.parametrize("text", ["{[", "[1, 2]", '{"pid": "x"}', '{"pid": 99999999999999999999}', '{"pid": null}'])
def test_an_announcement_that_is_none(home: Path, text: str) -> None:
    for room in rooms.ROOMS:
        (home / "root" / "run" / f"{room}.json").write_text(text)
    shown = run_edge("status", "--config", home / "edge.toml", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["rooms"]


def test_a_user_who_may_not_look(home: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can try being somebody else")
    for folder in (home, *home.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    (home / "root").chmod(0o750)
    # a stranger cannot write coverage's data either, and it would say so on stderr
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    for words in (*LOOKING, *STARTING):
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-m", "edge"]
        ended = subprocess.run(
            [*command, *words, "--config", str(home / "edge.toml")],
            cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert ended.returncode == 1, (words, ended.stderr)
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert "; try: " in ended.stderr, ended.stderr


@pytest.fixture
def box(home: Path) -> Iterator[Box]:
    box = Box(home, (home / "edge.toml").read_text()).start()
    yield box
    box.stop()


def test_a_second_box_on_the_same_root_is_refused_and_harms_nothing(box: Box, home: Path) -> None:
    part = box.settings.spool / f"{'a' * 32}.part"
    part.write_bytes(b"being written by the first box")
    before = {room: rooms.announced(box.settings, room) for room in rooms.ROOMS}
    for words in (("serve",), *STARTING[1:]):
        assert "it runs already on this root" in refused(home, *words)
    assert part.exists()
    assert {room: rooms.announced(box.settings, room) for room in rooms.ROOMS} == before
    assert run_edge("init", "--config", home / "edge.toml").returncode == 0, "what is there stays as it is"


def test_a_killed_serve_leaves_nothing_in_the_way_of_the_next(home: Path) -> None:
    words = [sys.executable, "-m", "edge", "serve", "--config", str(home / "edge.toml")]
    settings = load(home / "edge.toml")
    for _ in range(2):
        serving = subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: all(rooms.announced(settings, room) for room in rooms.ROOMS), what="the rooms")
        finally:
            serving.kill()
            serving.wait(10)
        wait_until(lambda: not any(rooms.announced(settings, room) for room in rooms.ROOMS), what="the rooms' end")
