"""Whose study it is, from what a PACS answers; and the result as that patient's."""

from __future__ import annotations

import io
from datetime import datetime

import pydicom
import pytest
from gateway import PATIENT, STUDY, report
from pydicom.charset import encode_string
from pydicom.datadict import dictionary_VR, tag_for_keyword

from edge.part10 import split
from edge.relink import elements, subject
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, DataSet, element
from edge.relink.merge import merge
from edge.relink.status import Refused, Status
from edge.relink.subject import Subject, the_one

NOW = datetime(2026, 3, 4, 5, 6, 7)
TREE = elements.read(split(report()).data_set, EXPLICIT_VR_LITTLE_ENDIAN)


def answer(**changes: bytes) -> DataSet:
    """A PACS's answer at STUDY level about the invented patient."""
    values = {keyword: value.encode() for keyword, value in PATIENT.items()}
    values |= {"StudyInstanceUID": STUDY.encode(), "PatientComments": b"not asked for", **changes}
    tags = {int(tag_for_keyword(keyword) or 0): (keyword, value) for keyword, value in values.items()}
    return {tag: element(tag, dictionary_VR(keyword), value) for tag, (keyword, value) in tags.items()}


def merged(found: Subject) -> pydicom.Dataset:
    data = elements.write(merge(TREE, found, NOW), EXPLICIT_VR_LITTLE_ENDIAN)
    return pydicom.dcmread(io.BytesIO(data), force=True)


def refusal(*answers: DataSet) -> tuple[Status, str]:
    with pytest.raises(Refused) as refused:
        the_one(answers, STUDY)
    return refused.value.status, refused.value.reason


def test_patient_and_study_are_merged_and_nothing_else() -> None:
    filed = merged(the_one([answer()], STUDY))
    assert {keyword: str(filed[keyword].value) for keyword in PATIENT} == dict(PATIENT)
    assert "PatientComments" not in filed
    assert (filed.ContentDate, filed.ContentTime) == ("20260304", "050607")
    for keyword in ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
                    "LongitudinalTemporalInformationModified"):  # fmt: skip
        assert keyword not in filed
    before = pydicom.dcmread(io.BytesIO(split(report()).data_set), force=True)
    assert filed.ContentSequence == before.ContentSequence
    assert filed.SOPInstanceUID == before.SOPInstanceUID


def test_no_study_yet() -> None:
    assert refusal() == (Status.NOT_THERE_YET, "no-study")
    assert refusal(answer(StudyInstanceUID=b"1.2.3")) == (Status.NOT_THERE_YET, "no-study")


def test_no_patient_id_yet() -> None:
    assert refusal(answer(PatientID=b" ")) == (Status.NOT_THERE_YET, "no-patient-id")


@pytest.mark.parametrize(
    "other", [{"PatientID": b"INVENTED-78"}, {"IssuerOfPatientID": b"ELSEWHERE"}, {"PatientID": b""}]
)
def test_more_than_one_patient_is_refused(other: dict[str, bytes]) -> None:
    assert refusal(answer(), answer(**other)) == (Status.MORE_THAN_ONE_PATIENT, "patients")


def test_two_answers_about_one_patient_are_one() -> None:
    assert the_one([answer(), answer(PatientID=b"INVENTED-77 ")], STUDY).patient[0] == b"INVENTED-77"


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("Müller^Jörg", ["ISO_IR 100"]),
        ("Люкceмбypг", ["ISO_IR 144"]),
        ("Διονυσιος", ["ISO_IR 126"]),
        ("Wang^XiaoDong=王^小东", ["GB18030"]),
        ("Wang^XiaoDong=王^小東", ["ISO_IR 192"]),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
        ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"]),
    ],
)
def test_a_name_comes_through_in_the_character_set_of_the_answer(name: str, terms: list[str]) -> None:
    encodings = pydicom.charset.convert_encodings(terms)
    raw = b"=".join(b"^".join(encode_string(part, encodings) for part in group.split("^")) for group in name.split("="))
    filed = merged(the_one([answer(PatientName=raw, SpecificCharacterSet="\\".join(terms).encode())], STUDY))
    assert str(filed.PatientName) == name
    assert list(filed["SpecificCharacterSet"].value if len(terms) > 1 else [filed.SpecificCharacterSet]) == terms


def test_a_character_set_that_is_not_needed_is_left_out() -> None:
    assert "SpecificCharacterSet" not in merged(the_one([answer(SpecificCharacterSet=b"ISO_IR 192")], STUDY))


@pytest.mark.parametrize(
    "hostile",
    [
        {"PatientName": b"A" * 5000},
        {"PatientID": b"X\x00Y"},
        {"PatientID": b"X\nY"},
        {"PatientName": b"M\xfcller"},
        {"PatientName": b"M\xfcller", "SpecificCharacterSet": b"ISO_IR 192"},
        {"PatientName": b"M\xfcller", "SpecificCharacterSet": b"KLINGON"},
        {"PatientName": b"\x1b$B;3ED", "SpecificCharacterSet": b"ISO_IR 192"},
    ],
)
def test_identity_that_cannot_be_read_is_not_merged(hostile: dict[str, bytes]) -> None:
    status, reason = refusal(answer(**hostile))
    assert status is Status.PACS_AWAY
    assert reason.startswith("answer-unusable-0010-")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", b"1970.01.01"),
        ("StudyTime", b"noon"),
        ("PatientSex", b"f<>"),
        ("AccessionNumber", b"A" * 999),
    ],
)
def test_other_values_that_do_not_fit_stay_empty(keyword: str, value: bytes) -> None:
    assert merged(the_one([answer(**{keyword: value})], STUDY))[keyword].value in ("", None)


@pytest.mark.parametrize(
    ("name", "character_set", "lost"),
    [
        (b"Wang^Li=^=^", b"ISO_IR 100", True),
        (b"Wang^Li=^=^", b"", True),
        (b"Wang^Li=^=^", b"ISO_IR 192", False),
        (b"^^^^", b"", False),
        (b"Wang^Li==", b"", False),
    ],
)
def test_a_name_whose_ideographs_were_dropped_is_not_merged(name: bytes, character_set: bytes, lost: bool) -> None:
    given = answer(PatientName=name, SpecificCharacterSet=character_set)
    if lost:
        assert refusal(given) == (Status.PACS_AWAY, "answer-lost-characters")
    else:
        assert the_one([given], STUDY).data_set[0x00100010].text() == name


def test_absent_type_3_attributes_stay_absent() -> None:
    filed = merged(the_one([answer(IssuerOfPatientID=b"", StudyDescription=b"")], STUDY))
    assert "IssuerOfPatientID" not in filed
    assert "StudyDescription" not in filed


def test_a_subject_shows_nothing() -> None:
    assert "INVENTED" not in repr(the_one([answer()], STUDY))
    assert subject.ATTRIBUTES[0x00100010] == "PN"
