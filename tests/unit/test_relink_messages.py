"""A filed report as FHIR R5 and HL7 v2, read back by libraries of others. All identities are invented."""

from __future__ import annotations

import datetime
import json

import pytest
from fhir.resources.bundle import Bundle
from golden.sr_cases import BOX, DETECTED, finding, result
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message

from edge.records import Outcome
from edge.relink import fhir, hl7
from edge.relink.elements import element
from edge.relink.person import Person, person_of
from edge.relink.subject import ATTRIBUTES, CHARACTER_SET, Subject
from edge.report.reader import ReportView, read_report
from edge.report.sr import build_sr

NOW = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
HOSTILE = r"INVENTED|^~\&\E\x"
VALUES = {
    "PatientName": "INVENTED^Mary^Q^Dr^Jr", "PatientID": "INVENTED-77", "IssuerOfPatientID": "INVENTED-HOSPITAL",
    "PatientBirthDate": "20210203", "PatientSex": "F", "StudyDate": "20240506", "StudyTime": "070809.123",
    "AccessionNumber": "INVENTED-ACC",
}  # fmt: skip
TAGS = {
    "PatientName": 0x00100010, "PatientID": 0x00100020, "IssuerOfPatientID": 0x00100021,
    "PatientBirthDate": 0x00100030, "PatientSex": 0x00100040, "StudyDate": 0x00080020, "StudyTime": 0x00080030,
    "AccessionNumber": 0x00080050,
}  # fmt: skip


def person(character_set: str = "", encoding: str = "ascii", **changes: str) -> Person:
    found = {
        TAGS[keyword]: element(TAGS[keyword], ATTRIBUTES[TAGS[keyword]], value.encode(encoding))
        for keyword, value in {**VALUES, **changes}.items()
    }
    if character_set:
        found[CHARACTER_SET] = element(CHARACTER_SET, "CS", character_set.encode())
    return person_of(Subject(found))


def view(case: object = DETECTED) -> ReportView:
    return read_report(build_sr(case, box=BOX))  # type: ignore[arg-type]


def told(who: Person, of: ReportView | None = None) -> Message:
    """The message as hl7apy reads and validates it."""
    text = hl7.message(of or view(), who, NOW).decode()
    assert parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT).validate()
    return parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)


# --- the subject


@pytest.mark.parametrize(
    ("character_set", "encoding", "name", "family", "given"),
    [
        ("", "ascii", "INVENTED^Mary", "INVENTED", "Mary"),
        ("ISO_IR 100", "latin_1", "INVENTED^Åsa", "INVENTED", "Åsa"),
        ("ISO_IR 192", "utf_8", "INVENTED^Οδυσσέας", "INVENTED", "Οδυσσέας"),
        ("ISO_IR 192", "utf_8", "=山田^太郎=やまだ^たろう", "山田", "太郎"),
        ("GB18030", "gb18030", "王^小东", "王", "小东"),
    ],
)
def test_a_name_is_read_by_its_character_set(
    character_set: str, encoding: str, name: str, family: str, given: str
) -> None:
    assert person(character_set, encoding, PatientName=name).name[:2] == (family, given)


def test_a_person_has_no_representation() -> None:
    assert "INVENTED" not in repr(person())


# --- FHIR


def test_the_bundle_is_fhir_r5_and_says_what_the_report_says() -> None:
    told = fhir.bundle(view(), person(), NOW)
    Bundle.model_validate_json(json.dumps(told))
    by_kind: dict[str, list[dict[str, object]]] = {}
    for entry in told["entry"]:
        by_kind.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    (report,) = by_kind["DiagnosticReport"]
    assert report["subject"] == {
        "type": "Patient", "identifier": {"value": "INVENTED-77", "assigner": {"display": "INVENTED-HOSPITAL"}},
        "display": "Dr Mary Q INVENTED Jr",
    }  # fmt: skip
    assert report["status"] == "preliminary"
    assert report["conclusion"] == view().sentence
    assert report["identifier"] == [{"system": "urn:dicom:uid", "value": f"urn:oid:{DETECTED.report_uid}"}]
    findings = by_kind["Observation"]
    assert [each["reference"] for each in report["result"]] == [f"Observation/{each['id']}" for each in findings]  # type: ignore[index,attr-defined]
    said = [
        (each["code"]["coding"][0]["code"], each["valueCodeableConcept"]["coding"][0]["display"]) for each in findings
    ]  # type: ignore[index]
    assert said == [(each.code.value, each.presence.meaning) for each in view().findings]
    assert "Patient" not in by_kind


