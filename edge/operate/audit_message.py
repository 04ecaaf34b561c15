"""Events of the audit trail as DICOM audit messages (PS3.15 A.5): XML that a hospital's audit repository collects.

The patient participant is left out by design: the trail knows studies by UID, devices and archives by configured alias,
and nobody by name. Who at the keyboard did it is not known either: administrators act as this machine's users.
"""

from __future__ import annotations

import base64
import datetime
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree

from edge.journal.alarms import RAISED
from edge.journal.following import Event
from edge.records import Code

MESSAGE_ID = "DICOM+RFC3881"
FACILITY = 10
"""Security messages (RFC 5424 6.2.1), as PS3.15 A.6 recommends."""

_ACTIVITY = Code("110100", "DCM", "Application Activity")
_AUDIT_USED = Code("110101", "DCM", "Audit Log Used")
_ACCESSED = Code("110103", "DCM", "DICOM Instances Accessed")
_TRANSFERRED = Code("110104", "DCM", "DICOM Instances Transferred")
_DELETED = Code("110105", "DCM", "DICOM Study Deleted")
_QUERY = Code("110112", "DCM", "Query")
_ALERT = Code("110113", "DCM", "Security Alert")
_START = Code("110120", "DCM", "Application Start")
_STOP = Code("110121", "DCM", "Application Stop")
_NODE = Code("110126", "DCM", "Node Authentication")
_SOFTWARE = Code("110131", "DCM", "Software Configuration")
_RESTRICTED = Code("110132", "DCM", "Use of Restricted Function")
_APPLICATION = Code("110150", "DCM", "Application")
_DESTINATION = Code("110152", "DCM", "Destination Role ID")
_SOURCE = Code("110153", "DCM", "Source Role ID")
_STUDY = Code("110180", "DCM", "Study Instance UID")
_SUCCESS, _MINOR, _SERIOUS = 0, 4, 8
_APPLICATION_SERVER, _SYSTEM, _RESOURCE, _REPORT = "4", "2", "13", "3"


@dataclass(frozen=True, slots=True)
class Kind:
    """What an event is called by A.5.3. `role` is that of the other side, None where there is none."""

    event: Code
    action: str
    type: Code | None = None
    outcome: int = _SUCCESS
    role: Code | None = None


_KINDS = MappingProxyType(
    {
        ("instance", "ROUTED"): Kind(_TRANSFERRED, "C", role=_SOURCE),
        ("instance", "UNROUTED"): Kind(_TRANSFERRED, "C", role=_SOURCE),
        ("instance", "QUARANTINED"): Kind(_TRANSFERRED, "C", outcome=_MINOR, role=_SOURCE),
        ("instance", "REFUSED"): Kind(_TRANSFERRED, "C", outcome=_MINOR),
        ("job", "RUNNING"): Kind(_ACCESSED, "R"),
        ("job", "DISCARDED"): Kind(_ALERT, "E", _RESTRICTED),
        ("delivery", "SENT"): Kind(_TRANSFERRED, "C", role=_DESTINATION),
        ("delivery", "FAILED"): Kind(_TRANSFERRED, "C", outcome=_MINOR, role=_DESTINATION),
        ("delivery", "DISCARDED"): Kind(_ALERT, "E", _RESTRICTED, role=_DESTINATION),
        ("study", "ERASED"): Kind(_DELETED, "D"),
        ("study", "FOUND"): Kind(_ACCESSED, "R"),
        ("association", "REFUSED"): Kind(_ALERT, "E", _NODE, _MINOR, _SOURCE),
        ("box", "SEARCHED"): Kind(_QUERY, "E"),
        ("box", "READ"): Kind(_AUDIT_USED, "R"),
        ("box", "STARTED"): Kind(_ACTIVITY, "E", _START),
        ("box", "STOPPED"): Kind(_ACTIVITY, "E", _STOP),
        ("box", "PAUSED"): Kind(_ALERT, "E", _RESTRICTED),
        ("box", "RUNNING"): Kind(_ALERT, "E", _RESTRICTED),
        ("box", RAISED): Kind(_ALERT, "E", _RESTRICTED, _SERIOUS),
    }
)


def kind_of(event: Event) -> Kind | None:
    """How PS3.15 A.5.3 calls `event`; None for the box's own bookkeeping, which the trail alone keeps."""
    if event.thing == "package" and event.old != event.new:
        return Kind(_ALERT, "E", _SOFTWARE, _MINOR if event.new == "FAILED" else _SUCCESS)
    if event.thing == "delivery" and event.new == "PENDING" and event.old in ("HELD", "FAILED", "SENT"):
        return Kind(_ALERT, "E", _RESTRICTED, role=_DESTINATION)
    return _KINDS.get((event.thing, event.new))


def audit_message(event: Event, box: str) -> bytes | None:
    """The message of `event` as XML, or None where it is worth none; `box` is the audit source, our AE title."""
    kind = kind_of(event)
    if kind is None:
        return None
    root = ElementTree.Element("AuditMessage")
    stamp = datetime.datetime.fromtimestamp(event.at, datetime.UTC).isoformat(timespec="milliseconds")
    identification = ElementTree.SubElement(
        root, "EventIdentification",
        {"EventActionCode": kind.action, "EventDateTime": stamp, "EventOutcomeIndicator": str(kind.outcome)},
    )  # fmt: skip
    _code(identification, "EventID", kind.event)
    if kind.type is not None:
        _code(identification, "EventTypeCode", kind.type)
    _participants(root, event, kind, box)
    source = ElementTree.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": box})
    ElementTree.SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    _objects(root, event)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root)


def _participants(root: ElementTree.Element, event: Event, kind: Kind, box: str) -> None:
    incoming = kind.role is _SOURCE
    ours = _APPLICATION if kind.role is None else _DESTINATION if incoming else _SOURCE
    _participant(root, box, not incoming, ours)
    if kind.role is not None:
        _participant(root, event.other or "unknown", incoming, kind.role)


def _participant(root: ElementTree.Element, user: str, requestor: bool, role: Code) -> None:
    wanted = {"UserID": user, "UserIsRequestor": str(requestor).lower()}
    _code(ElementTree.SubElement(root, "ActiveParticipant", wanted), "RoleIDCode", role)


def _objects(root: ElementTree.Element, event: Event) -> None:
    """The study, and the event itself as the trail of the box knows it, so that both can be laid side by side."""
    if event.study:
        _object(root, event.study, _STUDY, _REPORT)
    place = _object(root, f"{event.thing}/{event.name}", Code("12", "RFC-3881", "URI"), _RESOURCE)
    for name, value in (("event", str(event.id)), ("old", event.old), ("new", event.new), ("reason", event.reason)):
        if value:
            ElementTree.SubElement(place, "ParticipantObjectDetail", {"type": name, "value": _base64(value)})


def _object(root: ElementTree.Element, name: str, kind: Code, role: str) -> ElementTree.Element:
    known = {"ParticipantObjectID": name, "ParticipantObjectTypeCode": _SYSTEM, "ParticipantObjectTypeCodeRole": role}
    element = ElementTree.SubElement(root, "ParticipantObjectIdentification", known)
    _code(element, "ParticipantObjectIDTypeCode", kind)
    return element


def _code(parent: ElementTree.Element, name: str, code: Code) -> None:
    ElementTree.SubElement(
        parent, name, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    )


def _base64(text: str) -> str:
    """The schema's type of a detail's value."""
    return base64.b64encode(text.encode("ascii")).decode("ascii")
