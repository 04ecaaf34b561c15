"""What a box may bring: PHI-free results of known classes, with evidence of their own study."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from gateway import DETECTED, IMAGE, REPORT, STUDY, report
from golden.sr_cases import CASES
from pydicom.datadict import tag_for_keyword

from edge.part10 import split
from edge.relink import elements, result
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, DataSet, Element, element
from edge.relink.status import Refused, Status

SR = "1.2.840.10008.5.1.4.1.1.88.34"
PARTS = split(report())
TREE = elements.read(PARTS.data_set, EXPLICIT_VR_LITTLE_ENDIAN)


def tag(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


def read(data_set: DataSet, *, sop_class: str = SR, instance: str = PARTS.sop_instance_uid) -> result.Result:
    return result.read(sop_class, instance, elements.write(data_set, EXPLICIT_VR_LITTLE_ENDIAN))


def refusal(data_set: DataSet, **announced: str) -> tuple[Status, str]:
    with pytest.raises(Refused) as refused:
        read(data_set, **announced)
    return refused.value.status, refused.value.reason


def with_(vr: str, value: bytes, keyword: str) -> Mapping[int, Element]:
    return {**TREE, tag(keyword): element(tag(keyword), vr, value)}


@pytest.mark.parametrize("name", CASES)
def test_every_report_that_a_box_writes_is_taken(name: str) -> None:
    parts = split(report(CASES[name]))
    taken = result.read(parts.sop_class_uid, parts.sop_instance_uid, parts.data_set)
    wanted = {source.sop_instance_uid for source in CASES[name].sources}
    assert {uid for instances in taken.evidence.values() for uid in instances} == wanted
    assert taken.study_instance_uid == STUDY


def test_a_predecessor_is_not_evidence() -> None:
    parts = split(report(DETECTED))
    taken = result.read(parts.sop_class_uid, parts.sop_instance_uid, parts.data_set)
    assert dict(taken.evidence) == {IMAGE.series_instance_uid: {IMAGE.sop_instance_uid: IMAGE.sop_class_uid}}


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "reason"),
    [
        ("PatientName", "PN", b"INVENTED^Name", "identity-0010-0010"),
        ("PatientID", "LO", b"INVENTED-1", "identity-0010-0020"),
        ("PatientComments", "LT", b"INVENTED", "identity-0010-4000"),
        ("AccessionNumber", "SH", b"INVENTED", "identity-0008-0050"),
        ("StudyDescription", "LO", b"INVENTED", "identity-0008-1030"),
        ("InstitutionName", "LO", b"INVENTED", "identity-0008-0080"),
        ("ReferringPhysicianName", "PN", b"INVENTED^Doctor", "identity-0008-0090"),
        ("StudyDate", "DA", b"20240101", "date-0008-0020"),
        ("ContentTime", "TM", b"101112", "date-0008-0033"),
        ("AcquisitionDateTime", "DT", b"20240101101112", "date-0008-002A"),
        ("SeriesDescription", "LO", "INVENTÉ".encode(), "not-ascii-0008-103E"),
        ("SeriesDescription", "LO", b"\x1b$B;3ED", "not-ascii-0008-103E"),
        ("PatientIdentityRemoved", "CS", b"NO", "identity-not-removed"),
    ],
)
def test_an_object_that_names_somebody_is_not_ours(keyword: str, vr: str, value: bytes, reason: str) -> None:
    assert refusal(with_(vr, value, keyword)) == (Status.NOT_OURS, reason)


def test_a_private_element_is_not_ours() -> None:
    private = {0x00110010: element(0x00110010, "LO", b"INVENTED"), 0x00111001: element(0x00111001, "LO", b"INVENTED")}
    assert refusal({**TREE, **private}) == (Status.NOT_OURS, "private-0011-0010")


def test_a_name_deep_in_the_content_is_found() -> None:
    deep = Element(tag("ContentSequence"), "SQ", items=({tag("PersonName"): element(tag("PersonName"), "PN", b"A^B")},))
    content = TREE[tag("ContentSequence")]
    root = {**TREE, tag("ContentSequence"): Element(content.tag, "SQ", items=(*content.items, {deep.tag: deep}))}
    assert refusal(root) == (Status.NOT_OURS, "identity-0040-A123")


def test_another_object_than_announced_is_not_ours() -> None:
    assert refusal(TREE, instance="1.2.3") == (Status.NOT_OURS, "other-uid-than-announced")
    assert refusal(with_("CS", b"CT", "Modality")) == (Status.NOT_OURS, "modality")


def test_another_class_is_not_supported() -> None:
    assert refusal(TREE, sop_class="1.2.840.10008.5.1.4.1.1.7") == (Status.SOP_CLASS_NOT_SUPPORTED, "sop-class")


def test_what_cannot_be_parsed_is_not_understood() -> None:
    with pytest.raises(Refused) as refused:
        result.read(SR, PARTS.sop_instance_uid, PARTS.data_set[:-7])
    assert refused.value.status is Status.CANNOT_UNDERSTAND


def test_evidence_of_another_study_contradicts() -> None:
    key = tag("CurrentRequestedProcedureEvidenceSequence")
    item = {**TREE[key].items[0], tag("StudyInstanceUID"): element(tag("StudyInstanceUID"), "UI", b"1.2.3")}
    changed = {**TREE, key: Element(key, "SQ", items=(item,))}
    assert refusal(changed) == (Status.EVIDENCE, "evidence-of-another-study")


def test_a_reference_that_is_no_evidence_contradicts() -> None:
    key = tag("CurrentRequestedProcedureEvidenceSequence")
    assert REPORT.sources
    assert refusal({each: TREE[each] for each in TREE if each != key}) == (
        Status.EVIDENCE,
        "reference-without-evidence",
    )


def test_a_segmentation_without_references_is_not_ours() -> None:
    seg = "1.2.840.10008.5.1.4.1.1.66.4"
    plain = {each: TREE[each] for each in TREE if TREE[each].vr != "SQ"}
    plain |= {tag(keyword): element(tag(keyword), vr, value) for keyword, vr, value in (
        ("SOPClassUID", "UI", seg.encode()), ("Modality", "CS", b"SEG"),
    )}  # fmt: skip
    assert refusal(plain, sop_class=seg) == (Status.NOT_OURS, "no-reference")
