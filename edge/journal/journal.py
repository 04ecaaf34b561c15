"""The journal object: transactions and the one function that changes any state."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from edge.errors import JournalError
from edge.journal.database import Database, DatabaseError

MIGRATIONS = Path(__file__).parent / "migrations"

TRANSITIONS = MappingProxyType({
    "instance": {
        ("STORED", "ROUTED"), ("STORED", "UNROUTED"), ("STORED", "QUARANTINED"),
        ("STORED", "ERASED"), ("ROUTED", "ERASED"), ("UNROUTED", "ERASED"), ("QUARANTINED", "ERASED"),
    },
    "unit": {("OPEN", "READY"), ("READY", "OPEN")},
    "job": {
        ("READY", "RUNNING"), ("RUNNING", "READY"), ("RUNNING", "DONE"), ("RUNNING", "QUARANTINED"),
        ("READY", "DISCARDED"), ("QUARANTINED", "DISCARDED"),
    },
    "delivery": {
        ("PENDING", "SENT"), ("PENDING", "FAILED"), ("PENDING", "HELD"), ("PENDING", "SUPERSEDED"),
        ("HELD", "PENDING"), ("FAILED", "PENDING"), ("SENT", "PENDING"),
        ("HELD", "SUPERSEDED"), ("FAILED", "SUPERSEDED"),
        ("HELD", "DISCARDED"), ("FAILED", "DISCARDED"), ("PENDING", "DISCARDED"),
        ("SUPERSEDED", "SENT"), ("DISCARDED", "SENT"),
    },
    "package": {
        ("STAGED", "INSTALLED"), ("INSTALLED", "SHADOW"), ("SHADOW", "INSTALLED"), ("RETIRED", "SHADOW"),
        ("INSTALLED", "ACTIVE"), ("SHADOW", "ACTIVE"), ("RETIRED", "ACTIVE"), ("ACTIVE", "RETIRED"),
        ("STAGED", "FAILED"), ("INSTALLED", "FAILED"), ("SHADOW", "FAILED"), ("ACTIVE", "FAILED"),
        ("RETIRED", "FAILED"), ("FAILED", "STAGED"), ("REMOVED", "STAGED"),
        ("INSTALLED", "REMOVED"), ("RETIRED", "REMOVED"), ("FAILED", "REMOVED"),
    },
})  # fmt: skip
"""Every move that exists (DESIGN 6). SUPERSEDED or DISCARDED to SENT: it was on the wire when it was not wanted any
more."""

EMPTY = "0" * 64
"""The chain before the first event."""

_KEYS = {"instance": "object_id", "unit": "id", "job": "id", "delivery": "id", "package": "digest"}
_LOOK = {"job": "`edge jobs list`", "delivery": "`edge deliveries list`", "package": "`edge models list`"}
"""Where a person sees the states of things; of instances and units `edge status` has the counts."""


class Journal:
    """One room's connection to the journal.

    Parameters
    ----------
    path : Path
        `journal.db`.
    durable : bool
        Whether each commit is flushed before it returns.
    clock : callable
        Seconds since the epoch; tests pass their own.
    """

    def __init__(self, path: Path, *, durable: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        try:
            self.database = Database(path, durable=durable)
        except DatabaseError as error:
            raise JournalError(
                f"the journal cannot be opened ({error})",
                which=path.name,
                hint="run `edge init`, or `edge doctor` if it was there before",
            ) from None
        try:
            _check_version(self.database, path)
        except JournalError:
            self.database.close()
            raise

    @contextmanager
    def transaction(self, *, flush: bool = True) -> Iterator[None]:
        """All or nothing; nested uses join the outermost, whose `flush` counts (see `Database.transaction`)."""
        with self.database.transaction(flush=flush):
            yield

    def move(self, thing: str, key: str | int, old: str, new: str, reason: str = "") -> None:
        """Change one state and write the event, together.

        Raises
        ------
        JournalError
            If no such move exists, or the thing is not in state `old` (another process moved it first).
        """
        if (old, new) not in TRANSITIONS[thing]:
            raise JournalError(f"a {thing} cannot go from {old} to {new}", which=str(key), hint=_hint(thing))
        with self.transaction():
            changed = self.database.execute(
                f"UPDATE {thing} SET state = ?, reason = ? WHERE {_KEYS[thing]} = ? AND state = ?",
                (new, reason, key, old),
            )
            if changed != 1:
                raise JournalError(f"the {thing} is not {old}", which=str(key), hint=_hint(thing))
            self.note(thing, key, old, new, reason)

    def note(self, thing: str, key: str | int, old: str, new: str, reason: str = "") -> None:
        """Write an event without a move (something came to be, or was refused), as the next link of the chain."""
        with self.transaction():
            last = self.database.row("SELECT id, chain FROM event ORDER BY id DESC LIMIT 1")
            number, chain = (last["id"] + 1, last["chain"]) if last else (1, EMPTY)
            at = self.clock()
            self.database.execute(
                "INSERT INTO event (id, at, thing, name, old, new, reason, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (number, at, thing, str(key), old, new, reason, link(chain, number, at, thing, key, old, new, reason)),
            )

    def close(self) -> None:
        self.database.close()


def _hint(thing: str) -> str:
    return f"look with {_LOOK.get(thing, '`edge status`')}"


def link(chain: str, number: int, at: float, *told: str | int) -> str:
    """The chain after event `number`: SHA-256 over the chain before it and all that it says, as hexadecimal."""
    return hashlib.sha256("\n".join((chain, str(number), repr(float(at)), *map(str, told))).encode()).hexdigest()


def create(path: Path) -> None:
    """Make the journal with the modes that three users need; SQLite alone makes them too tight.

    Raises
    ------
    JournalError
        If what is there is damaged, or of a later schema than this version's.
    """
    try:
        _migrate(path)
    except DatabaseError as error:
        damaged = getattr(error, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB")
        anew = "stop the box, move journal.db* away and run `edge init`: what is in the spool is recorded again"
        raise JournalError(
            f"the journal cannot be made or brought up to date ({error})",
            which=path.name,
            hint=anew if damaged else "`edge doctor`: disk space, modes, another program that holds it",
        ) from None
    os.chmod(path, 0o660)


def _migrate(path: Path) -> None:
    database = Database(path, durable=True, create=True)
    try:
        database.migrate(MIGRATIONS)
        _check_version(database, path)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


def _check_version(database: Database, path: Path) -> None:
    """A later schema than ours may mean other things by the same names, unless it says not; an earlier one lacks."""
    found = database.version
    ours = max(int(script.stem) for script in MIGRATIONS.glob("[0-9][0-9][0-9].sql"))
    if found > ours and not 0 < database.readable_by <= ours:
        raise JournalError(
            f"the journal has schema {found}, this version knows {ours}",
            which=path.name,
            hint="run the newer version of edge-imaging that made it",
        )
    if found < ours:
        raise JournalError(f"the journal has schema {found} of {ours}", which=path.name, hint="run `edge init`")
