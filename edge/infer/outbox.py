"""The outbox: one file an object, written once. Only objects that the egress gate let pass come here.

A job that is run again after a crash finds its report and adopts it with the outcome that it tells, so that one UID
has one byte string for ever. A result of several objects is made again as a whole: none of them was sent before the
job's end, and what is on the disk cannot say how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import BadObject
from edge.files import write_durably
from edge.infer import egress
from edge.records import UID, Outcome, as_code
from edge.report.kinds import SR
from edge.report.reader import read_report

_MODE = 0o440


@dataclass(frozen=True, slots=True)
class Written:
    """A report that lies in the outbox."""

    blob: bytes
    outcome: Outcome
    reason: str
    urgent: bool


def write(outbox: Path, report_uid: UID, blob: bytes) -> None:
    """Put a released object into the outbox: whole and flushed, or not at all."""
    # a torn one is nobody's: `find` refuses it and deliver knows its digest
    write_durably(outbox / f"{report_uid}.dcm", blob, _MODE, checked_later=True)


def find(outbox: Path, report_uid: UID) -> Written | None:
    """The Comprehensive 3D SR that an earlier attempt wrote, or None when there is none that is whole and ours."""
    try:
        blob = (outbox / f"{report_uid}.dcm").read_bytes()
        if not egress.is_whole(blob, report_uid, SR.sop_class_uid):
            return None
        view = read_report(blob)
        outcome = Outcome(view.outcome)
    except (FileNotFoundError, BadObject, ValueError):
        return None
    urgent = any(finding.urgent for finding in view.findings)
    return Written(blob, outcome, as_code(view.reason), urgent) if view.sop_instance_uid == report_uid else None
