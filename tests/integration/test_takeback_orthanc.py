"""Results that were sent are taken back in a real Orthanc, under the right patient, when their images are rejected."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from acceptance.objects import chest_dx
from gateway import PATIENT, put, running, send, written
from golden.sr_cases import BOX, STUDY
from pydicom.dataset import Dataset
from rejection_notes import note
from support import EDGE_TOML, Box, Orthanc, wait_until

from edge.records import UID
from edge.report.kinds import SR
from edge.report.rejection import TITLES, Note, build_note
from edge.report.skeleton import Referenced

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def xray() -> Dataset:
    pixels = np.random.default_rng(5).integers(0, 4096, (640, 600)).astype(np.uint16)
    return chest_dx(pixels, **PATIENT, StudyInstanceUID="1.2.826.0.1.3680043.8.498.95")


def toml(port: int) -> str:
    text = EDGE_TOML.format(port=port).replace('kind = "deidentified"', 'kind = "relink"\niocm = true')
    text = text.replace('deliver = ["archive"]', 'deliver = ["archive"]\nallow_demonstration = true')
    return text.replace('"ARCHIVE"', '"RELINK"')


def push(box: Box, folder: Path, dataset: Dataset) -> None:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(written(dataset))
    assert box.push(path).returncode == 0


def deliveries(box: Box) -> list[tuple[str, str]]:
    return [(each["state"], each["reason"]) for each in box.json("deliveries", "list")]


def test_a_sent_result_is_taken_back_where_both_sides_say_so(
    tmp_path: Path, box: Callable[..., Box], orthanc: Orthanc
) -> None:
    image = xray()
    put(orthanc, image)
    with running(tmp_path / "relink", orthanc.port, relink="iocm = true") as room:
        started = box(text=toml(room.port)).start()
        push(started, tmp_path, image)
        wait_until(lambda: deliveries(started) == [("SENT", "")], 60, "the report in the PACS")
        push(started, tmp_path, note([image], "113037"))
        wait_until(lambda: deliveries(started) == [("SENT", "")] * 2, 60, "the note in the PACS")
    files = [orthanc.read(f"/instances/{each}/file") for each in orthanc.get("/instances")]
    held = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    assert len(held) == 3
    assert len(orthanc.get("/studies")) == 1
    (taken_back,) = (each for each in held if each.Modality == "KO")
    (report,) = (each for each in held if each.Modality == "SR")
    assert {keyword: str(taken_back[keyword].value) for keyword in PATIENT} == dict(PATIENT)
    assert taken_back.ConceptNameCodeSequence[0].CodeValue == "113037"
    series = taken_back.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == report.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID
    assert "PatientIdentityRemoved" not in taken_back


def test_a_gateway_that_does_not_say_so_takes_nothing_back(tmp_path: Path, orthanc: Orthanc) -> None:
    sent = Referenced(SR.sop_class_uid, UID("2.25.1"), UID("2.25.2"), STUDY)
    with running(tmp_path / "relink", orthanc.port) as room:
        assert send(room.port, build_note(Note(STUDY, TITLES["rejected-safety"], (sent,)), BOX)) == [0x0122]
    assert orthanc.get("/instances") == []
