"""The head scanner: what pydicom finds in real files it finds too, in every encoding, and broken ones are told."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from receiver import CT, INSTANCE, SERIES, STUDY, ct_image, element

from edge import part10
from edge.errors import BadObject
from edge.receive.head import MAX_DEPTH, Head, read_head

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
BROKEN = ("dicom-fuzzing-corpus__TC1147_oob_len", "fo-dicom__GH364")
"""Real files with a false length, and with an item outside any sequence, before their study's UIDs."""
EXPECTED = Head(CT, INSTANCE, STUDY, SERIES, "CT")


def encoded(syntax: str, undefined: bool) -> bytes:
    """A CT with nested sequences before its study, written by pydicom."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.StudyInstanceUID = "9.9.9"
    middle = Dataset()
    middle.ReferencedInstanceSequence = [inner, inner]
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.Modality = CT, INSTANCE, "CT"
    image.ReferencedSeriesSequence = [middle]
    image.add_new(0x00091001, "UN", b"\0" * 300)
    image.PatientName = "INVENTED^PATIENT"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Rows = STUDY, SERIES, 4
    for sequence in (image["ReferencedSeriesSequence"], middle["ReferencedInstanceSequence"]):
        sequence.is_undefined_length = undefined
    for item in (inner, middle):
        item.is_undefined_length_sequence_item = undefined
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(buffer, image)
    return buffer.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_every_encoding(syntax: str, undefined: bool) -> None:
    assert read_head(memoryview(encoded(syntax, undefined)), syntax) == EXPECTED


def test_a_sequence_in_un_is_implicit_inside() -> None:
    inside = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HHL", 8, 0x1155, 4) + b"1.2\0"
    closing = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sxxL", 9, 0x1001, b"UN", 0xFFFFFFFF) + inside + closing
    assert read_head(memoryview(ct_image(before=unknown)), EXPLICIT) == EXPECTED


def oracle(path: Path) -> tuple[part10.Part10, list[str]] | None:
    """The file's parts, and the UIDs that pydicom finds; None for files that neither of us could send."""
    try:
        parts = part10.split(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = pydicom.dcmread(io.BytesIO(path.read_bytes()), stop_before_pixels=True)
            uids = [str(image.get(key, "")) for key in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
    except Exception:
        return None
    return (parts, uids) if any(uids) and parts.transfer_syntax_uid != "1.2.840.10008.1.2.1.99" else None


def test_real_files_as_pydicom_reads_them(data: Path) -> None:
    """The same UIDs, or none where one is missing or no UID. An element that lies about its length is not guessed."""
    compared = 0
    for path in sorted((data / "dicom" / "files").iterdir()):
        parts, uids = oracle(path) or (None, [])
        if parts is None:
            continue
        try:
            head = read_head(memoryview(parts.data_set)[: 1 << 20], parts.transfer_syntax_uid)
        except BadObject:
            valid = all(uid.replace(".", "").isdigit() for uid in uids[1:])
            assert not valid or path.name.startswith(BROKEN), path.name
            continue
        assert [head.sop_instance_uid, head.study_instance_uid, head.series_instance_uid] == uids, path.name
        compared += 1
    assert compared > 200


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "StudyInstanceUID"),
        (ct_image()[:30], "longer"),
        (ct_image()[:12], "longer"),
        (ct_image(study=""), "StudyInstanceUID"),
        (ct_image(series="x"), "SeriesInstanceUID"),
        (ct_image()[:34] + ct_image(), "order"),
        (b"\x08\0\x16\0\0\0\0\0", "value representation"),
        (struct.pack("<HH2sxxL", 8, 0x1115, b"SQ", 0xFFFFFFFF) + b"\x08\0\x16\0UI\0\0", "broken"),
        (ct_image(before=struct.pack("<HH2sxxL", 8, 0x1115, b"SQ", 0xFFFFFFFF)), "broken"),
    ],
)
def test_what_is_wrong_is_said_without_a_value(data: bytes, what: str) -> None:
    with pytest.raises(BadObject, match=what) as caught:
        read_head(memoryview(data), EXPLICIT)
    assert "INVENTED" not in str(caught.value)


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        opened = struct.pack("<HH2sxxL", 8, 0x1115, b"SQ", 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closed = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        return ct_image(before=opened * depth + closed * depth)

    assert read_head(memoryview(nested(MAX_DEPTH // 2)), EXPLICIT) == EXPECTED
    with pytest.raises(BadObject, match="too deep"):
        read_head(memoryview(nested(MAX_DEPTH // 2 + 1)), EXPLICIT)


@pytest.mark.parametrize("modality", [b"ct", b"CT\\MR", b"SMITH^JOHN", b"A" * 17, b"\xc3\xa9"])
def test_a_modality_that_is_no_code_is_not_kept(modality: bytes) -> None:
    data = ct_image().replace(element(0x00080060, "CS", b"CT"), element(0x00080060, "CS", modality))
    assert read_head(memoryview(data), EXPLICIT).modality == ""
