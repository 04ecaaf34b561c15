"""The audit trail: every tamper is found, ordinary life and power cuts are not called tampering."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support

from edge import crypto, keys
from edge.infer.witness import Witness
from edge.journal import Journal, audit
from edge.journal.audit import Verdict
from edge.journal.journal import EMPTY, create, link
from edge.operate.audit import noted
from edge.operate.storage_checks import check_storage

EVENTS = 300
FIELDS = ("at", "thing", "name", "old", "new", "reason", "chain")
OTHERS = {"thing": ("job", "unit"), "old": ("READY", "RUNNING"), "new": ("DONE", "READY"), "reason": ("other", "")}


class Trail:
    """A journal with a signed trail, and what an attacker does to copies of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        create(self.path)
        self.private, self.public = crypto.signing_key_pair()
        self.journal = Journal(self.path)
        self.witness = Witness(self.journal, self.private, folder)
        self.run = folder

    def write(self, count: int) -> None:
        """Events, in one transaction."""
        with self.journal.transaction():
            for number in range(count):
                self.journal.note("job", number, "READY", "RUNNING", f"r{number % 7}")

    def verify(self, known: tuple[int, str] | None = None) -> Verdict:
        """As `edge audit verify` does."""
        check = lambda signature, text: crypto.verify(self.public, signature, text)  # noqa: E731
        return audit.verify(self.journal, check, known or noted(self.run))


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path)
    yield made
    made.journal.close()


def rechain(database: sqlite3.Connection, start: int) -> None:
    """What somebody does who knows how the chain is made: every link after the change anew."""
    (chain,) = database.execute(
        "SELECT chain FROM event WHERE id < ? ORDER BY id DESC LIMIT 1", (start,)
    ).fetchone() or (EMPTY,)
    for row in database.execute(
        "SELECT id, at, thing, name, old, new, reason FROM event WHERE id >= ? ORDER BY id", (start,)
    ).fetchall():
        chain = link(chain, row[0], row[1], *row[2:])
        database.execute("UPDATE event SET chain = ? WHERE id = ?", (chain, row[0]))


def tamper(database: sqlite3.Connection, dice: random.Random, last: int) -> str:
    """One random change that leaves a well-formed journal; says what was done."""
    at = dice.randint(1, last)
    kind = dice.choice(("edit", "delete", "swap", "cut", "cut-all", "insert", "unsign", "forge"))
    if kind == "edit":
        field = dice.choice(FIELDS)
        (old,) = database.execute(f"SELECT {field} FROM event WHERE id = ?", (at,)).fetchone()
        new = {
            "at": lambda: old + dice.choice((-1, 1)) * dice.choice((1e-6, 1.0, 1e5)),
            "name": lambda: f"{old}1",
            "chain": lambda: f"{(int(old, 16) + 1) % 16**64:064x}",
        }.get(field, lambda: next(each for each in OTHERS[field] if each != old))()
        database.execute(f"UPDATE event SET {field} = ? WHERE id = ?", (new, at))
        if field == "chain":  # a new chain would undo it
            return "edit of the chain"
    elif kind == "delete":
        database.execute("DELETE FROM event WHERE id = ?", (at,))
        if dice.random() < 0.5:  # and the rest moved up, so that no number is missing
            database.execute("UPDATE event SET id = id - 1 WHERE id > ?", (at,))
    elif kind == "swap":
        at = min(at, last - 1)
        for old, new in ((at, -1), (at + 1, at), (-1, at + 1)):
            database.execute("UPDATE event SET id = ? WHERE id = ?", (new, old))
    elif kind in ("cut", "cut-all"):
        database.execute("DELETE FROM event WHERE id >= ?", (at,))
        database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (at - 1,))
        if kind == "cut-all":
            database.execute("DELETE FROM checkpoint WHERE event >= ?", (at,))
    elif kind == "insert":
        database.execute("UPDATE event SET id = -id - 1 WHERE id >= ?", (at,))
        database.execute("UPDATE event SET id = -id WHERE id < 0")
        database.execute(
            "INSERT INTO event SELECT ?, at, thing, name, old, new, reason, chain FROM event LIMIT 1", (at,)
        )
    elif kind == "unsign":
        database.execute(
            "DELETE FROM checkpoint WHERE event = (SELECT event FROM checkpoint ORDER BY random() LIMIT 1)"
        )
    else:
        wrong = crypto.sign(crypto.signing_key_pair()[0], b"forged").hex()
        database.execute(
            "UPDATE checkpoint SET signature = ? WHERE event = (SELECT max(event) FROM checkpoint)", (wrong,)
        )
    if kind in ("edit", "delete", "swap", "insert") and dice.random() < 0.5:
        rechain(database, at)
        kind += " with a new chain"
    return kind


def tampers(trail: Trail, folder: Path, count: int) -> list[str]:
    """Make `count` random tampers, each on the intact trail; returns those that were not found."""
    trail.write(EVENTS)
    for _ in range(3):
        trail.write(10)
        trail.witness.look(now=True)
    last = trail.verify().events
    trail.journal.close()
    intact = folder / "intact.db"
    shutil.copy(trail.path, intact)
    attacker = sqlite3.connect(trail.path, isolation_level=None)
    attacker.execute("PRAGMA synchronous=OFF")
    dice = random.Random(20261123)
    trail.journal = Journal(trail.path, durable=False)
    missed = []
    for _ in range(count):
        attacker.execute("BEGIN")
        done = tamper(attacker, dice, last)
        attacker.execute("COMMIT")
        if not trail.verify().problems:
            missed.append(done)
        with sqlite3.connect(intact) as source:
            source.backup(attacker)
        source.close()
    attacker.close()
    assert trail.verify().problems == ()
    return missed


