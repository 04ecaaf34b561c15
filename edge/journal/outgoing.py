"""What the deliver room records: deliveries that are due, and how each ended."""

from __future__ import annotations

import dataclasses

from edge.journal.database import Row
from edge.journal.journal import Journal
from edge.journal.pausing import NOT_PAUSED
from edge.journal.work import PRIORITIES
from edge.records import UID, Delivery, DeliveryState, Priority

_LONGEST_PAUSE_SECONDS = 3600.0
_LONGEST_URGENT_SECONDS = 86400.0
_TOO_LATE = (DeliveryState.SUPERSEDED, DeliveryState.DISCARDED)


def due(journal: Journal, destination: str, limit: int = 64) -> list[Delivery]:
    """Deliveries to `destination` whose time has come: urgent findings first, then by priority, then the oldest.

    None while paused. An urgent mark only ever raises: while it lasts the delivery is of priority stat; afterwards it
    is what its route made it. A moment too far ahead was written by a clock that has been set back since: a pause
    that ends then is over, a mark that lasts until then is not believed.
    """
    now = journal.clock()
    rows = journal.database.rows(
        "SELECT *, urgent_until > ? AND urgent_until <= ? AS urgent FROM delivery "
        "WHERE state = 'PENDING' AND destination = ? AND (not_before <= ? OR not_before > ?) "
        f"AND {NOT_PAUSED} ORDER BY urgent DESC, priority, id LIMIT ?",
        (now, now + _LONGEST_URGENT_SECONDS, destination, now, now + _LONGEST_PAUSE_SECONDS, limit),
    )
    return [
        dataclasses.replace(delivery(row), priority=Priority.STAT) if row["urgent"] else delivery(row) for row in rows
    ]


def sent(journal: Journal, item: Delivery, warning: str = "") -> None:
    """The destination has it; `warning` is its status when that was a warning (e.g. `status-B000`).

    What was superseded or discarded while it was on the wire is SENT all the same, for the destination has it; the
    reason then says what it had become (`was-superseded`, `was-discarded`).
    """
    with journal.transaction():
        now = find(journal, item.id)
        if now is not None and now.state in _TOO_LATE:
            _end(journal, item, DeliveryState.SENT, f"was-{now.state.lower()}", now.state)
        else:
            _end(journal, item, DeliveryState.SENT, warning)


def failed(journal: Journal, item: Delivery, reason: str) -> None:
    """The destination refused it for good, or the file is not what infer signed."""
    _end(journal, item, DeliveryState.FAILED, reason)


def postponed(journal: Journal, item: Delivery, not_before: float, reason: str) -> None:
    """The destination could not take it now: stays PENDING, tried again at `not_before`."""
    with journal.transaction():
        waits = journal.database.execute(
            "UPDATE delivery SET attempts = attempts + 1, not_before = ?, reason = ? "
            "WHERE id = ? AND state = 'PENDING'",
            (not_before, reason, item.id),
        )
        if waits:
            journal.note("delivery", item.id, "PENDING", "PENDING", reason)


def hurry(journal: Journal, destination: str) -> None:
    """The destination answers again: what waited only for that (`peer-...`) is due now."""
    journal.database.execute(
        "UPDATE delivery SET not_before = 0 "
        "WHERE state = 'PENDING' AND destination = ? AND not_before > 0 AND reason LIKE 'peer-%'",
        (destination,),
    )


def requeue(journal: Journal, delivery_id: int, old: DeliveryState, reason: str) -> None:
    """A person releases a HELD, repeats a FAILED or resends a SENT delivery."""
    with journal.transaction():
        journal.move("delivery", delivery_id, old, "PENDING", reason)
        journal.database.execute(
            "UPDATE delivery SET attempts = 0, not_before = 0, ended_at = NULL WHERE id = ?", (delivery_id,)
        )


def discard(journal: Journal, delivery_id: int, old: DeliveryState) -> None:
    """A person decides that a PENDING, HELD or FAILED delivery is not wanted any more."""
    with journal.transaction():
        journal.move("delivery", delivery_id, old, "DISCARDED", "person")
        journal.database.execute("UPDATE delivery SET ended_at = ? WHERE id = ?", (journal.clock(), delivery_id))


def every(journal: Journal) -> list[Delivery]:
    """All that may still be sent or sent again."""
    rows = journal.database.rows("SELECT * FROM delivery WHERE state NOT IN ('DISCARDED', 'SUPERSEDED')")
    return [delivery(row) for row in rows]


def signed_anew(journal: Journal, item: Delivery, signature: str) -> None:
    """The box has another signing key now."""
    journal.database.execute("UPDATE delivery SET signature = ? WHERE id = ?", (signature, item.id))


def find(journal: Journal, delivery_id: int) -> Delivery | None:
    """One delivery, or None."""
    row = journal.database.row("SELECT * FROM delivery WHERE id = ?", (delivery_id,))
    return delivery(row) if row else None


def delivery(row: Row) -> Delivery:
    """A delivery row as a record."""
    return Delivery(
        id=row["id"], job=row["job"], sop_instance_uid=UID(row["sop_instance_uid"]),
        sop_class_uid=UID(row["sop_class_uid"]), destination=row["destination"], state=DeliveryState(row["state"]),
        reason=row["reason"], attempts=row["attempts"], not_before=row["not_before"],
        priority=PRIORITIES[row["priority"]], sha256=row["sha256"], signature=row["signature"],
    )  # fmt: skip


def _end(
    journal: Journal, item: Delivery, state: DeliveryState, reason: str, old: DeliveryState = DeliveryState.PENDING
) -> None:
    with journal.transaction():
        journal.move("delivery", item.id, old, state, reason)
        journal.database.execute(
            "UPDATE delivery SET attempts = attempts + 1, ended_at = ? WHERE id = ?", (journal.clock(), item.id)
        )
