"""What the desk does with new instances: nothing is lost, and nothing waits behind one that cannot be looked at."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden.sr_cases import BOX
from infer_box import InferBox, made_package
from pydicom.dataset import Dataset

from edge import keys
from edge.infer import desk as desk_module
from edge.infer import rejection
from edge.infer.completion import Completion
from edge.infer.desk import Desk
from edge.infer.headers import Headers
from edge.infer.rejection import Rejector
from edge.infer.roster import line_up
from edge.infer.takeback import Takebacks
from edge.packages.registry import Registry
from edge.records import Instance, Job
from edge.vault import Opener


class Counter:
    """A desk over a real spool and journal, without room and workers."""

    def __init__(self, folder: Path) -> None:
        package = made_package(folder / "package")
        self.box = InferBox(folder / "box", {"brightness": package})
        settings = self.box.settings
        lines = line_up(settings, Registry({"brightness": package}))
        self.opener = Opener(settings.spool, keys.load(settings.keys, "open.key"))
        routes = {line.route.name: line.route for line in lines}
        headers = Headers(self.opener)
        takebacks = Takebacks(settings, self.box.journal, BOX, keys.load(settings.keys, "sign.key"))
        rejector = Rejector(settings.spool, settings.outbox, self.box.journal, self.opener, headers, takebacks)
        self.desk = Desk(self.box.journal, headers, lambda: lines, Completion(routes), rejector, lambda: 60.0)

    def store(self) -> Instance:
        made = Dataset()
        made.Modality = "DX"
        return self.box.store(made)

    def stored(self, count: int) -> list[Instance]:
        return [self.store() for _ in range(count)]

    def state(self, instance: Instance) -> str:
        return self.box.instance_state(instance)

    def take(self) -> Job | None:
        return self.desk.take()

    def close(self) -> None:
        self.opener.slots.close()
        self.box.stop()


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    made = Counter(tmp_path)
    yield made
    made.close()


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`fail(error, *instances)`: opening their files fails so, until the next call."""
    real = os.open

    def failing(error: int, *instances: Instance) -> None:
        names = {instance.object_id for instance in instances}

        def opened(path: Any, *others: Any, **more: Any) -> int:
            if Path(path).name in names:
                raise OSError(error, os.strerror(error))
            return real(path, *others, **more)

        monkeypatch.setattr(os, "open", opened)

    return failing


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ENOMEM])
def test_what_cannot_be_read_now_stays_stored_and_is_routed_later(
    counter: Counter, fail: Any, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(desk_module, "_AGAIN_SECONDS", 0.0)
    instance = counter.store()
    fail(error, instance)
    assert counter.take() is None
    assert counter.state(instance) == "STORED"

    fail(error)
    assert counter.take() is not None
    assert counter.state(instance) == "ROUTED"


def test_a_missing_object_is_quarantined(counter: Counter) -> None:
    instance = counter.store()
    (counter.box.settings.spool / instance.object_id).unlink()
    assert counter.take() is None
    assert counter.state(instance) == "QUARANTINED sealed-object-damaged"


def test_nothing_waits_behind_what_cannot_be_read(counter: Counter, fail: Any) -> None:
    oldest = counter.stored(desk_module._BATCH + 4)
    younger = counter.store()
    fail(errno.EIO, *oldest)
    jobs = [counter.take() for _ in range(3)]
    assert [job is not None for job in jobs].count(True) == 1
    assert counter.state(younger) == "ROUTED"
    assert {counter.state(instance) for instance in oldest} == {"STORED"}


def test_a_surprise_quarantines_its_instance_and_the_others_go_on(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    strange, plain = counter.stored(2)
    real = desk_module.decide

    def decide(instance: Instance, *others: Any) -> Any:
        if instance.object_id == strange.object_id:
            raise ZeroDivisionError("INVENTED^NAME")
        return real(instance, *others)

    monkeypatch.setattr(desk_module, "decide", decide)
    assert counter.take() is not None
    assert counter.state(strange) == "QUARANTINED internal"
    assert counter.state(plain) == "ROUTED"
    assert "ZeroDivisionError" in caplog.text
    assert "INVENTED" not in caplog.text


def test_a_note_that_cannot_be_carried_out_stays_and_the_others_go_on(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    note, plain = counter.stored(2)
    real = rejection.read

    def read(instance: Instance, dataset: Dataset) -> rejection.Note | None:
        is_note = instance.object_id == note.object_id
        return rejection.Note("rejected-quality", {}) if is_note else real(instance, dataset)

    def carry_out(*_: Any) -> None:
        raise ZeroDivisionError("INVENTED^NAME")

    monkeypatch.setattr(rejection, "read", read)
    monkeypatch.setattr(Rejector, "carry_out", carry_out)
    assert counter.take() is not None
    assert counter.state(note) == "STORED"
    assert counter.state(plain) == "ROUTED"
    assert "ZeroDivisionError" in caplog.text
    assert "INVENTED" not in caplog.text


def test_all_that_is_new_is_looked_at_before_anything_is_leased(counter: Counter, monkeypatch: Any) -> None:
    """Else the stat study at the end of a burst would wait for most of it."""
    monkeypatch.setattr(desk_module, "_CATCH_UP_SECONDS", 60.0)
    instances = counter.stored(3 * desk_module._BATCH + 1)
    assert counter.take() is not None
    assert [counter.state(each) for each in instances] == ["ROUTED"] * len(instances)
