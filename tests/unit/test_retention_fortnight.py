"""300 mixed studies and fourteen days: the disk holds what the configuration says, and nothing more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_retention import DAY, Spool

from edge.infer.retention import sweep_outbox
from edge.journal import outgoing, work
from edge.journal.work import Outgoing
from edge.records import UID, Instance, Outcome

STUDIES, DAYS = 300, 14
ENDS = ("sent", "failed", "held", "pending", "quarantined", "unrouted", "not-attempted")


@dataclass(frozen=True, slots=True)
class Study:
    """What came, on which day, and how it ended: only what still waits for somebody stays longer than `keep_days`."""

    instance: Instance
    day: float
    end: str
    report: Path | None

    def is_kept(self, now: float, keep: float, most: float) -> bool:
        """Whether it must still be there, by the words of the configuration."""
        waits = self.end in ("failed", "held", "pending")
        return now - self.day < (most if waits else keep)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    yield made
    made.journal.close()


def arrive(spool: Spool, number: int, end: str) -> Study:
    """One study that comes and ends now."""
    instance = spool.store(f"1.9.{number}", routed=end != "unrouted")
    report = spool.settings.outbox / f"2.25.{number}.dcm"
    if end == "unrouted":
        return Study(instance, spool.clock.now, end, None)
    job = work.lease(spool.journal, 60)
    assert job is not None
    reported = end in ("sent", "failed", "held", "pending")
    item = Outgoing(UID(report.stem), UID("1.2"), "archive", "b" * 64, "c" * 128, held="test" * (end == "held"))
    outcome = {"quarantined": Outcome.FAILED, "not-attempted": Outcome.NOT_ATTEMPTED}.get(end, Outcome.SUCCEEDED)
    work.finish(
        spool.journal, job, outcome=outcome, reason="", report=UID(report.stem if reported else ""), digest="a" * 64,
        quarantine=end == "quarantined", outgoing=[item] if reported else [],
    )  # fmt: skip
    if reported and end != "held":
        report.write_bytes(b"report")
    for due in outgoing.due(spool.journal, "archive"):
        if due.sop_instance_uid == report.stem and end == "sent":
            outgoing.sent(spool.journal, due)
        elif due.sop_instance_uid == report.stem and end == "failed":
            outgoing.failed(spool.journal, due, "status-A900")
    return Study(instance, spool.clock.now, end, report if report.exists() else None)


def test_after_every_day_the_disk_holds_what_the_configuration_says(spool: Spool) -> None:
    dice = random.Random(14)
    keep, most = spool.settings.storage.keep_days * DAY, spool.settings.storage.max_days * DAY
    began = spool.clock.now
    moments = sorted((dice.uniform(0, DAYS * DAY), dice.choice(ENDS)) for _ in range(STUDIES))
    studies: list[Study] = []
    gone: list[Study] = []
    for day in range(2 * DAYS + 2):
        while moments and moments[0][0] <= (day + 1) * DAY:
            moment, end = moments.pop(0)
            spool.clock.now = began + moment
            studies.append(arrive(spool, len(studies), end))
        spool.clock.now = began + (day + 1) * DAY
        spool.erase()
        sweep_outbox(spool.journal, spool.settings.outbox)
        kept = [study for study in studies if study.is_kept(spool.clock.now, keep, most)]
        assert objects(spool) == {study.instance.object_id for study in kept}
        gone_now = [study for study in studies if study not in kept and study not in gone]
        gone += gone_now
        assert not any(spool.opens(study.instance) for study in gone_now)
        assert all(spool.opens(study.instance) for study in dice.sample(kept, min(5, len(kept))))
        assert set(spool.settings.outbox.iterdir()) >= {study.report for study in kept if study.report}
    assert len(studies) == STUDIES
    assert objects(spool) == set()
    waiting = {study.report for study in studies if study.end == "pending"}
    assert set(spool.settings.outbox.iterdir()) == waiting, "a result that a destination still waits for stays"


def objects(spool: Spool) -> set[str]:
    """The sealed files on disk."""
    return {path.name for path in spool.settings.spool.iterdir() if path.name != "slots"}
