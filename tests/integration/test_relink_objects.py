"""Segmentations and presentation states, made by highdicom, through the gateway. All identities are invented."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from gateway import IMAGE, PATIENT, STUDY, image, put, running, send, written
from golden.object_cases import BOX, CASES
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from support import Orthanc, tool

from edge.records import Source
from edge.report.kinds import OLD_SR, Form
from edge.report.objects import build
from edge.report.reader import read_report

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
         "StudyID", "ReferringPhysicianName")  # fmt: skip
DROPPED = ("PatientAge", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "StudyDescription",
           "IssuerOfPatientID")  # fmt: skip


def segmentation() -> Dataset:
    """A binary mask on the image of `gateway.REPORT`."""
    algorithm = hd.AlgorithmIdentificationSequence("invented", codes.cid7162.ArtificialIntelligence, "1")
    segment = SegmentDescription(
        1, "finding", codes.SCT.Organ, codes.SCT.Lung, SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 10:20, 10:20] = 1
    return Segmentation(
        [image()], mask, SegmentationTypeValues.BINARY, [segment], "2.25.9101", 9101, "2.25.91011", 1,
        "Invented Devices", "invented", "1", "1", omit_empty_frames=False,
    )  # fmt: skip


def presentation_state() -> Dataset:
    """A text on the image of `gateway.REPORT`."""
    text = hd.pr.TextObject("AI", hd.pr.AnnotationUnitsValues.PIXEL, anchor_point=(10.0, 10.0))
    annotation = hd.pr.GraphicAnnotation([image()], hd.pr.GraphicLayer("AI", 1), text_objects=[text])
    return hd.pr.GrayscaleSoftcopyPresentationState(
        [image()], "2.25.9201", 9201, "2.25.92011", 1, "Invented Devices", "invented", "1", "1", "AI",
        graphic_annotations=[annotation], graphic_layers=[hd.pr.GraphicLayer("AI", 1)],
    )  # fmt: skip


def phi_free(made: Dataset) -> Dataset:
    """As a box would write it."""
    dataset = Dataset()
    dataset.update({tag: made[tag] for tag in made.keys()})  # noqa: SIM118 - a data set iterates over its elements
    dataset.file_meta = made.file_meta
    for keyword in EMPTY:
        setattr(dataset, keyword, "")
    for keyword in DROPPED:
        if keyword in dataset:
            delattr(dataset, keyword)
    for equipment in dataset.get("ContributingEquipmentSequence", []):
        for keyword in ("ContributionDateTime", "InstitutionName", "StationName"):
            if keyword in equipment:
                delattr(equipment, keyword)
    for keyword, value in (("Content", "20000101"), ("PresentationCreation", "20000101")):
        if f"{keyword}Date" in dataset:
            setattr(dataset, f"{keyword}Date", value)
            setattr(dataset, f"{keyword}Time", "000000")
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "invented"
    return dataset


@pytest.mark.parametrize("make", [segmentation, presentation_state])
def test_it_is_filed_beside_its_image_and_stays_valid(
    make: Callable[[], Dataset], tmp_path: Path, orthanc: Orthanc
) -> None:
    put(orthanc, image())
    file = written(phi_free(make()))
    with running(tmp_path, orthanc.port) as room:
        assert send(room.port, file, file) == [0, 0]
    (study,) = orthanc.get("/studies?expand")
    assert len(study["Series"]) == 2
    filed = next(each for each in _instances(orthanc) if each.Modality in ("SEG", "PR"))
    assert (str(filed.PatientName), filed.StudyInstanceUID) == (PATIENT["PatientName"], STUDY)
    assert filed.get("ContentDate", filed.get("PresentationCreationDate")) > "20240101"
    assert filed.ReferencedSeriesSequence[0].SeriesInstanceUID == IMAGE.series_instance_uid
    assert _errors(written(filed), tmp_path) <= _errors(file, tmp_path)


def test_a_reference_outside_the_referenced_series_is_a_contradiction(tmp_path: Path, orthanc: Orthanc) -> None:
    put(orthanc, image())
    made = phi_free(presentation_state())
    made.GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    with running(tmp_path, orthanc.port) as room:
        assert send(room.port, written(made)) == [0xC102]
    assert len(orthanc.get("/instances")) == 1


def _instances(orthanc: Orthanc) -> list[Dataset]:
    files = [orthanc.read(f"/instances/{each}/file") for each in orthanc.get("/instances")]
    return [pydicom.dcmread(io.BytesIO(file)) for file in files]


def _errors(file: bytes, folder: Path) -> set[str]:
    """What dciodvfy has against it."""
    path = folder / "checked.dcm"
    path.write_bytes(file)
    said = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False).stderr
    return {line for line in said.splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("name", ["segmented", "pointed"])
@pytest.mark.parametrize("form", [Form(presentation=True), Form(OLD_SR, presentation=True)])
def test_the_boxs_own_objects_are_filed_together_valid_and_readable(
    name: str, form: Form, tmp_path: Path, orthanc: Orthanc
) -> None:
    case = CASES[name]
    put(orthanc, *(of_source(each) for each in case.sources))
    objects = build(case, box=BOX, form=form)
    with running(tmp_path / "relink", orthanc.port) as room:
        assert send(room.port, objects[-1].blob) == [0xA701 if name == "segmented" else 0]  # its SEG is not there yet
        assert send(room.port, *(each.blob for each in objects)) == [0] * len(objects)
        assert send(room.port, *(each.blob for each in objects)) == [0] * len(objects)
    assert len(orthanc.get("/studies")) == 1
    filed = {str(each.SOPInstanceUID): each for each in _instances(orthanc)}
    assert len(filed) == len(orthanc.get("/instances")) == len(case.sources) + len(objects)
    for each in objects:
        here = filed[each.sop_instance_uid]
        assert (str(here.PatientName), str(here.PatientID)) == (PATIENT["PatientName"], PATIENT["PatientID"])
        assert "PatientIdentityRemoved" not in here
        assert _errors(written(here), tmp_path) == set()
    (report,) = (each for each in filed.values() if each.Modality == "SR")
    read = read_report(written(report))
    assert [each.code.value for each in read.findings if each.score is not None] == [
        each.code.value for each in case.findings
    ]


def of_source(source: Source) -> Dataset:
    """A small image of the invented patient under a source's UIDs."""
    made = image(
        SOPInstanceUID=source.sop_instance_uid, SeriesInstanceUID=source.series_instance_uid,
        StudyInstanceUID=source.study_instance_uid, SOPClassUID=source.sop_class_uid, Modality=source.modality,
    )  # fmt: skip
    made.file_meta.MediaStorageSOPClassUID = source.sop_class_uid
    made.Rows = made.Columns = 8
    made.PixelData = bytes(128)
    return made
