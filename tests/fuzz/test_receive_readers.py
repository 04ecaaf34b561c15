"""Any bytes: the readers of the network raise what they say they raise, and nothing else, in bounded time."""

from __future__ import annotations

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st
from receiver import CT, EXPLICIT, IMPLICIT, VERIFICATION, ct_image, echo_elements, request, store_elements

from edge import dimse
from edge.errors import BadObject
from edge.receive.head import read_head
from edge.receive.negotiation import Malformed, answer, read_request, write_accept
from edge.receive.pdata import Violation
from edge.receive.requests import Status, write_response
from edge.receive.requests import read_request as read_command
from edge.receive.syntaxes import Offer

REQUEST = request([(VERIFICATION, IMPLICIT), (CT, EXPLICIT)])[6:]
COMMANDS = (dimse.command(echo_elements()), dimse.command(store_elements()))
OFFER = Offer(("*",))
SYNTAXES = (EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70")
TELLING = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xfe\xff\xdd\xe0", b"\xfe\xff\x00\xe0")
QUICK = settings(max_examples=1500, deadline=500)


@st.composite
def mutated(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """A good one with bytes changed, cut out and put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 20))]
            case 2:
                data[at:at] = draw(st.binary(max_size=20))
            case _:
                data[at : at + 4] = draw(st.sampled_from(TELLING))
    return bytes(data)


@QUICK
@given(st.one_of(st.binary(max_size=300), mutated(REQUEST)))
@example(REQUEST)
def test_association_requests(data: bytes) -> None:
    try:
        read = read_request(data)
    except Malformed:
        return
    accepted, results = answer(read, OFFER)
    assert {identifier for identifier, result in results if result == 0} == set(accepted)
    reply = write_accept(read, accepted, results, 131072)
    assert dimse.answered_contexts(reply[6:])[0].keys() == {proposal.id for proposal in read.proposals}


@QUICK
@given(st.one_of(st.binary(max_size=300), mutated(*COMMANDS)), st.integers(0, 300))
def test_command_sets(data: bytes, max_length: int) -> None:
    try:
        read = read_command(data)
    except Violation:
        return
    if read is not None:
        message, at = dimse.Message(), 0
        reply = write_response(read, Status.SUCCESS, 1, max_length)
        whole = False
        while at < len(reply):
            (length,) = struct.unpack_from(">L", reply, at + 2)
            assert not max_length or length <= max(max_length, 16)
            whole = message.add(reply[at + 6 : at + 6 + length])
            at += 6 + length
        assert whole
        assert dimse.number(message.command, 0x0120) == read.message_id


@QUICK
@given(st.one_of(st.binary(max_size=400), mutated(ct_image(pixels=8))), st.sampled_from(SYNTAXES))
def test_heads(data: bytes, syntax: str) -> None:
    try:
        head = read_head(memoryview(data), syntax)
    except BadObject:
        return
    assert head.study_instance_uid.replace(".", "").isdigit()
    assert len(head.modality) <= 16
