"""A report that a power cut tore is nobody's: it is made anew, never signed and sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.infer import outbox
from edge.records import UID, Outcome
from edge.report.reader import read_report

GOLDEN = (Path(__file__).parent.parent / "golden" / "sr_detected.dcm").read_bytes()
REPORT_UID = UID(read_report(GOLDEN).sop_instance_uid)
PAGE = 4096


def found(folder: Path, blob: bytes) -> outbox.Written | None:
    (folder / f"{REPORT_UID}.dcm").write_bytes(blob)
    return outbox.find(folder, REPORT_UID)


def test_a_whole_report_is_adopted_with_its_outcome(tmp_path: Path) -> None:
    outbox.write(tmp_path, REPORT_UID, GOLDEN)
    assert outbox.find(tmp_path, REPORT_UID) == outbox.Written(GOLDEN, Outcome.SUCCEEDED, "", urgent=False)


@pytest.mark.parametrize("length", [0, 1, 132, PAGE, 2 * PAGE, 3 * PAGE, len(GOLDEN) - 2, len(GOLDEN) - 1])
def test_a_shortened_report_is_not_adopted(tmp_path: Path, length: int) -> None:
    assert found(tmp_path, GOLDEN[:length]) is None


@pytest.mark.parametrize("start", range(0, len(GOLDEN), PAGE))
def test_a_report_with_a_page_of_zeros_is_not_adopted(tmp_path: Path, start: int) -> None:
    end = min(start + PAGE, len(GOLDEN))
    assert found(tmp_path, GOLDEN[:start] + bytes(end - start) + GOLDEN[end:]) is None


def test_another_report_under_this_name_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "2.25.1.dcm").write_bytes(GOLDEN)
    assert outbox.find(tmp_path, UID("2.25.1")) is None
