"""What others make of our reports: dciodvfy, dsrdump and highdicom, the real tools."""

from __future__ import annotations

import subprocess
from io import BytesIO

import highdicom
import pydicom
import pytest
import support
from golden import sr_cases
from golden.sr_cases import BOX, DETECTED, result
from pydicom.sr.coding import Code as DicomCode

from edge.records import Outcome
from edge.report.sentence import sentence
from edge.report.sr import build_sr

EXPECTED_WARNINGS = (
    "needed to build DICOMDIR",  # Patient ID, Study Date, Time and ID are empty: that is the promise
    "Unrecognized defined term <99EDGE>",
    "UI Device UID",  # newer than the tool, wanted by IHE AIR
    "Standard Extended SOP Class",
)


def tool(name, *arguments):
    command = [support.tool(name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.fixture
def saved(tmp_path):
    def save(case):
        path = tmp_path / f"{case.report_uid}.dcm"
        path.write_bytes(build_sr(case, box=BOX))
        return str(path)

    return save


@pytest.mark.parametrize("name", sr_cases.CASES)
def test_dciodvfy_finds_no_error(name, saved):
    said = tool("dciodvfy", saved(sr_cases.CASES[name]))

    assert "Comprehensive3DSR" in said
    unexpected = [
        line
        for line in said.splitlines()
        if line.startswith(("Error", "Warning")) and not any(known in line for known in EXPECTED_WARNINGS)
    ]
    assert unexpected == []


def test_dciodvfy_would_find_an_error(tmp_path):
    dataset = pydicom.dcmread(BytesIO(build_sr(result(), box=BOX)))
    del dataset.ContentDate
    path = tmp_path / "broken.dcm"
    dataset.save_as(path)

    assert "Error" in tool("dciodvfy", str(path))


def test_dsrdump_shows_the_finding(saved):
    said = tool("dsrdump", "+Pl", "+Pc", saved(DETECTED))

    assert '(233604007,SCT,"Pneumonia")=(52101004,SCT,"Present")' in said
    assert '(60046008,SCT,"Pleural effusion")=(272519000,SCT,"Absent")' in said
    assert '(EDGE-OUTPUT,99EDGE,"Model output, not a probability")="0.9312" (1,UCUM,"no units")' in said
    assert "(POLYLINE,200/300,320/300,320/380,200/380,200/300)" in said
    assert "AI - NOT FOR CLINICAL USE. Looked for Pneumonia: detected" in said


def test_dsrdump_shows_why_nothing_was_analysed(saved):
    said = tool("dsrdump", "+Pl", saved(sr_cases.FAILED))

    assert '(111224,DCM,"Failed")' in said
    assert '(110521,DCM,"Objects incorrectly formatted")' in said
    assert "never normal" in said


def read_by_highdicom(case):
    return highdicom.sr.srread(BytesIO(build_sr(case, box=BOX))).content


def test_highdicom_reads_the_same_findings():
    content = read_by_highdicom(DETECTED)
    images = [group for group in content.get_image_measurement_groups() if group.finding_type is not None]
    regions = content.get_planar_roi_measurement_groups()

    assert [group.finding_type.meaning for group in images] == ["Pneumonia", "Pleural effusion"]
    presences = [group.get_qualitative_evaluations(name=group.finding_type)[0] for group in images]
    assert [presence.value.meaning for presence in presences] == ["Present", "Absent"]
    assert [group.get_measurements()[0].value for group in images] == [0.9312, 49.99]
    assert [group.finding_type.meaning for group in regions] == ["Pneumonia"]
    assert regions[0].roi.value.tolist() == [[200, 300], [320, 300], [320, 380], [200, 380], [200, 300]]
    uids = {group.source_images[0].referenced_sop_instance_uid for group in images}
    assert uids == {sr_cases.IMAGE.sop_instance_uid}


def test_highdicom_reads_the_algorithm_the_outcome_and_the_sentence():
    case = result(outcome=Outcome.PARTIAL, reason="time-limit")
    content = read_by_highdicom(case)
    first = content.get_image_measurement_groups()[0]
    evaluations = {item.name.meaning: item.value.meaning for item in first.get_qualitative_evaluations()}
    observer = content.get_observer_contexts(observer_type=DicomCode("121007", "DCM", "Device"))[0]

    assert evaluations["Summary of Analyses"] == "Partially Succeeded"
    assert evaluations["Reason for the outcome"] == "Resource limit of the model package reached"
    assert first[0].ContentSequence[0].TextValue == sentence(case)
    assert observer.observer_identifying_attributes.model_name == "cxr-pneumonia"
    assert observer.observer_identifying_attributes.uid == BOX.device_uid
