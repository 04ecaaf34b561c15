"""Which package worked last, as the journal tells it after activations and rollbacks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from edge.journal import Journal, create, packages


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    create(tmp_path / "journal.db")
    seconds = count(1_000_000)
    made = Journal(tmp_path / "journal.db", durable=False, clock=lambda: float(next(seconds)))
    yield made
    made.close()


def works(journal: Journal, digest: str, version: str) -> packages.Installed:
    packages.stage(journal, digest, "brightness", version, "a" * 16)
    journal.move("package", digest, "STAGED", "INSTALLED")
    packages.activate(journal, found(journal, digest), "", "evaluation")
    return found(journal, digest)


def found(journal: Journal, digest: str) -> packages.Installed:
    package = packages.find(journal, digest)
    assert package is not None
    return package


def test_a_package_that_came_back_and_failed_is_the_one_that_worked_last(journal: Journal) -> None:
    """Else nothing says that it failed, and a package of the software takes over unasked."""
    first, second = works(journal, "1" * 64, "1.0.0"), works(journal, "2" * 64, "2.0.0")
    packages.roll_back(journal, second, "rollback")
    journal.move("package", first.digest, "ACTIVE", "FAILED", "selftest-failed")
    last = packages.last_active(journal, "brightness")
    assert last is not None
    assert (last.digest, last.state) == (first.digest, "FAILED")