def test_the_same_report_twice_is_the_same_resources() -> None:
    first, second = (fhir.bundle(view(), person(), NOW + datetime.timedelta(days=day)) for day in (0, 1))
    assert [each["request"] for each in first["entry"]] == [each["request"] for each in second["entry"]]
    other = fhir.bundle(view(result(revision=2, report_uid="2.25.5")), person(), NOW)
    assert other["entry"][-1]["request"] != first["entry"][-1]["request"]


def test_a_report_without_findings_or_name_is_fhir_too() -> None:
    failed = view(result(outcome=Outcome.FAILED, reason="undecodable", findings=()))
    told = fhir.bundle(failed, person(PatientName="", AccessionNumber="", IssuerOfPatientID=""), NOW)
    Bundle.model_validate_json(json.dumps(told))
    assert told["entry"][-1]["resource"]["subject"] == {"type": "Patient", "identifier": {"value": "INVENTED-77"}}


# --- HL7


def test_the_message_is_an_oru_and_says_what_the_report_says() -> None:
    read = told(person())
    assert read.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert read.pid.pid_3.to_er7() == "INVENTED-77^^^INVENTED-HOSPITAL"
    assert read.pid.pid_5.to_er7() == "INVENTED^Mary^Q^Jr^Dr"
    assert (read.pid.pid_7.to_er7(), read.pid.pid_8.to_er7()) == ("20210203", "F")
    assert (read.obr.obr_18.to_er7(), read.obr.obr_25.to_er7()) == ("INVENTED-ACC", "P")
    assert read.obr.obr_7.to_er7() == "20240506070809"
    values = [(each.obx_2.to_er7(), each.obx_3.to_er7(), each.obx_5.to_er7()) for each in read.obx]
    assert values[0] == ("ST", "113014^Study^DCM", DETECTED.study_instance_uid)
    coded = [each for each in values if each[0] == "CWE"]
    assert [each[1].split("^")[0] for each in coded] == [each.code.value for each in view().findings]
    assert len({each.obx_1.to_er7() for each in read.obx}) == len(read.obx)


@pytest.mark.parametrize(("urgent", "present", "flag"), [(True, True, "AA"), (False, True, "A"), (True, False, "")])
def test_what_is_urgent_is_flagged(urgent: bool, present: bool, flag: str) -> None:
    case = view(result(findings=(finding(urgent=urgent, present=present, score=0.9 if present else 0.1),)))
    (coded,) = (each for each in told(person(), case).obx if each.obx_2.to_er7() == "CWE")
    assert coded.obx_8.to_er7() == flag
    bundle = fhir.bundle(case, person(), NOW)
    Bundle.model_validate_json(json.dumps(bundle))
    (seen,) = (each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Observation")
    codes = [each["coding"][0]["code"] for each in seen.get("interpretation", [])]
    assert codes == [flag] * bool(flag)


def test_no_value_can_break_out_of_its_field() -> None:
    read = told(person(PatientID=HOSTILE, AccessionNumber=HOSTILE[:16], PatientName=f"{HOSTILE.replace('^', '')}^A"))
    raw = hl7.message(view(), person(PatientID=HOSTILE), NOW).decode()
    assert raw.count("\r") == len(raw.split("\r")) - 1 == 3 + len(read.obx)
    assert all(segment[:4] in ("MSH|", "PID|", "OBR|", "OBX|") for segment in raw.split("\r")[:-1])
    assert r"INVENTED\F\\S\\R\\E\\T\\E\E\E\x" in raw
    assert read.obr.obr_25.to_er7() == "P"


def test_a_repeated_message_has_the_same_control_id() -> None:
    ids = {told(person()).msh.msh_10.to_er7() for _ in range(2)}
    assert len(ids) == 1
    assert told(person(), view(result(report_uid="2.25.5"))).msh.msh_10.to_er7() not in ids


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"MSH|^~\\&|X\rMSA|AA|1\r", "AA"),
        (b"MSH|^~\\&|X\nMSA|AE|1|what\n", "AE"),
        (b"MSA", ""),
        (b"\xff\xff", ""),
        (b"MSA|XX|1", ""),
    ],
)
def test_an_acknowledgement_is_read(answer: bytes, code: str) -> None:
    assert hl7.accepts(answer) == code
