"""Any structured report as text: ours exactly, others as far as they go, nothing that drives the terminal."""

from __future__ import annotations

import json
from io import BytesIO

import pydicom
import pytest
from golden import sr_cases
from golden.sr_cases import BOX, finding, result

from edge.cli import main
from edge.errors import BadObject
from edge.records import Outcome
from edge.report.reader import read_report
from edge.report.show import as_json, as_text
from edge.report.sr import build_sr


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "report.dcm"
    path.write_bytes(build_sr(sr_cases.DETECTED, box=BOX))
    return path


def test_ours_reads_back_to_the_same_findings():
    case = sr_cases.DETECTED
    view = read_report(build_sr(case, box=BOX))

    assert [(item.code, item.present) for item in view.findings] == [
        (item.code, item.present) for item in case.findings
    ]
    assert [item.score for item in view.findings] == [0.9312, 0.4999, 0.9312]
    assert [item.threshold for item in view.findings] == [0.5] * 3
    assert view.findings[2].regions[0].points[:4] == sr_cases.REGION.points
    assert (view.sop_instance_uid, view.outcome) == (case.report_uid, Outcome.SUCCEEDED)
    assert view.package.digest == case.package.digest


@pytest.mark.parametrize("name", sr_cases.CASES)
def test_every_case_is_shown_with_its_sentence_first(name):
    case = sr_cases.CASES[name]
    view = read_report(build_sr(case, box=BOX))
    text = as_text(view)

    assert " ".join(text.split()).startswith(view.sentence)
    assert max(map(len, text.splitlines())) <= 100
    assert json.loads(json.dumps(as_json(view)))["outcome"] == case.outcome


def test_show_prints_text(saved, capsys):
    assert main(["report", "show", str(saved)]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith("AI - NOT FOR CLINICAL USE. Looked for Pneumonia: detected")
    assert "  Pleural effusion  Absent        certainty 49.99 % (threshold 50 %)" in shown


def test_show_json_has_the_keys_of_the_contract(saved, capsys):
    assert main(["report", "show", str(saved), "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["sop_instance_uid"] == sr_cases.DETECTED.report_uid
    assert shown["outcome"] == "succeeded"
    assert shown["package"]["name"] == "cxr-pneumonia"
    first = shown["findings"][0]
    assert first["code"] == {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"}
    assert (first["present"], first["score"], first["region"]) == (True, 0.9312, None)
    last = shown["findings"][2]
    assert last["regions"] == [last["region"]]
    assert last["region"]["source"] == sr_cases.IMAGE.sop_instance_uid


@pytest.mark.parametrize("content", [b"", b"not DICOM", bytes(128) + b"DICM" + b"\xff" * 40])
def test_what_is_no_dicom_is_refused_in_one_line(tmp_path, capsys, content):
    path = tmp_path / "file"
    path.write_bytes(content)

    assert main(["report", "show", str(path)]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "try:" in message


def test_an_absent_file_is_refused(tmp_path, capsys):
    assert main(["report", "show", str(tmp_path / "none")]) == 1
    assert "cannot be opened" in capsys.readouterr().err


def test_control_characters_of_a_foreign_report_do_not_reach_the_terminal():
    dataset = pydicom.dcmread(BytesIO(build_sr(result(findings=(finding(),)), box=BOX)))
    dataset.SeriesDescription = "red \x1b[31m now"
    stream = BytesIO()
    dataset.save_as(stream)

    text = as_text(read_report(stream.getvalue()))
    assert "\x1b" not in text
    assert "red [31m now" in text


def test_every_sample_is_shown_or_refused_by_kind(data):
    refused = []
    for path in sorted((data / "dicom" / "sr_samples").iterdir()):
        try:
            text = as_text(read_report(path.read_bytes()))
        except BadObject as error:
            refused.append(error.what)
            continue
        assert "Study UID" in text
        assert all(line.isprintable() for line in text.splitlines())

    assert len(refused) == 5
    assert all("not a Structured Report" in what for what in refused)


def test_a_foreign_tid_1500_report_shows_its_measurements(data):
    path = data / "dicom" / "sr_samples" / "highdicom__test_files_sr_document_with_multiple_groups.dcm"
    view = read_report(path.read_bytes())

    assert [finding.code.meaning for finding in view.findings] == ["Image0001", "Nodule", "Aorta", "Vertebra"]
    assert view.findings[1].measurements[0].name == "Diameter"
    assert view.findings[1].present is None
