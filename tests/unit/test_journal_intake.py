"""What receive writes into the journal: re-sends, conflicts, associations, and how a lost journal comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver import CT, EXPLICIT

from edge.journal import Journal, create, intake
from edge.journal.database import IntegrityError
from edge.journal.intake import Stored
from edge.records import UID, Instance


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    create(tmp_path / "journal.db")
    made = Journal(tmp_path / "journal.db", clock=lambda: 100.0)
    yield made
    made.close()


def instance(number: int, tag: int = 0, sop: str = "1.2.3", association: str = "a" * 32) -> Instance:
    return Instance(
        object_id=f"{number:032x}", sop_instance_uid=UID(sop), sop_class_uid=UID(CT), study_instance_uid=UID("1.2"),
        series_instance_uid=UID("1.3"), transfer_syntax_uid=UID(EXPLICIT), modality="CT", peer="ct1",
        association=association, tag=f"{tag:064x}", size=9, slot=number, received_at=float(number),
    )  # fmt: skip


def current(journal: Journal) -> list[tuple[str, int]]:
    rows = journal.database.rows("SELECT object_id, current FROM instance ORDER BY object_id")
    return [(row["object_id"].lstrip("0"), row["current"]) for row in rows]


def store(journal: Journal, *instances: Instance, refuse: bool = False) -> list[Stored]:
    return intake.store(journal, instances, refuse_conflicts=refuse)


def test_new_then_the_same_then_other_bytes(journal: Journal) -> None:
    assert store(journal, instance(1)) == [Stored.NEW]
    assert store(journal, instance(2)) == [Stored.DUPLICATE]
    assert store(journal, instance(3, tag=3)) == [Stored.NEWER]
    assert store(journal, instance(4)) == [Stored.DUPLICATE]
    assert current(journal) == [("1", 0), ("3", 1)]


def test_a_group_sees_itself(journal: Journal) -> None:
    stored = store(journal, instance(1), instance(2), instance(3, tag=1), instance(4, sop="1.2.4"))
    assert stored == [Stored.NEW, Stored.DUPLICATE, Stored.NEWER, Stored.NEW]


def test_refused_conflicts_leave_an_event_and_the_first_one(journal: Journal) -> None:
    store(journal, instance(1))
    assert store(journal, instance(2, tag=2), refuse=True) == [Stored.CONFLICT]
    assert store(journal, instance(3), refuse=True) == [Stored.DUPLICATE]
    assert current(journal) == [("1", 1)]
    assert [row["reason"] for row in journal.database.rows("SELECT reason FROM event")] == ["conflict"]


def test_an_erased_object_may_be_sent_again(journal: Journal) -> None:
    store(journal, instance(1))
    journal.move("instance", instance(1).object_id, "STORED", "ERASED")
    assert not intake.has(journal, "1.2.3", instance(1).tag)
    assert store(journal, instance(2)) == [Stored.NEW]
    assert intake.has(journal, "1.2.3", instance(2).tag)


def test_one_bad_record_takes_the_whole_group_back(journal: Journal) -> None:
    bad = dataclasses.replace(instance(2, sop="1.2.4"), modality="INVENTED^NAME")
    with pytest.raises(IntegrityError):
        store(journal, instance(1), bad)
    assert current(journal) == []


def test_associations_open_with_their_first_object_and_close_once(journal: Journal) -> None:
    store(journal, instance(1), instance(2, tag=2, association="b" * 32))
    intake.close_association(journal, "a" * 32)
    journal.clock = lambda: 200.0
    intake.close_association(journal, "a" * 32)
    intake.close_stale_associations(journal)
    rows = journal.database.rows("SELECT id, opened_at, closed_at FROM association ORDER BY id")
    assert [(row["id"][0], row["opened_at"], row["closed_at"]) for row in rows] == [
        ("a", 1.0, 100.0),
        ("b", 2.0, 200.0),
    ]


def test_rebuild_adds_what_is_lost_in_its_old_order(journal: Journal) -> None:
    store(journal, instance(5, sop="1.2.9"))
    found = [instance(3, tag=3), instance(1), instance(2), instance(5, sop="1.2.9")]
    rebuilt = intake.rebuild(journal, found)
    assert rebuilt.added == 2
    assert rebuilt.superfluous == (instance(2).object_id,)
    assert current(journal) == [("1", 0), ("3", 1), ("5", 1)]
    assert intake.rebuild(journal, found[:2]).added == 0


def test_rebuild_passes_over_a_record_that_breaks_the_rules(journal: Journal) -> None:
    bad = dataclasses.replace(instance(2, sop="1.2.4"), peer="INVENTED NAME")
    assert intake.rebuild(journal, [instance(1), bad]).added == 1
    assert intake.object_ids(journal) == {instance(1).object_id}


def test_rebuild_leaves_the_older_object_current_where_a_newer_record_breaks_the_rules(journal: Journal) -> None:
    bad = dataclasses.replace(instance(2, tag=2), modality="INVENTED^NAME")
    assert intake.rebuild(journal, [instance(1), bad]).added == 1
    assert current(journal) == [("1", 1)]


def test_rebuild_keeps_to_the_conflict_rule(journal: Journal) -> None:
    rebuilt = intake.rebuild(journal, [instance(1), instance(2, tag=2)], refuse_conflicts=True)
    assert (rebuilt.added, rebuilt.superfluous) == (1, (instance(2).object_id,))
