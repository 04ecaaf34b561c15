"""Data sets as trees: what is read is what was written, and hostile bytes end in one error."""

from __future__ import annotations

import contextlib
import io
import struct

import pydicom
import pytest
from gateway import report
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BadObject
from edge.part10 import split
from edge.relink import elements
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

DATA = split(report()).data_set


def test_what_is_read_is_written_back_byte_for_byte() -> None:
    assert elements.write(elements.read(DATA, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN) == DATA


@pytest.mark.parametrize("undefined", [False, True])
def test_pydicom_reads_the_same_data_set_in_both_syntaxes(undefined: bool) -> None:
    original = pydicom.dcmread(io.BytesIO(DATA), force=True)
    for each in original.iterall() if undefined else ():
        each.is_undefined_length = each.VR == "SQ"
    buffer = io.BytesIO()
    original.save_as(buffer, implicit_vr=False, little_endian=True)
    tree = elements.read(buffer.getvalue(), EXPLICIT_VR_LITTLE_ENDIAN)
    for syntax, implicit in ((EXPLICIT_VR_LITTLE_ENDIAN, False), (IMPLICIT_VR_LITTLE_ENDIAN, True)):
        written = pydicom.filebase.DicomBytesIO(elements.write(tree, syntax))
        assert pydicom.filereader.read_dataset(written, implicit, True) == original


def test_an_answer_in_implicit_vr_is_read_flat() -> None:
    query = {0x0020000D: elements.element(0x0020000D, "UI", b"1.2.3"), 0x00100020: elements.element(0x00100020, "LO")}
    answer = elements.read(elements.write(query, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN)
    assert answer[0x0020000D].uid() == "1.2.3"
    assert answer[0x00100020].text() == b""


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_broken_bytes_are_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    broken = bytearray(DATA)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(DATA) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(broken[: data.draw(st.integers(0, len(DATA)))])
    for syntax in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN):
        with contextlib.suppress(BadObject):
            elements.read(cut, syntax)


def test_sequences_nested_without_end_are_refused() -> None:
    level = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(BadObject, match="too deep"):
        elements.read(level * 5000, EXPLICIT_VR_LITTLE_ENDIAN)


def test_millions_of_elements_are_refused() -> None:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    items = item * (elements.MAX_ELEMENTS + 1)
    data = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(items)) + items
    with pytest.raises(BadObject, match="too many"):
        elements.read(data, EXPLICIT_VR_LITTLE_ENDIAN)


def test_elements_out_of_order_are_refused() -> None:
    twice = elements.write({1 << 16: elements.element(1 << 16, "LO", b"aa")}, EXPLICIT_VR_LITTLE_ENDIAN) * 2
    with pytest.raises(BadObject, match="order"):
        elements.read(twice, EXPLICIT_VR_LITTLE_ENDIAN)


def test_an_element_shows_no_value() -> None:
    assert "INVENTED" not in repr(elements.element(0x00100010, "PN", b"INVENTED^Name"))
