"""Side words come from Patient Orientation and from nothing else, whatever way round the pixels are stored."""

from __future__ import annotations

import dataclasses

import pytest
from golden.object_cases import CASES, IMAGE_SHOWN, pointed, segmented
from golden.sr_cases import BOX, EFFUSION, IMAGE, finding, result

from edge.records import Measurement, Region
from edge.report.reader import read_report
from edge.report.sentence import sentence
from edge.report.side import side
from edge.report.sr import build_sr
from edge.report.words import Phrase

SOURCE = dataclasses.replace(IMAGE, rows=1000, columns=1200)


def box(column: float, row: float, source: str = SOURCE.sop_instance_uid, size: float = 60.0) -> Region:
    return Region(
        source,
        (
            (column - size, row - size),
            (column + size, row - size),
            (column + size, row + size),
            (column - size, row + size),
        ),
    )


def said(orientation, *regions):
    source = dataclasses.replace(SOURCE, patient_orientation=orientation)
    return side(regions, {source.sop_instance_uid: source})


ORIENTATIONS = {
    ("L", "F"): (900, 300),
    ("R", "F"): (300, 300),  # flipped left to right, or seen from behind
    ("L", "H"): (900, 700),  # upside down
    ("R", "H"): (300, 700),
    ("F", "L"): (300, 800),  # turned by a quarter
    ("H", "R"): (300, 200),
    ("F", "R"): (300, 200),
    ("LF", "FR"): (900, 300),  # tilted
    ("RH", "HL"): (300, 300),
}
"""Where the patient's left upper field is, in stored (column, row) pixels."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_side_is_the_patients_however_the_image_is_stored(orientation):
    column, row = ORIENTATIONS[orientation]
    mirrored = (SOURCE.columns - column, row) if orientation[0][0] in "LR" else (column, SOURCE.rows - row)

    assert said(orientation, box(column, row)) is Phrase.LEFT_SIDE
    assert said(orientation, box(*mirrored)) is Phrase.RIGHT_SIDE
    assert said(orientation, box(column, row), box(*mirrored)) is Phrase.BOTH_SIDES
    assert said(orientation, box(600, 500)) is Phrase.IN_THE_MIDDLE
    assert said(orientation, box(600, 500), box(column, row)) is Phrase.LEFT_SIDE


@pytest.mark.parametrize("orientation", [None, ("A", "F"), ("P", "H"), ("AL", "F")])
def test_no_side_where_the_image_does_not_say_it(orientation):
    assert said(orientation, box(300, 300)) is Phrase.SIDE_NOT_STATED


def test_no_side_of_an_image_that_is_not_known():
    assert side((box(300, 300, "2.25.9"),), {}) is Phrase.SIDE_NOT_STATED


def test_the_sentence_names_the_side_of_what_was_found_only():
    where = (box(900, 300, IMAGE_SHOWN.sop_instance_uid),)
    found = (finding(regions=where), finding(code=EFFUSION, present=False, score=0.1, regions=where))
    text = sentence(pointed(findings=found))

    assert "Pneumonia: detected, left side of the patient (score 0.9312" in text
    assert "Pleural effusion: not detected (score" in text
    assert "side not stated" in sentence(result(findings=(finding(regions=where),)))


def test_what_is_urgent_is_said_first_and_coded():
    case = CASES["urgent"]
    view = read_report(build_sr(case, box=BOX))

    assert view.sentence.startswith("AI - NOT FOR CLINICAL USE. Urgent: Pneumonia. Looked for Pneumonia: detected")
    assert [each.urgent for each in view.findings] == [True]
    (category,) = (node.code for node in view.tree.walk() if node.name.value == "276214006")
    assert (category.value, category.scheme) == ("RID49480", "RADLEX")


@pytest.mark.parametrize("changes", [{"present": False, "score": 0.1, "urgent": True}, {"urgent": False}])
def test_what_was_not_found_or_is_not_urgent_is_not(changes):
    view = read_report(build_sr(result(findings=(finding(**changes),)), box=BOX))

    assert "Urgent" not in view.sentence
    assert [each.urgent for each in view.findings] == [False]


def test_the_sentence_tells_what_was_outlined_and_measured():
    text = sentence(segmented())

    assert "Outlined: Lung; Pleural effusion." in text
    assert "Measured: Volume of Pleural effusion: 12.3457 mL; Volume of Lung: 2345.6 mL; Long Axis: 7.5 mm." in text
    assert "Nothing was detected" not in sentence(segmented(findings=()))


def test_a_report_counts_images_not_its_own_masks():
    case = segmented()

    assert len(read_report(build_sr(case, box=BOX)).sources) == len(case.sources)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_measurement_that_is_none_is_refused(value):
    number = segmented().measurements[0]

    with pytest.raises(Exception, match="not a number"):
        build_sr(result(measurements=(Measurement(number.code, value, number.unit),)), box=BOX)
