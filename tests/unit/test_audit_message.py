"""DICOM audit messages (PS3.15 A.5): every event that is worth one, in its words, about UIDs and aliases only."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts

from edge.journal.following import Event
from edge.operate import audit_message
from edge.operate.audit_message import Kind

STUDY = "1.2.3.4"


def message(thing: str, old: str, new: str, **more: str) -> ElementTree.Element:
    event = Event(7, 1_800_000_000.0, thing, "12", old, new, "code", more.get("study", ""), more.get("other", ""))
    made = audit_message.audit_message(event, "EDGE")
    assert made is not None
    return ElementTree.fromstring(made)


@pytest.mark.parametrize(
    ("thing", "old", "new", "event", "action", "outcome"),
    [
        ("instance", "STORED", "ROUTED", "110104", "C", "0"),
        ("instance", "STORED", "QUARANTINED", "110104", "C", "4"),
        ("job", "READY", "RUNNING", "110103", "R", "0"),
        ("delivery", "PENDING", "SENT", "110104", "C", "0"),
        ("delivery", "PENDING", "FAILED", "110104", "C", "4"),
        ("delivery", "HELD", "PENDING", "110113", "E", "0"),
        ("study", "ERASING", "ERASED", "110105", "D", "0"),
        ("box", "", "SEARCHED", "110112", "E", "0"),
        ("association", "", "REFUSED", "110113", "E", "4"),
        ("package", "SHADOW", "ACTIVE", "110113", "E", "0"),
        ("box", "", "STARTED", "110100", "E", "0"),
    ],
)
def test_events_have_the_standards_names(thing: str, old: str, new: str, event: str, action: str, outcome: str) -> None:
    told = message(thing, old, new, study=STUDY, other="ct1")
    identification = told.find("EventIdentification")
    assert identification is not None
    assert identification.attrib["EventActionCode"] == action
    assert identification.attrib["EventOutcomeIndicator"] == outcome
    assert identification.find("EventID").attrib["csd-code"] == event  # type: ignore[union-attr]
    objects = told.findall("ParticipantObjectIdentification")
    assert objects[0].attrib["ParticipantObjectID"] == STUDY


def test_both_sides_of_a_transfer_are_told_apart() -> None:
    for new, thing, requestor in (("ROUTED", "instance", "ct1"), ("SENT", "delivery", "EDGE")):
        told = message(thing, "STORED" if thing == "instance" else "PENDING", new, other="ct1")
        sides = {each.attrib["UserID"]: each.attrib["UserIsRequestor"] for each in told.findall("ActiveParticipant")}
        assert sides == {"EDGE": str(requestor == "EDGE").lower(), "ct1": str(requestor == "ct1").lower()}


def test_the_event_can_be_found_again_in_the_trail() -> None:
    told = message("delivery", "PENDING", "SENT")
    details = {
        each.attrib["type"]: base64.b64decode(each.attrib["value"]).decode()
        for each in told.iter("ParticipantObjectDetail")
    }
    assert details == {"event": "7", "old": "PENDING", "new": "SENT", "reason": "code"}


def test_every_code_is_the_standards() -> None:
    known = {code: meaning for names in concepts["DCM"].values() for code, (meaning, _) in names.items()}
    kinds = [each for each in audit_message._KINDS.values() if isinstance(each, Kind)]
    used = {code for kind in kinds for code in (kind.event, kind.type, kind.role) if code is not None}
    assert {code.value: known[code.value] for code in used} == {code.value: code.meaning for code in used}


def test_bookkeeping_is_no_message() -> None:
    assert audit_message.audit_message(Event(1, 0.0, "unit", "1", "OPEN", "READY", "", "", ""), "EDGE") is None


@given(
    name=st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
    reason=st.from_regex(r"[A-Za-z0-9_.:-]{0,64}", fullmatch=True),
)
def test_whatever_the_journal_can_hold_makes_well_formed_xml(name: str, reason: str) -> None:
    made = audit_message.audit_message(Event(1, 0.0, "study", name, "", "ERASED", reason, "1.2", ""), "EDGE & CO <1>")
    assert made is not None
    assert ElementTree.fromstring(made).tag == "AuditMessage"
