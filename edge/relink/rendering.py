"""The same report as plain text in a Basic Text SR, for archives and viewers that show no TID 1500 (PS3.3 A.35.1).

Made from the result itself, before its subject is merged; its UIDs follow from the result's, so it is stored once.
"""

from __future__ import annotations

import dataclasses
import hashlib

from edge.records import UID, Code
from edge.relink.elements import DataSet, Element, element
from edge.relink.result import SERIES, SOP_CLASS, SOP_INSTANCE, Result
from edge.report.reader import ReportView
from edge.report.show import as_text

BASIC_TEXT_SR = UID("1.2.840.10008.5.1.4.1.1.88.11")
SERIES_NUMBER = "9301"

_SERIES_NUMBER, _DESCRIPTION = 0x00200011, 0x0008103E
_CONCEPT_NAME, _CONTENT, _TEMPLATE = 0x0040A043, 0x0040A730, 0x0040A504
_VALUE_TYPE, _RELATIONSHIP, _CONTINUITY, _TEXT = 0x0040A040, 0x0040A010, 0x0040A050, 0x0040A160
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_PREDECESSORS = 0x0040A360
_TITLE = Code("18748-4", "LN", "Diagnostic imaging report")
_COMMENT = Code("121106", "DCM", "Comment")


def as_basic_text(result: Result, view: ReportView) -> Result:
    """The Basic Text SR of a report: same study, same evidence, a series of its own."""
    uid = _derived("text", result.sop_instance_uid)
    series = _derived("text series", result.series_instance_uid)
    kept = {tag: each for tag, each in result.data_set.items() if tag not in (_TEMPLATE, _PREDECESSORS)}
    text = as_text(view).replace("\n", "\r\n").encode("ascii", "replace")
    made = {
        **kept,
        SOP_CLASS: element(SOP_CLASS, "UI", BASIC_TEXT_SR.encode()),
        SOP_INSTANCE: element(SOP_INSTANCE, "UI", uid.encode()),
        SERIES: element(SERIES, "UI", series.encode()),
        _SERIES_NUMBER: element(_SERIES_NUMBER, "IS", SERIES_NUMBER.encode()),
        _CONCEPT_NAME: _code(_CONCEPT_NAME, _TITLE),
        _CONTENT: Element(_CONTENT, "SQ", items=(_text_item(text),)),
    }
    return dataclasses.replace(
        result, sop_class_uid=BASIC_TEXT_SR, sop_instance_uid=uid, series_instance_uid=series, data_set=made
    )


def _text_item(text: bytes) -> DataSet:
    return {
        _RELATIONSHIP: element(_RELATIONSHIP, "CS", b"CONTAINS"),
        _VALUE_TYPE: element(_VALUE_TYPE, "CS", b"TEXT"),
        _CONCEPT_NAME: _code(_CONCEPT_NAME, _COMMENT),
        _TEXT: element(_TEXT, "UT", text),
    }


def _code(tag: int, code: Code) -> Element:
    item = {
        _CODE_VALUE: element(_CODE_VALUE, "SH", code.value.encode()),
        _SCHEME: element(_SCHEME, "SH", code.scheme.encode()),
        _MEANING: element(_MEANING, "LO", code.meaning.encode()),
    }
    return Element(tag, "SQ", items=(item,))


def _derived(what: str, uid: str) -> UID:
    digest = hashlib.sha256(f"edge relink {what}\0{uid}".encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")
