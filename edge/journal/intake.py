"""What the receive room records: associations and stored instances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edge.journal.database import IntegrityError
from edge.journal.journal import Journal
from edge.records import Instance

_COLUMNS = (
    "object_id", "sop_instance_uid", "sop_class_uid", "study_instance_uid", "series_instance_uid",
    "transfer_syntax_uid", "modality", "peer", "association", "tag", "size", "slot", "received_at",
)  # fmt: skip
_INSERT = f"INSERT INTO instance ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Stored(StrEnum):
    """What storing came to."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    """Same SOP Instance UID, same bytes: nothing new, the file may go."""
    NEWER = "NEWER"
    """Same SOP Instance UID, other bytes: both kept, this one is current."""
    CONFLICT = "CONFLICT"
    """Other bytes, and the box is set to refuse them: nothing recorded."""


def store(journal: Journal, instances: Iterable[Instance], *, refuse_conflicts: bool) -> list[Stored]:
    """Record `instances` in one transaction (the group commit); their files are already flushed."""
    with journal.transaction():
        return [_store(journal, instance, refuse_conflicts=refuse_conflicts) for instance in instances]


def has(journal: Journal, sop_instance_uid: str, tag: str) -> bool:
    """Whether these very bytes are stored already, so that a re-send need not be written again."""
    row = journal.database.row(
        "SELECT 1 FROM instance WHERE sop_instance_uid = ? AND tag = ? AND state <> 'ERASED'",
        (sop_instance_uid, tag),
    )
    return row is not None


def close_association(journal: Journal, association: str) -> None:
    """The association ended: what waits for it may become ready."""
    journal.database.execute(
        "UPDATE association SET closed_at = ? WHERE id = ? AND closed_at IS NULL", (journal.clock(), association)
    )


def close_stale_associations(journal: Journal) -> None:
    """At start: no association of an earlier process is open any more."""
    journal.database.execute("UPDATE association SET closed_at = ? WHERE closed_at IS NULL", (journal.clock(),))


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `rebuild` did. `superfluous` are object ids whose files repeat, or may not replace, what is there."""

    added: int
    superfluous: tuple[str, ...]


def object_ids(journal: Journal) -> frozenset[str]:
    """Every object the journal knows, erased ones too."""
    return frozenset(row["object_id"] for row in journal.database.rows("SELECT object_id FROM instance"))


def rebuild(journal: Journal, found: Iterable[Instance], *, refuse_conflicts: bool = False) -> Rebuilt:
    """Record every instance that the spool holds and the journal lost. A record that is none of ours is left alone."""
    added = 0
    superfluous = []
    known = object_ids(journal)
    with journal.transaction():
        for instance in sorted(found, key=lambda each: each.received_at):
            if instance.object_id in known:
                continue
            try:
                stored = _store(journal, instance, refuse_conflicts=refuse_conflicts)
            except IntegrityError:
                continue
            if stored in (Stored.DUPLICATE, Stored.CONFLICT):
                superfluous.append(instance.object_id)
            else:
                added += 1
    return Rebuilt(added, tuple(superfluous))


def _store(journal: Journal, instance: Instance, *, refuse_conflicts: bool) -> Stored:
    database = journal.database
    earlier = database.rows(
        "SELECT object_id, tag FROM instance WHERE sop_instance_uid = ? AND state <> 'ERASED'",
        (instance.sop_instance_uid,),
    )
    if any(row["tag"] == instance.tag for row in earlier):
        return Stored.DUPLICATE
    if earlier and refuse_conflicts:
        journal.note("instance", instance.sop_instance_uid, "", "REFUSED", "conflict")
        return Stored.CONFLICT
    database.execute(
        "INSERT INTO association (id, peer, opened_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (instance.association, instance.peer, instance.received_at),
    )
    database.execute(_INSERT, [getattr(instance, column) for column in _COLUMNS])
    if not earlier:
        return Stored.NEW
    # after the new row: one that the journal refuses must leave the older object current
    database.execute(
        "UPDATE instance SET current = 0 WHERE sop_instance_uid = ? AND object_id <> ?",
        (instance.sop_instance_uid, instance.object_id),
    )
    journal.note("instance", instance.object_id, "", "STORED", "other-bytes")
    return Stored.NEWER
