"""A package of each task, from stored objects to the report: a box, a segment, a measurement where they truly are."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import TOML, InferBox
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from support import REPOSITORY, wait_until

from edge.journal import views
from edge.packages.registry import Registry
from edge.report.reader import ReportView, read_report

sys.path.insert(0, str(REPOSITORY / "models" / "recipes"))
from examples_pictures import GENERATED, ball, disc

CT = "1.2.840.10008.5.1.4.1.1.2"
SR, SEG = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"
SHAPE, CENTRE, RADIUS = (12, 40, 48), (6.0, 18.0, 30.0), 14.0
SPACING = (3.0, 1.5, 1.5)


@pytest.fixture
def box_of(tmp_path: Path) -> Iterator[Any]:
    made: list[InferBox] = []

    def make(name: str) -> InferBox:
        toml = TOML.replace('["DX"]', '["DX", "CT"]')
        made.append(InferBox(tmp_path / name, {name: Registry().resolve(name)}, toml).start())
        return made[-1]

    yield make
    for box in made:
        box.stop()


def sent(box: InferBox, sop_class: str) -> list[Dataset]:
    found = [dcmread(path) for path in box.settings.outbox.glob("*.dcm")]
    return [each for each in found if each.SOPClassUID == sop_class]


def report(box: InferBox) -> ReportView:
    (found,) = sent(box, SR)
    stream = io.BytesIO()
    found.save_as(stream)
    return read_report(stream.getvalue())


def generated(picture: np.ndarray, **attributes: Any) -> Dataset:
    pixels = np.rint(picture * 4095).astype(np.uint16)
    return chest_dx(pixels, BitsStored=12, HighBit=11, ManufacturerModelName=GENERATED, **attributes)


def slices(volume: np.ndarray, **attributes: Any) -> list[Dataset]:
    """CT slices of `volume` (HU) in order of place; instance numbers say the opposite."""
    series, study, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    made = []
    for index, hu in enumerate(volume):
        dataset = chest_dx((hu + 1024).astype(np.uint16), SOPClassUID=CT, ManufacturerModelName=GENERATED)
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame_of_reference
        dataset.InstanceNumber = len(volume) - index
        dataset.RescaleIntercept = -1024
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-30, -20, -50 + SPACING[0] * index]
        dataset.PixelSpacing, dataset.SliceThickness = list(SPACING[1:]), SPACING[0]
        dataset.NumberOfSeriesRelatedInstances = len(volume)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        made.append(dataset)
    return made


def ended(box: InferBox) -> views.JobView:
    def last() -> views.JobView | None:
        return next((each for each in views.jobs(box.journal) if each.state in ("DONE", "QUARANTINED")), None)

    found = wait_until(last, 60, "the end of the job")
    assert isinstance(found, views.JobView)
    return found


def test_a_detector_outlines_each_disc_on_the_stored_image(box_of: Any) -> None:
    """Two discs on an image that is wider than high: boxes lie where they are, in its own pixels."""
    box = box_of("example-detect")
    rows, columns = 320, 640
    down, across = np.mgrid[:rows, :columns] + 0.5
    places = [(100.0, 150.0), (220.0, 480.0)]
    # a disc of the tensor is an ellipse of the image, twice as wide as high
    inside = [np.hypot((down - y) / rows, (across - x) / columns) <= 5 / 64 for y, x in places]
    job = box.job(box.store(generated(np.where(inside[0] | inside[1], 0.9, 0.1))))
    assert (job.state, job.outcome) == ("DONE", "succeeded")
    findings = report(box).findings
    assert [each.present for each in findings] == [True, True]
    assert {each.code.value for each in findings} == {"EDGE-EX-DISC"}
    for y, x in places:
        (near,) = [each for each in findings if holds(each.regions[0].points, y, x)]
        points = np.array(near.regions[0].points)
        size = np.ptp(points, axis=0)
        assert size == pytest.approx([columns * 10 / 64, rows * 10 / 64], rel=0.05)
        assert points.mean(axis=0) == pytest.approx([x, y], abs=columns / 32)
        assert not near.regions[0].attention


def holds(points: Any, y: float, x: float) -> bool:
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    return bool((low <= (x, y)).all() and ((x, y) <= high).all())


def test_nothing_to_detect_is_said_so(box_of: Any) -> None:
    box = box_of("example-detect")
    box.job(box.store(generated(np.full((128, 128), 0.1))))
    (finding,) = report(box).findings
    assert (finding.present, finding.regions) == (False, ())


def test_a_measurement_has_its_number_and_its_unit(box_of: Any) -> None:
    box = box_of("example-measure")
    job = box.job(box.store(generated(disc(300, 200, (150, 90), 40, 0.0), PixelSpacing=[0.4, 0.4])))
    assert (job.state, job.outcome) == ("DONE", "succeeded")
    measured = [each for finding in report(box).findings for each in finding.measurements]
    (diameter,) = [each for each in measured if each.unit == "mm"]
    assert diameter.name == "Diameter"
    assert float(diameter.value) == pytest.approx(2 * 40 * 0.4, rel=0.03)


def test_an_attribute_that_a_table_needs_is_asked_for(box_of: Any) -> None:
    box = box_of("example-measure")
    jobs = [
        box.job(box.store(generated(disc(64, 64, (32, 32), 9), **attributes)))
        for attributes in ({}, {"PixelSpacing": [0.001, 0.001]}, {"PixelSpacing": [0.4, 0.4]})
    ]
    assert [job.reason for job in jobs] == ["not-applicable:PixelSpacing", "not-applicable:PixelSpacing", ""]


def test_a_series_is_one_volume_whatever_order_its_slices_come_in(box_of: Any) -> None:
    box = box_of("example-segment")
    truth = ball(SHAPE, CENTRE, RADIUS, SPACING)
    objects = slices(truth)
    random.Random(3).shuffle(objects)
    for dataset in objects:
        box.store(dataset)
    job = ended(box)
    assert (job.state, job.scope, job.outcome) == ("DONE", "series", "succeeded")
    (found,) = sent(box, SEG)
    assert str(found.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue) == "EDGE-EX-BALL"
    marked = np.zeros(SHAPE, bool)
    frames = np.unpackbits(np.frombuffer(found.PixelData, np.uint8), bitorder="little")
    frames = frames[: int(found.NumberOfFrames) * SHAPE[1] * SHAPE[2]].reshape(-1, *SHAPE[1:]).astype(bool)
    for frame, groups in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        height = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        marked[round((height + 50) / SPACING[0])] = frame
    real = truth > 0
    dice = 2 * (marked & real).sum() / (marked.sum() + real.sum())
    assert dice > 0.9
    assert len(sent(box, SR)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda objects: objects.pop(5), "uneven-slices"),
        (lambda objects: setattr(objects[4], "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), "uneven-slices"),
        (lambda objects: delattr(objects[4], "ImagePositionPatient"), "uneven-slices"),
        (lambda objects: setattr(objects[4], "PixelData", b"\0\0"), "undecodable"),
        (lambda objects: [setattr(each, "ManufacturerModelName", "other") for each in objects],
         "not-applicable:ManufacturerModelName"),
    ],
)  # fmt: skip
def test_what_is_no_volume_is_no_result(box_of: Any, change: Any, reason: str) -> None:
    box = box_of("example-segment")
    objects = slices(ball(SHAPE, CENTRE, RADIUS, SPACING))
    change(objects)
    for dataset in objects:
        dataset.NumberOfSeriesRelatedInstances = len(objects)
        box.store(dataset)
    assert ended(box).reason == reason
    assert sent(box, SEG) == []


def test_an_image_that_the_rules_exclude_is_left_out(box_of: Any) -> None:
    """A scout among the slices: another device model, so no slice; the report does not name it."""
    box = box_of("example-segment")
    objects = slices(ball(SHAPE, CENTRE, RADIUS, SPACING))
    scout = slices(np.zeros((1, 40, 48)), ManufacturerModelName="SCOUT")[0]
    scout.SeriesInstanceUID, scout.StudyInstanceUID = objects[0].SeriesInstanceUID, objects[0].StudyInstanceUID
    for dataset in (*objects, scout):
        dataset.NumberOfSeriesRelatedInstances = len(objects) + 1
        box.store(dataset)
    assert ended(box).outcome == "succeeded"
    (document,) = sent(box, SR)
    named = {
        str(item.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {str(each.SOPInstanceUID) for each in objects} <= named
    assert str(scout.SOPInstanceUID) not in named
