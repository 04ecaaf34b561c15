"""A rejection note of ours: what it says, that it is valid DICOM, and that the gate lets nothing else out as one."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from golden.sr_cases import BOX, STUDY
from pydicom.dataset import Dataset
from support import tool

from edge.errors import GateHit
from edge.infer.egress import release_note
from edge.records import UID
from edge.relink import result
from edge.relink.status import Refused
from edge.report.kinds import OLD_SR, PR, SEG, SR
from edge.report.rejection import TITLES, Note, build_note
from edge.report.skeleton import Referenced

KINDS = (SR, OLD_SR, SEG, PR)
REJECTED = tuple(
    Referenced(kind.sop_class_uid, UID(f"2.25.81{number}"), UID(f"2.25.82{number}"), STUDY)
    for number, kind in enumerate(KINDS)
)


def note(reason: str = "rejected-quality") -> Note:
    return Note(STUDY, TITLES[reason], REJECTED)


def changed(made: bytes, **values: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(made))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def through_the_door(made: bytes) -> result.Result:
    dataset = pydicom.dcmread(io.BytesIO(made))
    data = made[made.index(b"\x08\x00\x16\x00UI") :]
    return result.read(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), data)


@pytest.mark.parametrize("reason", TITLES)
def test_every_title_passes_gate_and_door_and_validators(reason: str, tmp_path: Path) -> None:
    made = build_note(note(reason), BOX)
    release_note(made, note=note(reason), box=BOX)
    assert sorted(through_the_door(made).evidence) == sorted(each.series_instance_uid for each in REJECTED)
    path = tmp_path / "note.dcm"
    path.write_bytes(made)
    said = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    read = hd.ko.KeyObjectSelectionDocument.from_dataset(pydicom.dcmread(path))
    assert [uid for *_, uid in (read.resolve_reference(each.sop_instance_uid) for each in REJECTED)] == [
        each.sop_instance_uid for each in REJECTED
    ]
    assert read.content[0].name.value == TITLES[reason].value


def test_the_same_rejection_is_the_same_object() -> None:
    assert build_note(note(), BOX) == build_note(note(), BOX)
    fewer = Note(STUDY, TITLES["rejected-quality"], REJECTED[:1])
    assert len({note().sop_instance_uid, note("rejected-safety").sop_instance_uid, fewer.sop_instance_uid}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"PatientName": "INVENTED^Leak"},
        {"PatientID": "INVENTED-1"},
        {"SeriesDescription": "INVENTED"},
        {"InstitutionName": "INVENTED"},
        {"StudyInstanceUID": "1.2.3"},
        {"ContentDate": "20260101"},
        {"SeriesNumber": "77"},
    ],
)
def test_nothing_else_leaves_as_a_note(change: dict[str, str]) -> None:
    with pytest.raises(GateHit) as hit:
        release_note(changed(build_note(note(), BOX), **change), note=note(), box=BOX)
    assert "INVENTED" not in str(hit.value)


def test_a_note_for_other_results_is_not_this_one() -> None:
    other = Note(STUDY, TITLES["rejected-quality"], REJECTED[:2])
    with pytest.raises(GateHit):
        release_note(build_note(other, BOX), note=note(), box=BOX)


def test_the_gateway_lets_no_box_hide_images() -> None:
    image = Referenced(UID("1.2.840.10008.5.1.4.1.1.1.1"), UID("2.25.91"), UID("2.25.92"), STUDY)
    hiding = Note(STUDY, TITLES["rejected-quality"], (*REJECTED, image))
    with pytest.raises(Refused, match="rejects-no-results"):
        through_the_door(build_note(hiding, BOX))
    of_interest = Dataset()
    of_interest.CodeValue, of_interest.CodingSchemeDesignator = "113000", "DCM"
    of_interest.CodeMeaning = "Of Interest"
    marking = changed(build_note(note(), BOX), ConceptNameCodeSequence=[of_interest])
    with pytest.raises(Refused, match="rejects-no-results"):
        through_the_door(marking)