def test_every_one_of_some_hundred_random_tampers_is_found(trail: Trail, tmp_path: Path) -> None:
    assert tampers(trail, tmp_path, 300) == []


@pytest.mark.slow
def test_every_one_of_ten_thousand_random_tampers_is_found(trail: Trail, tmp_path: Path) -> None:
    assert tampers(trail, tmp_path, 10_000) == []


def test_an_untouched_trail_is_whole(trail: Trail) -> None:
    assert trail.verify() == Verdict(0, 0, EMPTY, ())
    trail.write(audit.EVENTS)
    trail.witness.look()
    trail.write(5)
    verdict = trail.verify()
    assert (verdict.events, verdict.signed, verdict.problems) == (audit.EVENTS + 5, audit.EVENTS, ())


def test_a_checkpoint_comes_after_so_many_events_or_so_long(tmp_path: Path) -> None:
    now = [1000.0]
    trail = Trail(tmp_path)
    trail.journal.clock = lambda: now[0]
    signed = lambda: audit.head(trail.journal).event  # noqa: E731
    trail.write(audit.EVENTS - 1)
    trail.witness.look()
    assert signed() == 0
    now[0] += audit.SECONDS
    trail.witness.look()
    assert signed() == audit.EVENTS - 1
    trail.witness.look(now=True)
    assert len(trail.journal.database.rows("SELECT * FROM checkpoint")) == 1
    trail.journal.close()


def test_a_power_cut_takes_the_unsigned_end_only_and_is_no_tampering(trail: Trail, tmp_path: Path) -> None:
    """What the log had flushed at the checkpoint is what comes back."""
    trail.write(20)
    trail.witness.look(now=True)
    durable = tmp_path / "durable"
    durable.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, durable / name)
    receive = Journal(trail.path, durable=False)
    receive.note("association", "unknown", "", "REFUSED", "stranger:1")
    receive.close()
    after = Journal(durable / "journal.db")
    verdict = audit.verify(after, lambda signature, text: crypto.verify(trail.public, signature, text), noted(tmp_path))
    after.note("job", 1, "READY", "RUNNING")
    assert (verdict.events, verdict.problems) == (20, ())
    assert audit.verify(after, lambda *_: True, noted(tmp_path)).problems == ()
    after.close()


def test_a_head_noted_elsewhere_finds_a_trail_made_anew(trail: Trail) -> None:
    trail.write(20)
    trail.witness.look(now=True)
    noted_by_syslog = (20, audit.head(trail.journal).chain)
    with trail.journal.transaction():
        trail.journal.database.execute("DELETE FROM event")
        trail.journal.database.execute("DELETE FROM checkpoint")
        trail.journal.database.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
    (trail.run / "audit-head.json").unlink()
    trail.write(30)
    trail.witness.look(now=True)
    assert trail.verify().problems == ()
    assert trail.verify(noted_by_syslog).problems == ("event 20 is not the one that was noted",)


def test_several_processes_write_one_chain(trail: Trail) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), durable=False)\n"
        "for number in range(200): journal.note('job', number, 'READY', 'RUNNING', sys.argv[2])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(trail.path), f"w{name}"], cwd=support.REPOSITORY)
        for name in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    verdict = trail.verify()
    assert (verdict.events, verdict.problems) == (600, ())


def test_the_command_says_what_is_wrong(box: Callable[..., support.Box], run_edge: Callable[..., object]) -> None:
    made = box()
    journal = Journal(made.settings.journal)
    journal.note("box", "test", "", "STARTED")
    journal.note("box", "test", "", "STOPPED")
    Witness(journal, keys.load(made.settings.keys, "sign.key"), made.settings.run).look(now=True)
    assert made.json("audit", "verify")["signed"] == 2
    assert [each["new"] for each in made.json("audit", "show", "--limit", "1")] == ["STOPPED"]
    look = lambda: next(check for check in check_storage(made.settings) if check.name == "audit trail")  # noqa: E731
    assert look().detail == "3 events, whole; signed up to event 2"  # looking was written down too
    journal.database.execute("UPDATE event SET reason = 'nothing' WHERE id = 1")
    journal.close()
    assert (look().word, look().detail) == ("FAIL", "event 1 was changed, or one before it")
    ended = support.run_edge("audit", "verify", "--config", made.file)
    assert ended.returncode == 1
    assert ended.stdout.startswith("FAIL  event 1 was changed")
    ended = support.run_edge("audit", "verify", "--json", "--head", "2:" + "0" * 64, "--config", made.file)
    assert "event 2 is not the one that was noted" in json.loads(ended.stdout)["problems"]
    assert support.run_edge("audit", "verify", "--head", "nonsense", "--config", made.file).returncode == 2


def test_the_head_is_written_where_only_its_owner_may_write(trail: Trail) -> None:
    trail.write(1)
    trail.witness.look(now=True)
    assert ((trail.run / "audit-head.json").stat().st_mode & 0o777) == 0o440
