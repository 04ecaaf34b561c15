"""The audit trail as a chain: every event carries the SHA-256 of the one before and of itself, infer signs heads.

An edit, a deletion or a new order breaks the chain. Whoever may write the journal could make a new chain, but not a
new signature: what is signed (every `EVENTS`, or `SECONDS` after an event) stays as it was. A power cut may take events
that no checkpoint covers, never others, because a checkpoint's commit is flushed and the log before it with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.journal.database import Database, Row
from edge.journal.journal import EMPTY, Journal, link

EVENTS = 256
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Head:
    """A signed place in the trail; `event` 0 is its beginning."""

    event: int
    at: float
    previous: int
    chain: str
    signature: str

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return f"edge-audit-1\n{self.event}\n{self.at!r}\n{self.previous}\n{self.chain}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: how much is there, how much of it is signed, and what is wrong (empty when nothing is)."""

    events: int
    signed: int
    chain: str
    problems: tuple[str, ...]


def head(journal: Journal) -> Head:
    """The newest checkpoint."""
    row = journal.database.row("SELECT * FROM checkpoint ORDER BY event DESC LIMIT 1")
    return Head(**dict(row)) if row else Head(0, 0.0, 0, EMPTY, "")


def checkpoint(journal: Journal, sign: Callable[[bytes], bytes], *, now: bool = False) -> Head | None:
    """Sign the trail's end when it is due, or `now`; the new head, or None. Its commit is flushed."""
    last = head(journal)
    row = journal.database.row("SELECT id, at, chain FROM event ORDER BY id DESC LIMIT 1")
    if row is None or row["id"] <= last.event:
        return None
    at = journal.clock()
    if not now and row["id"] - last.event < EVENTS and at - _first_unsigned(journal, last) < SECONDS:
        return None
    unsigned = Head(row["id"], at, last.event, row["chain"], "")
    new = Head(row["id"], at, last.event, row["chain"], sign(unsigned.statement).hex())
    with journal.transaction():
        journal.database.execute(
            "INSERT INTO checkpoint (event, at, previous, chain, signature) VALUES (?, ?, ?, ?, ?)",
            (new.event, new.at, new.previous, new.chain, new.signature),
        )
    return new


def verify(
    journal: Journal, check: Callable[[bytes, bytes], bool], known: tuple[int, str] = (0, EMPTY), most: int = 20
) -> Verdict:
    """Walk the whole trail.

    Parameters
    ----------
    journal : Journal
        Others may write it meanwhile: it only ever grows.
    check : callable
        Whether a signature (first argument) is infer's for a statement (second).
    known : tuple of int and str
        A head noted elsewhere, as (event, chain): what was there must be there still.
    most : int
        Where to stop counting problems.
    """
    database = journal.database
    row = database.row("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
    heads = [Head(**dict(each)) for each in database.rows("SELECT * FROM checkpoint ORDER BY event")]
    signed = heads[-1].event if heads else 0
    walk = _Walk()
    problems = list(_signatures(heads, check))
    wanted = {each.event: each.chain for each in heads}
    for event in _events(database):
        problems += walk.step(event, wanted, known)
        if len(problems) >= most:
            break
    else:
        problems += _ends(walk.last, signed, known, row["seq"] if row else 0)
    return Verdict(walk.count, signed, walk.chain, tuple(dict.fromkeys(problems))[:most])


class _Walk:
    """The chain as it is made anew, event by event."""

    def __init__(self) -> None:
        self.count = self.last = 0
        self.chain = EMPTY

    def step(self, row: Row, wanted: dict[int, str], known: tuple[int, str]) -> Iterator[str]:
        number = row["id"]
        if number != self.last + 1:
            yield f"events {self.last + 1} to {number - 1} are missing"
        made = link(self.chain, number, row["at"], row["thing"], row["name"], row["old"], row["new"], row["reason"])
        if made != row["chain"]:
            yield f"event {number} was changed, or one before it"
        if wanted.get(number, made) != made:
            yield f"event {number} is not the one that was signed"
        if known[0] == number and known[1] != made:
            yield f"event {number} is not the one that was noted"
        # go on from what is written: one change is one problem, not a thousand
        self.count, self.last, self.chain = self.count + 1, number, row["chain"]


def _events(database: Database, at_once: int = 4096) -> Iterator[Row]:
    last = -(1 << 62)
    while rows := database.rows("SELECT * FROM event WHERE id > ? ORDER BY id LIMIT ?", (last, at_once)):
        yield from rows
        last = rows[-1]["id"]


def _signatures(heads: list[Head], check: Callable[[bytes, bytes], bool]) -> Iterator[str]:
    before = 0
    for each in heads:
        if not _is_signed(each, check):
            yield f"the signature at event {each.event} is not this box's"
        if each.previous != before:
            yield f"the checkpoint at event {each.previous} is missing"
        before = each.event


def _is_signed(each: Head, check: Callable[[bytes, bytes], bool]) -> bool:
    try:
        return check(bytes.fromhex(each.signature), each.statement)
    except ValueError:
        return False


def _ends(last: int, signed: int, known: tuple[int, str], counted: int) -> Iterator[str]:
    """What is missing at the end; `counted` is how many events SQLite has given a number to."""
    if last < max(signed, known[0]):
        yield f"the end is cut off: event {max(signed, known[0])} was signed, {last} is the last one"
    elif last < counted:
        yield f"the end is cut off: {counted} events were written, {last} is the last one"
    if signed < known[0]:
        yield f"the checkpoint at event {known[0]} is missing"


def _first_unsigned(journal: Journal, last: Head) -> float:
    row = journal.database.row("SELECT at FROM event WHERE id > ? ORDER BY id LIMIT 1", (last.event,))
    return float(row["at"]) if row else journal.clock()
