"""The demonstration from push to report: what a modality and an archive would see of the appliance.

Comes in: pictures and a running house. Goes out: one Answer for each, as it came; nothing is guessed: the archive's
copy is what is read, and the box's journal says why where there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.demo.archive import Archive
from edge.demo.house import House
from edge.demo.inputs import Picture
from edge.errors import PeerFailure
from edge.journal import Journal, views
from edge.report.reader import ReportView, read_report
from edge.scu import Scu

PATIENCE_SECONDS = 60.0
"""No new answer for so long: whatever is missing will not come."""

_LOOK_SECONDS = 0.25
_MOST_CONTEXTS = 128

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one picture.

    `outcome` is a job's outcome, or `refused` (not stored), `unrouted` (stored, for no model) or `none` (no answer in
    time); `reason` is the code for it. `elapsed_ms` counts from the first byte pushed to the report's arrival.
    """

    picture: Picture
    outcome: str
    reason: str = ""
    report: Path | None = None
    view: ReportView | None = None
    elapsed_ms: float | None = None

    @property
    def answered(self) -> bool:
        return self.outcome not in ("none", "unreadable")


@dataclass(frozen=True, slots=True)
class _Pushed:
    picture: Picture
    at: float
    refused: str


def demonstrate(house: House, archive: Archive, pictures: list[Picture], progress: Progress) -> list[Answer]:
    """Push `pictures` in order, wait for what comes back, answer for each."""
    pushed = list(_push(house, pictures, progress))
    journal = Journal(house.settings.journal)
    try:
        return _collect(archive, journal, pushed, progress)
    finally:
        journal.close()


def _push(house: House, pictures: list[Picture], progress: Progress) -> Iterator[_Pushed]:
    for batch in _batches(pictures):
        proposals = [(item.parts.sop_class_uid, item.parts.transfer_syntax_uid) for item in batch if item.parts]
        scu: Scu | None = None
        for picture in batch:
            at = time.monotonic()
            if picture.parts is None:
                yield _Pushed(picture, at, picture.refused)
                continue
            try:
                if scu is None:
                    scu = Scu(house.box, proposals)
                    scu.open()
                parts = picture.parts
                status = scu.store(
                    parts.sop_class_uid, parts.sop_instance_uid, parts.transfer_syntax_uid, parts.data_set
                )
                progress(f"pushed {picture.file}: {'Success' if status == 0 else f'status {status:04X}'}")
                yield _Pushed(picture, at, f"status-{status:04X}" if status else "")
            except PeerFailure as error:
                scu = scu if error.reason.startswith("context-refused") else None
                progress(f"pushed {picture.file}: {error.reason}")
                yield _Pushed(picture, at, error.reason)
        if scu is not None:
            scu.release()


def _batches(pictures: list[Picture]) -> Iterable[list[Picture]]:
    """Runs of pictures that one association can carry."""
    return [pictures[at : at + _MOST_CONTEXTS] for at in range(0, len(pictures), _MOST_CONTEXTS)]


def _collect(archive: Archive, journal: Journal, pushed: list[_Pushed], progress: Progress) -> list[Answer]:
    answers: dict[int, Answer] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(answers) < len(pushed) and time.monotonic() < deadline:
        known = len(archive.arrived())
        for index, item in enumerate(pushed):
            answer = None if index in answers else _answer(archive, journal, item)
            if answer is not None:
                answers[index] = answer
                deadline = time.monotonic() + PATIENCE_SECONDS
                progress(f"answer for {item.picture.file}: {answer.outcome} {answer.reason}".rstrip())
        if len(answers) < len(pushed):
            archive.wait(lambda arrived, known=known: len(arrived) > known, _LOOK_SECONDS)  # type: ignore[misc]
    return [answers.get(index, Answer(item.picture, "none")) for index, item in enumerate(pushed)]


def _answer(archive: Archive, journal: Journal, item: _Pushed) -> Answer | None:
    """What is known for good about one push, or None while it is under way."""
    picture = item.picture
    if picture.parts is None:
        return Answer(picture, "unreadable", item.refused)
    if item.refused:
        return Answer(picture, "refused", item.refused)
    found = views.pushed(journal, picture.parts.sop_instance_uid)
    if found is None:
        return None
    if found.state in ("UNROUTED", "QUARANTINED"):
        return Answer(picture, "unrouted" if found.state == "UNROUTED" else "failed", found.reason)
    arrived = archive.arrived().get(found.report) if found.report else None
    if arrived is not None:
        path = archive.path(found.report)
        view = read_report(path.read_bytes())
        return Answer(picture, found.outcome, found.job_reason, path, view, 1000.0 * (arrived - item.at))
    if found.delivery in ("HELD", "FAILED", "SUPERSEDED", "DISCARDED"):
        return Answer(picture, found.outcome, f"{found.delivery.lower()}:{found.delivery_reason}")
    if found.job in ("DONE", "QUARANTINED") and not found.delivery:
        return Answer(picture, found.outcome, found.job_reason)
    return None
