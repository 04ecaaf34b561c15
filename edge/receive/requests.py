"""DIMSE requests and our answers to them (PS3.7 9.3, annex C, annex E)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from edge.dimse import DATA_TF, NO_DATA_SET, command, number, parse_command, short, uid_value
from edge.errors import BadObject, PeerFailure
from edge.receive.pdata import Violation
from edge.records import UID, parse_uid

C_STORE, C_ECHO, C_CANCEL = 0x0001, 0x0030, 0x0FFF
_RESPONSE = 0x8000
_AFFECTED_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_DATA_SET_TYPE, _STATUS, _AFFECTED_SOP_INSTANCE = 0x0800, 0x0900, 0x1000
_MAX_ELEMENTS = 64


class Status(IntEnum):
    """What we answer (PS3.4 B.2.3, PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Request:
    """A request. The UIDs are None where the command has none that is one."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: UID | None
    sop_instance_uid: UID | None


def read_request(data: bytes) -> Request | None:
    """What a command set asks for; None for a C-CANCEL, which needs no answer.

    Raises
    ------
    Violation
        If it is not a command set, is a response, or has no Message ID: there is nothing that could be answered.
    """
    try:
        elements = parse_command(data)
        field = number(elements, _COMMAND_FIELD)
        if len(elements) > _MAX_ELEMENTS or field & _RESPONSE:
            raise Violation("command-unexpected", None)
        if field == C_CANCEL:
            return None
        return Request(
            field=field,
            message_id=number(elements, _MESSAGE_ID),
            has_data_set=number(elements, _DATA_SET_TYPE) != NO_DATA_SET,
            sop_class_uid=_uid(elements.get(_AFFECTED_SOP_CLASS, b"")),
            sop_instance_uid=_uid(elements.get(_AFFECTED_SOP_INSTANCE, b"")),
        )
    except PeerFailure:
        raise Violation("command-malformed", None) from None


def write_response(request: Request, status: Status, context: int, max_length: int) -> bytes:
    """The response to `request` as P-DATA-TF PDUs that fit the peer's maximum length (0 = no limit)."""
    elements = {
        _COMMAND_FIELD: short(request.field | _RESPONSE),
        _RESPONDED_TO: short(request.message_id),
        _DATA_SET_TYPE: short(NO_DATA_SET),
        _STATUS: short(status),
    }
    if request.sop_class_uid:
        elements[_AFFECTED_SOP_CLASS] = uid_value(request.sop_class_uid)
    if request.sop_instance_uid and request.field == C_STORE:
        elements[_AFFECTED_SOP_INSTANCE] = uid_value(request.sop_instance_uid)
    data = command(elements)
    room = max(max_length, 16) - 6 if max_length else len(data)
    pdus = []
    for start in range(0, len(data), room):
        piece = data[start : start + room]
        last = 2 if start + room >= len(data) else 0
        pdus.append(struct.pack(">BxLLBB", DATA_TF, len(piece) + 6, len(piece) + 2, context, 1 | last) + piece)
    return b"".join(pdus)


def _uid(value: bytes) -> UID | None:
    try:
        return parse_uid(value.decode("ascii"))
    except (UnicodeDecodeError, BadObject):
        return None
