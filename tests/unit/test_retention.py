"""Studies go when their work is done and their time is up; nothing goes that somebody still waits for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import support

from edge import keys, rooms
from edge.config import Settings, load
from edge.errors import SealError
from edge.infer.retention import ORPHAN_SECONDS, erase_expired, sweep_outbox
from edge.journal import Journal, intake, outgoing, work
from edge.journal.work import Outgoing, Target
from edge.records import UID, DeliveryState, Instance, Outcome, Priority, Scope
from edge.vault import Opener, Sealer

DAY = 86400.0


class Clock:
    """Moves when told to."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Spool:
    """A box's storage without its rooms."""

    def __init__(self, folder: Path) -> None:
        (folder / "edge.toml").write_text(support.EDGE_TOML.format(port=1))
        self.settings: Settings = load(folder / "edge.toml")
        rooms.make_root(self.settings)
        self.clock = Clock()
        self.journal = Journal(self.settings.journal, clock=self.clock)
        load_key = lambda name: keys.load(self.settings.keys, name)  # noqa: E731
        self._sealer = Sealer(self.settings.spool, load_key("seal.pub"), load_key("tag.key"))
        self.opener = Opener(self.settings.spool, load_key("open.key"))

    def store(self, study: str, *, routed: bool = True, still_sending: bool = False) -> Instance:
        """One sealed object of `study`, routed to a package or to nobody."""
        key = self._sealer.study_key()
        writer = self._sealer.writer(UID("1.2.840.10008.1.2.1"), lambda _: key)
        writer.free()[:4] = b"INVE"
        writer.advance(4)
        uid = UID(f"{study}.1.{key.slot}")
        instance = writer.finish(
            lambda object_id, tag, size, slot: Instance(
                object_id, uid, UID("1.2"), UID(study), UID(f"{study}.1"), UID("1.2.840.10008.1.2.1"), "DX", "test",
                "a" * 32, tag, size, slot, self.clock(),
            )
        )  # fmt: skip
        intake.store(self.journal, [instance], refuse_conflicts=False)
        if not still_sending:
            intake.close_association(self.journal, instance.association)
        targets = [Target(Scope.IMAGE, "chest", "cxr-pneumonia", Priority.ROUTINE)] if routed else []
        work.route(self.journal, instance, targets, "" if routed else "no-route")
        return instance

    def finish(self, report: str, state: DeliveryState, *also: str) -> Path:
        """End the next job with one report whose delivery came to `state`; returns the outbox file.

        `also`: further destinations, which still wait for it.
        """
        job = work.lease(self.journal, 60)
        assert job is not None
        work.finish(
            self.journal, job, outcome=Outcome.SUCCEEDED, reason="", report=UID(report), digest="a" * 64,
            quarantine=False,
            outgoing=[Outgoing(UID(report), UID("1.2"), alias, "b" * 64, "c" * 128) for alias in ("archive", *also)],
        )  # fmt: skip
        (item,) = outgoing.due(self.journal, "archive")
        if state is DeliveryState.SENT:
            outgoing.sent(self.journal, item)
        elif state is DeliveryState.FAILED:
            outgoing.failed(self.journal, item, "status-A900")
        file = self.settings.outbox / f"{report}.dcm"
        file.write_bytes(b"report")
        return file

    def erase(self) -> int:
        """One round of retention."""
        return erase_expired(self.settings, self.journal, self.opener)

    def opens(self, instance: Instance) -> bool:
        """Whether the object can still be read."""
        try:
            return bytes(self.opener.read(instance.object_id)) == b"INVE"
        except SealError:
            return False


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Storage with a clock of its own."""
    made = Spool(tmp_path)
    yield made
    made.journal.close()


def test_a_finished_study_goes_after_keep_days_with_its_report(spool: Spool) -> None:
    instance = spool.store("1.9")
    report = spool.finish("2.25.1", DeliveryState.SENT)
    spool.clock.now += 2.9 * DAY
    assert (spool.erase(), spool.opens(instance), report.exists()) == (0, True, True)
    spool.clock.now += 0.2 * DAY
    assert (spool.erase(), spool.opens(instance), report.exists()) == (1, False, False)
    assert not (spool.settings.spool / instance.object_id).exists()
    assert spool.erase() == 0


def test_an_erased_object_cannot_be_opened_from_a_copy_of_its_file(spool: Spool) -> None:
    instance = spool.store("1.9", routed=False)
    sealed = (spool.settings.spool / instance.object_id).read_bytes()
    spool.clock.now += 4 * DAY
    spool.erase()
    (spool.settings.spool / instance.object_id).write_bytes(sealed)
    assert not spool.opens(instance)


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.FAILED])
def test_what_somebody_waits_for_stays_until_max_days(spool: Spool, state: DeliveryState) -> None:
    instance = spool.store("1.9")
    spool.finish("2.25.1", state)
    spool.clock.now += 13.9 * DAY
    assert (spool.erase(), spool.opens(instance)) == (0, True)
    spool.clock.now += 0.2 * DAY
    assert (spool.erase(), spool.opens(instance)) == (1, False)
    events = spool.journal.database.rows("SELECT new, reason FROM event WHERE new = 'ERASED'")
    assert [tuple(row) for row in events] == [("ERASED", "too-old")]


def test_a_report_stays_while_one_of_its_destinations_is_away(spool: Spool) -> None:
    instance = spool.store("1.9")
    report = spool.finish("2.25.1", DeliveryState.SENT, "other")
    spool.clock.now += 15 * DAY
    assert (spool.erase(), spool.opens(instance), report.exists()) == (1, False, True)


def test_a_late_image_keeps_the_whole_study(spool: Spool) -> None:
    first = spool.store("1.9", routed=False)
    spool.clock.now += 2.5 * DAY
    spool.store("1.9", routed=False)
    spool.clock.now += 1 * DAY
    assert (spool.erase(), spool.opens(first)) == (0, True)


def test_nothing_goes_while_its_association_may_still_bring_more(spool: Spool) -> None:
    instance = spool.store("1.9", routed=False, still_sending=True)
    spool.clock.now += 20 * DAY
    assert (spool.erase(), spool.opens(instance)) == (0, True)


def test_studies_are_erased_one_by_one(spool: Spool) -> None:
    old = spool.store("1.8", routed=False)
    spool.clock.now += 2 * DAY
    young = spool.store("1.9", routed=False)
    spool.clock.now += 1.5 * DAY
    assert spool.erase() == 1
    assert (spool.opens(old), spool.opens(young)) == (False, True)


def test_a_report_whose_job_was_discarded_while_it_ran_does_not_stay(spool: Spool) -> None:
    spool.store("1.9")
    wanted = spool.finish("2.25.1", DeliveryState.SENT)
    orphan = spool.settings.outbox / "2.25.2.dcm"
    orphan.write_bytes(b"report")
    for file in (wanted, orphan):
        os.utime(file, (spool.clock.now, spool.clock.now))
    assert sweep_outbox(spool.journal, spool.settings.outbox) == 0
    spool.clock.now += ORPHAN_SECONDS + 1
    assert sweep_outbox(spool.journal, spool.settings.outbox) == 1
    assert (wanted.exists(), orphan.exists()) == (True, False)
