"""A full disk costs no job an attempt: the room waits, and goes on by itself when there is room again."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from support import wait_until

from edge.infer import outbox
from edge.journal import views, work

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[InferBox]:
    made = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}, attempts=2).start()
    yield made
    made.stop()


class Full:
    """A call that fails as on a full disk until there is room."""

    def __init__(self, real: Any, error: Exception) -> None:
        self.real, self.error = real, error
        self.refused, self.has_room = 0, False

    def __call__(self, *words: Any, **more: Any) -> Any:
        if self.has_room:
            return self.real(*words, **more)
        self.refused += 1
        raise self.error


def full_journal() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    return error


def test_jobs_wait_for_room_and_lose_no_attempt(room: InferBox, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Full(outbox.write, OSError(errno.ENOSPC, "No space left on device"))
    giving_back = Full(work.give_back, full_journal())
    monkeypatch.setattr(outbox, "write", writing)
    monkeypatch.setattr(work, "give_back", giving_back)
    stored = [room.store(chest_dx(np.full((32, 32), 100 + number, np.uint8))) for number in range(3)]
    wait_until(lambda: giving_back.refused > 1, 60, "a journal that is full too")
    giving_back.has_room = True
    wait_until(lambda: writing.refused > 4, 60, "more failures than attempts")
    assert {job.state for job in views.jobs(room.journal)} <= {"READY", "RUNNING"}
    writing.has_room = True
    ended = [room.job(instance) for instance in stored]
    assert [(job.state, job.outcome, job.attempts) for job in ended] == [("DONE", "succeeded", 1)] * 3
    assert len(list(room.settings.outbox.glob("*.dcm"))) == 3


def test_another_trouble_still_costs_attempts(room: InferBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "write", Full(outbox.write, OSError(errno.EIO, "Input/output error")))
    ended = room.job(room.store(chest_dx(np.full((32, 32), 100, np.uint8))))
    assert (ended.state, ended.reason, ended.attempts) == ("QUARANTINED", "internal", 2)
