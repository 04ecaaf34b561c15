"""`edge bench report` compares like with like, and we are within our own bounds."""

from __future__ import annotations

import json
from io import BytesIO

import highdicom
import pytest
from support import run_edge

from edge.bench import highdicom_report, report
from edge.report.sr import build_sr


@pytest.mark.filterwarnings("ignore")
def test_both_say_the_same() -> None:
    boxes = [report._box(0), None]
    finding = (report._FINDING.value, report._FINDING.scheme, report._FINDING.meaning)
    theirs = highdicom_report.report(highdicom_report.image(report.ROWS, report.COLUMNS), finding, boxes)
    ours = build_sr(report._result(boxes), box=report.BOX)

    def told(blob: bytes) -> list[object]:
        content = highdicom.sr.srread(BytesIO(blob)).content
        images = [group for group in content.get_image_measurement_groups() if group.finding_type is not None]
        regions = content.get_planar_roi_measurement_groups()
        return [
            [(group.finding_type.meaning, group.get_measurements()[0].value) for group in (*images, *regions)],
            [group.roi.value.tolist() for group in regions],
        ]

    assert told(ours) == told(theirs)
    assert len(ours) > len(theirs), "we write the sentence and the outcome too"


@pytest.mark.slow
def test_a_report_takes_less_than_its_bound_and_a_tenth_of_highdicom() -> None:
    ended = run_edge("bench", "report", "--json", timeout=300)
    rows = json.loads(ended.stdout)["rows"]
    small, large, _ = rows

    assert small["ours"] <= 5
    assert large["ours"] <= 60
    assert min(small["ratio"], large["ratio"]) >= 10
