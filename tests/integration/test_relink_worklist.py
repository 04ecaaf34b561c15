"""The ordered worklist from a real Orthanc: what the reports say, with their patients, urgent first. Invented names."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway import IMAGE, RELINK_TOML, image, put, report, running, send
from golden.sr_cases import finding, result
from support import REPOSITORY, Orthanc, run_edge

from edge.records import UID

HOSTILE = "INVENTED<script>alert(1)</script>"


def case(number: int, **changes: Any) -> Any:
    """A report of its own on an image of its own, in a study of its own."""
    uid = f"1.2.826.0.1.3680043.8.498.90.{number}"
    source = dataclasses.replace(
        IMAGE, sop_instance_uid=UID(f"{uid}.1.1"), series_instance_uid=UID(f"{uid}.1"), study_instance_uid=UID(uid)
    )
    return result(
        report_uid=UID(f"2.25.900{number}"), series_uid=UID(f"2.25.910{number}"), study_instance_uid=UID(uid),
        sources=(source,), **changes,
    )  # fmt: skip


def picture(made: Any, **changes: object) -> Any:
    (source,) = made.sources
    return image(
        SOPInstanceUID=source.sop_instance_uid, SeriesInstanceUID=source.series_instance_uid,
        StudyInstanceUID=source.study_instance_uid, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path_factory.mktemp("worklist"), DefaultEncoding="Utf8", DicomAlwaysAllowGet=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Path:
    """Four patients with reports, one urgent, one of a second revision; the gateway's edge.toml."""
    folder = tmp_path_factory.mktemp("relink")
    ordinary, urgent = case(1), case(2, findings=(finding(urgent=True),))
    first = case(3)
    second = dataclasses.replace(case(3, revision=2, predecessor=first.report_uid), report_uid=UID("2.25.9009"))
    quiet = case(4, findings=(finding(urgent=True, present=False, score=0.1),))
    put(pacs, picture(ordinary, PatientID="INVENTED-1", PatientName=HOSTILE),
        picture(urgent, PatientID="INVENTED-2", PatientName="INVENTED^Οδυσσέας", SpecificCharacterSet="ISO_IR 192"),
        picture(first, PatientID="INVENTED-3"), picture(quiet, PatientID="INVENTED-4"))  # fmt: skip
    with running(folder, pacs.port) as room:
        assert send(room.port, *(report(each) for each in (ordinary, urgent, first, second, quiet))) == [0] * 5
    return folder / "edge.toml"


def worklist(file: Path, days: int = 36500) -> Any:
    ended = run_edge("relink", "--worklist", "--days", str(days), "--config", file, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def left_out(found: Any) -> list[tuple[str, str]]:
    return [(each["study_instance_uid"], each["reason"]) for each in found["left_out"]]


def test_urgent_first_with_the_patient_and_without_what_was_replaced(filed: Path, pacs: Orthanc) -> None:
    found = worklist(filed)
    entries = found["entries"]
    assert [each["urgent"] for each in entries] == [True, False, False, False]
    assert entries[0]["patient"] == {
        "id": "INVENTED-2", "issuer": "INVENTED-HOSPITAL", "name": "Οδυσσέας INVENTED",
        "birth_date": "20210203", "sex": "F",
    }  # fmt: skip
    assert {each["report"] for each in entries} == {"2.25.9001", "2.25.9002", "2.25.9004", "2.25.9009"}
    assert entries[0]["findings"][0]["meaning"] == "Pneumonia"
    assert entries[0]["sentence"].startswith("AI - NOT FOR CLINICAL USE")
    assert found["left_out"] == []
    assert worklist(filed, days=1)["entries"] == []  # the studies are of 2024
    text = run_edge("relink", "--worklist", "--days", "36500", "--config", filed).stdout
    assert text.startswith("URGENT")


def test_a_study_of_two_patients_is_left_out_and_said(filed: Path, pacs: Orthanc) -> None:
    put(pacs, picture(case(4), PatientID="INVENTED-9"))
    found = worklist(filed)
    assert "2.25.9004" not in {each["report"] for each in found["entries"]}
    assert (case(4).study_instance_uid, "patients") in left_out(found)


def test_what_is_no_report_in_a_series_of_our_number_is_said(filed: Path, pacs: Orthanc) -> None:
    made = picture(case(1), PatientID="INVENTED-1", PatientName=HOSTILE)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    made.Modality, made.SeriesNumber, made.SeriesInstanceUID = "SR", 9001, "2.25.78"
    put(pacs, made)
    found = worklist(filed)
    assert "2.25.77" not in {each["report"] for each in found["entries"]}
    assert (made.StudyInstanceUID, "not-all-retrieved") in left_out(found)


def test_the_page_is_on_loopback_escapes_and_asks_anew(filed: Path, pacs: Orthanc) -> None:
    command = [
        sys.executable,
        "-m",
        "edge",
        "relink",
        "--worklist",
        "--days",
        "36500",
        "--page",
        "0",
        "--config",
        str(filed),
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        url = process.stderr.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=30) as answer:
            page = answer.read().decode()
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert page.index("INVENTED-2") < page.index("INVENTED-1")
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert refusal(f"{url}x") == 404
        assert refusal(urllib.request.Request(url, headers={"Host": "evil.example"})) == 421
        pacs.stop()
        assert refusal(url) == 502
        pacs.start()
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stderr.close()


def refusal(request: str | urllib.request.Request) -> int:
    """The status of an answer that is none of success."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    refused.value.close()
    return refused.value.code


def test_a_pacs_that_is_away_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(RELINK_TOML.format(port=1, relink="", box="", pacs=""))
    ended = run_edge("relink", "--worklist", "--config", tmp_path / "edge.toml")
    assert ended.returncode == 1
    assert ended.stderr.startswith("E-DELIVERY")
    assert "unreachable" in ended.stderr
    assert run_edge("relink", "--page", "0", "--config", tmp_path / "edge.toml").returncode == 2
