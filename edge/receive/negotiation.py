"""What a peer proposes and what we answer: A-ASSOCIATE (PS3.8 9.3.2 to 9.3.4, PS3.7 annex D).

Pure functions over bytes. `read_request` raises Malformed and nothing else, whatever it is given; its work is linear in
the length, which the caller has bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge.dimse import (
    APPLICATION_CONTEXT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    pdu,
)
from edge.errors import BadObject
from edge.receive.syntaxes import IMPLICIT_VR_LITTLE_ENDIAN, Offer
from edge.records import parse_uid

MAX_REQUEST = 1 << 18
"""Longest A-ASSOCIATE-RQ read: 128 contexts with 40 transfer syntaxes each are 150 KiB."""

_FIXED = 68
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX, _USER_REJECTION = 0, 3, 4, 1


class Malformed(Exception):
    """The bytes are not an A-ASSOCIATE-RQ."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposed presentation context; an abstract syntax that is no UID is an empty string."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """An A-ASSOCIATE-RQ. `titles` are the 32 bytes that an answer must repeat; `roles` is (SCU, SCP) by SOP class."""

    version: int
    titles: bytes
    application_context: str
    proposals: tuple[Proposal, ...]
    max_length: int
    operations: bool
    roles: dict[str, tuple[int, int]]

    @property
    def called_ae_title(self) -> bytes:
        return self.titles[:16].strip(b" \0")

    @property
    def calling_ae_title(self) -> bytes:
        return self.titles[16:].strip(b" \0")


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


def read_request(body: bytes) -> Request:
    """Read what follows the length field of an A-ASSOCIATE-RQ.

    Raises
    ------
    Malformed
        If a length points outside, a context id is even or used twice, or a context has no one abstract syntax.
    """
    if len(body) < _FIXED:
        raise Malformed
    application_context, proposals, user = "", dict[int, Proposal](), b""
    for kind, value in _items(body, _FIXED):
        if kind == 0x10:
            application_context = _text(value)
        elif kind == 0x20:
            proposal = _proposal(value)
            if proposal.id in proposals:
                raise Malformed
            proposals[proposal.id] = proposal
        elif kind == 0x50:
            user = value
    max_length, operations, roles = _user_information(user)
    version = int.from_bytes(body[:2], "big")
    return Request(version, body[4:36], application_context, tuple(proposals.values()), max_length, operations, roles)


def answer(request: Request, offer: Offer) -> tuple[dict[int, Context], list[tuple[int, int]]]:
    """The contexts we accept, by id, and (id, result) of all, in the order proposed."""
    accepted: dict[int, Context] = {}
    results = []
    for proposal in request.proposals:
        result, context = _decide(proposal, request, offer)
        results.append((proposal.id, result))
        if context:
            accepted[proposal.id] = context
    return accepted, results


def write_accept(
    request: Request, accepted: dict[int, Context], results: list[tuple[int, int]], max_length: int
) -> bytes:
    """An A-ASSOCIATE-AC. Our window of operations is always 1/1, and we are never an SCU."""
    items = [_item(0x10, APPLICATION_CONTEXT.encode())]
    for identifier, result in results:
        context = accepted.get(identifier)
        syntax = context.transfer_syntax if context else IMPLICIT_VR_LITTLE_ENDIAN
        items.append(_item(0x21, struct.pack(">BxBx", identifier, result) + _item(0x40, syntax.encode())))
    user = _item(0x51, struct.pack(">L", max_length)) + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    if request.operations:
        user += _item(0x53, struct.pack(">HH", 1, 1))
    for uid in {context.abstract_syntax: None for context in accepted.values()}:
        if uid in request.roles:
            user += _item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes((request.roles[uid][0], 0)))
    items.append(_item(0x50, user + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())))
    return pdu(ASSOCIATE_AC, struct.pack(">HH", 1, 0) + request.titles + bytes(32) + b"".join(items))


def write_reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return pdu(ASSOCIATE_RJ, bytes((0, result, source, reason)))


def _decide(proposal: Proposal, request: Request, offer: Offer) -> tuple[int, Context | None]:
    uid = proposal.abstract_syntax
    if not offer.takes(uid):
        return _NO_ABSTRACT_SYNTAX, None
    if uid in request.roles and not request.roles[uid][0]:
        return _USER_REJECTION, None
    for syntax in proposal.transfer_syntaxes:
        if offer.takes_syntax(uid, syntax):
            return _ACCEPTED, Context(proposal.id, uid, syntax)
    return _NO_TRANSFER_SYNTAX, None


def _proposal(value: bytes) -> Proposal:
    if len(value) < 4 or not value[0] & 1:
        raise Malformed
    abstract: list[str] = []
    transfer: list[str] = []
    for kind, inner in _items(value, 4):
        if kind == 0x30:
            abstract.append(_text(inner))
        elif kind == 0x40:
            transfer.append(_text(inner))
    if len(abstract) != 1:
        raise Malformed
    return Proposal(value[0], abstract[0], tuple(transfer))


def _user_information(value: bytes) -> tuple[int, bool, dict[str, tuple[int, int]]]:
    """Maximum length (0 = no limit), whether an operations window was proposed, roles."""
    max_length, operations, roles = 0, False, dict[str, tuple[int, int]]()
    for kind, inner in _items(value, 0):
        if kind == 0x51:
            if len(inner) != 4:
                raise Malformed
            max_length = int.from_bytes(inner, "big")
        elif kind == 0x53:
            operations = True
        elif kind == 0x54:
            uid, scu, scp = _role(inner)
            roles[uid] = (scu, scp)
    return max_length, operations, roles


def _role(value: bytes) -> tuple[str, int, int]:
    length = int.from_bytes(value[:2], "big")
    if len(value) != length + 4 or value[-2] > 1 or value[-1] > 1:
        raise Malformed
    return _text(value[2:-2]), value[-2], value[-1]


def _items(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(data):
        if at + 4 > len(data):
            raise Malformed
        kind, length = struct.unpack_from(">BxH", data, at)
        if at + 4 + length > len(data):
            raise Malformed
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _text(value: bytes) -> str:
    """The value as a UID, or an empty string: what is no UID is merely not supported."""
    try:
        return parse_uid(value.decode("ascii"))
    except (UnicodeDecodeError, BadObject):
        return ""


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
