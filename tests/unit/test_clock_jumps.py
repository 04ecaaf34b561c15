"""A clock that was years ahead and is set right again: what waits for a moment does not wait for years."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_journal_work import Clock, finish, store, target

from edge.journal import Journal, create, outgoing, work

YEARS = 4 * 365 * 86400.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    create(tmp_path / "journal.db")
    made = Journal(tmp_path / "journal.db", clock=Clock())
    yield made
    made.close()


def test_a_delivery_postponed_by_a_wrong_clock_goes_out(journal: Journal) -> None:
    journal.clock.now += YEARS
    work.route(journal, store(journal), [target()])
    job = work.lease(journal, 60)
    assert job is not None
    finish(journal, job, "archive")
    (item,) = outgoing.due(journal, "archive")
    outgoing.postponed(journal, item, journal.clock() + 600, "status-A700")
    assert outgoing.due(journal, "archive") == [], "a pause is kept while the clock is steady"
    journal.clock.now -= YEARS
    assert [each.id for each in outgoing.due(journal, "archive")] == [item.id]


def test_a_lease_given_by_a_wrong_clock_ends(journal: Journal) -> None:
    journal.clock.now += YEARS
    work.route(journal, store(journal), [target()])
    first = work.lease(journal, 600)
    assert first is not None
    assert work.lease(journal, 600) is None
    journal.clock.now -= YEARS
    again = work.lease(journal, 600)
    assert again is not None
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_clock_that_jumps_ahead_and_back_by_minutes_changes_nothing(journal: Journal) -> None:
    work.route(journal, store(journal), [target()])
    assert work.lease(journal, 600) is not None
    for jump in (-300, 300, 250, -250):
        journal.clock.now += jump
        assert work.lease(journal, 600) is None
