"""A report says what the result says, in the standard's words, and in the same bytes for ever."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from io import BytesIO

import pydicom
import pytest
from golden import sr_cases
from golden.sr_cases import BOX, EFFUSION, PACKAGE, finding, result

from edge.errors import ConfigError, PackageError, RuntimeFailure
from edge.records import UID, Code, Outcome, Scope
from edge.report.identity import BoxIdentity, report_uid, series_uid, tracking_uid
from edge.report.reader import read_report
from edge.report.sentence import sentence
from edge.report.skeleton import EMPTY
from edge.report.sr import build_sr
from edge.report.words import plain


def read(case):
    return pydicom.dcmread(BytesIO(build_sr(case, box=BOX)))


def items(dataset):
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items(item)


def meanings(case, concept):
    return [
        item.ConceptCodeSequence[0].CodeMeaning
        for item in items(read(case))
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeMeaning == concept
    ]


def groups(case):
    return [item for item in items(read(case)) if item.ConceptNameCodeSequence[0].CodeValue == "125007"]


@pytest.mark.parametrize("name", sr_cases.GOLDEN)
def test_bytes_are_golden(name):
    golden = (sr_cases.HERE / name).read_bytes()

    assert build_sr(sr_cases.GOLDEN[name], box=BOX) == golden


def test_bytes_do_not_depend_on_the_process():
    script = (
        "import hashlib; from golden.sr_cases import *;print(hashlib.sha256(build_sr(DETECTED, box=BOX)).hexdigest())"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)

    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert digests == {hashlib.sha256(build_sr(sr_cases.DETECTED, box=BOX)).hexdigest()}


@pytest.mark.parametrize("keyword", EMPTY)
def test_identifying_attributes_are_present_and_empty(keyword):
    dataset = read(result())

    assert keyword in dataset
    assert not dataset[keyword].value


def test_header_says_what_leaves_and_how_far_it_may_be_trusted():
    dataset = read(result())

    assert (dataset.ContentDate, dataset.ContentTime) == ("20000101", "000000")
    assert (dataset.PatientIdentityRemoved, dataset.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence] == [
        "113100",
        "113104",
        "113110",
        "113109",
    ]
    assert (dataset.VerificationFlag, dataset.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert (dataset.Modality, dataset.SeriesNumber) == ("SR", 9001)
    assert dataset.StudyInstanceUID == sr_cases.STUDY


def test_contributing_equipment_equals_the_algorithm_as_ihe_air_wants_it():
    dataset = read(result())
    (equipment,) = dataset.ContributingEquipmentSequence
    named = {
        item.ConceptNameCodeSequence[0].CodeValue: item.get("TextValue") or item.get("UID")
        for item in items(dataset)
        if item.ValueType in ("TEXT", "UIDREF")
    }

    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert equipment.DeviceUID == named["121012"]
    assert equipment.Manufacturer == named["121014"] == PACKAGE.vendor
    assert equipment.ManufacturerModelName == named["121015"] == named["111001"] == PACKAGE.name
    assert equipment.SoftwareVersions == named["111003"] == PACKAGE.version


def test_every_group_names_the_algorithm_and_what_decided():
    case = sr_cases.DETECTED
    found = groups(case)
    assert len(found) == 1 + len(case.findings)

    for number, group in enumerate(found):
        texts = [item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"]
        assert {PACKAGE.name, PACKAGE.version, f"sha256={PACKAGE.digest}"} <= set(texts)
        assert "provider=CPUExecutionProvider" in texts
        assert ("threshold=0.5" in texts) == (number > 0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"present": True}, "Present"),
        ({"present": False}, "Not detected"),
        ({"present": False, "rule_out": True}, "Absent"),
        ({"present": True, "rule_out": True}, "Present"),
    ],
)
def test_absent_only_where_the_manifest_rules_out(changes, expected):
    assert meanings(result(findings=(finding(**changes),)), "Pneumonia") == [expected]


def test_only_a_calibrated_score_is_a_certainty():
    def number(**changes):
        case = result(findings=(finding(**changes),))
        (item,) = (item for item in items(read(case)) if item.ValueType == "NUM")
        measured = item.MeasuredValueSequence[0]
        name = item.ConceptNameCodeSequence[0]
        return name.CodeMeaning, measured.NumericValue, measured.MeasurementUnitsCodeSequence[0].CodeValue

    assert number(calibrated=True) == ("Certainty of Finding", pytest.approx(93.12), "%")
    assert number(calibrated=False) == ("Model output, not a probability", pytest.approx(0.9312), "1")


def test_a_score_below_its_threshold_never_reads_as_if_it_reached_it():
    case = result(findings=(finding(present=False, score=0.4999999),))

    assert "score 0.4999, threshold 0.5" in sentence(case)


@pytest.mark.parametrize("score", [float("nan"), -0.01, 1.01, float("inf")])
def test_a_score_that_is_none_is_refused(score):
    with pytest.raises(RuntimeFailure, match="0 to 1"):
        build_sr(result(findings=(finding(score=score),)), box=BOX)


@pytest.mark.parametrize("name", sr_cases.CASES)
def test_the_first_thing_read_is_the_sentence(name):
    case = sr_cases.CASES[name]
    first = groups(case)[0].ContentSequence[0]

    assert first.ConceptNameCodeSequence[0].CodeValue == "121106"
    assert first.TextValue == sentence(case)
    assert first.TextValue.startswith("AI - NOT FOR CLINICAL USE.") == (case.package.status != "cleared")
    assert first.TextValue.endswith("Not verified by a physician.")
    assert ("NOT FOR CLINICAL USE" in read(case).SeriesDescription) == (case.package.status != "cleared")


def test_what_was_not_analysed_is_never_normal():
    case = result(outcome=Outcome.FAILED, reason="undecodable", findings=())

    assert sentence(case) == (
        "AI - NOT FOR CLINICAL USE. Not analysed: The pixel data cannot be decoded. "
        "No AI report means not analysed, never normal. "
        "Model cxr-pneumonia 1.0.0, status demonstration. Not verified by a physician."
    )


def test_detected_is_said_first():
    case = result(findings=(finding(code=EFFUSION, present=False, score=0.1), finding()))

    assert "Looked for Pneumonia: detected (score 0.9312" in sentence(case)
    assert "; Pleural effusion: not detected (score 0.1000" in sentence(case)
    assert "Not detected does not mean absent" in sentence(case)


@pytest.mark.parametrize(
    ("outcome", "reason", "code", "flag"),
    [
        (Outcome.SUCCEEDED, "", "111222", "COMPLETE"),
        (Outcome.PARTIAL, "time-limit", "111223", "PARTIAL"),
        (Outcome.FAILED, "undecodable", "111224", "PARTIAL"),
        (Outcome.NOT_ATTEMPTED, "not-applicable:PatientAge", "111225", "PARTIAL"),
    ],
)
def test_outcome_is_coded_with_its_reason(outcome, reason, code, flag):
    case = result(outcome=outcome, reason=reason, findings=())
    dataset = read(case)
    (summary,) = (
        item.ConceptCodeSequence[0].CodeValue
        for item in items(dataset)
        if item.ConceptNameCodeSequence[0].CodeValue == "111065"
    )

    assert (summary, dataset.CompletionFlag) == (code, flag)
    assert read_report(build_sr(case, box=BOX)).reason == reason


def test_every_source_is_evidence_and_named_once_when_there_are_many():
    sources = tuple(sr_cases.slices(60))
    dataset = read(result(sources=sources))
    series = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    expected = [source.sop_instance_uid for source in sources]

    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == expected
    assert sum(item.ValueType == "IMAGE" for item in items(dataset)) == len(sources)


def test_region_is_a_closed_polyline_of_its_image():
    (outline,) = (
        item
        for item in items(read(result(findings=(finding(regions=(sr_cases.REGION,)),))))
        if item.ValueType == "SCOORD"
    )

    assert list(outline.GraphicData) == [200, 300, 320, 300, 320, 380, 200, 380, 200, 300]
    reference = outline.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == sr_cases.IMAGE.sop_instance_uid


def test_attention_is_not_bounded_by():
    case = result(findings=(finding(regions=(sr_cases.ATTENTION, sr_cases.ELSEWHERE)),))

    assert meanings(case, "Geometric purpose of region") == []
    assert meanings(case, "Kind of region") == ["Outline of the model's attention, not to be measured"]
    outlines = [list(item.GraphicData)[:2] for item in items(read(case)) if item.ValueType == "SCOORD"]
    assert outlines == [[200, 300], [700, 300]]


def test_predecessor_is_named_in_the_same_series():
    dataset = read(result(predecessor=UID("2.25.77")))
    series = dataset.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]

    assert series.SeriesInstanceUID == dataset.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.77"


def test_a_manifest_in_any_language_is_written_in_ascii():
    package = dataclasses.replace(PACKAGE, vendor="Ärzte \\ Söhne", purpose="発見 of\nnodules é")
    blob = build_sr(result(package=package), box=BOX)

    assert read_report(blob).package.vendor == "Arzte / Sohne"
    assert read_report(blob).purpose == "?? of nodules e"
    assert "SpecificCharacterSet" not in pydicom.dcmread(BytesIO(blob))
    assert plain("a\x1b[31m\u202eb") == "a [31m b"


def test_long_code_values_are_long_code_values():
    code = Code("http://snomed.info/233604007", "SCT", "Pneumonia")

    assert read_report(build_sr(result(findings=(finding(code=code),)), box=BOX)).findings[0].code == code


def test_a_text_that_does_not_fit_is_refused_not_cut():
    code = Code("1", "A-SCHEME-OF-17-CH", "Pneumonia")

    with pytest.raises(PackageError, match="CodingSchemeDesignator"):
        build_sr(result(findings=(finding(code=code),)), box=BOX)


def test_box_identity_must_be_writable():
    with pytest.raises(ConfigError, match="device_serial_number"):
        BoxIdentity(UID("2.25.301"), "naïve", "0.1.0")


def test_uids_differ_by_each_of_what_they_are_about():
    unit, study = UID("1.2.3"), UID("1.2")
    reports = {
        report_uid(*arguments)
        for arguments in (
            (Scope.IMAGE, unit, 1, "aa", "chest"),
            (Scope.SERIES, unit, 1, "aa", "chest"),
            (Scope.IMAGE, UID("1.2.31"), 1, "aa", "chest"),
            (Scope.IMAGE, unit, 2, "aa", "chest"),
            (Scope.IMAGE, unit, 1, "bb", "chest"),
            (Scope.IMAGE, unit, 1, "aa", "other"),
        )
    }

    assert len(reports) == 6
    assert report_uid(Scope.IMAGE, unit, 1, "aa", "chest") in reports
    assert series_uid(study, "aa", "SR") != series_uid(study, "aa", "SEG")
    assert tracking_uid(study, "aa", EFFUSION, 0) != tracking_uid(study, "aa", EFFUSION, 1)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in reports)


def test_a_finding_keeps_its_tracking_uid_when_another_class_comes():
    def tracking(case):
        return {view.code.value: view.tracking_uid for view in read_report(build_sr(case, box=BOX)).findings}

    before = tracking(result())
    after = tracking(result(findings=(finding(code=EFFUSION), finding()), revision=2))

    assert before["233604007"] == after["233604007"]
