"""Every real file of the data through the decoder: a frame that pydicom agrees with, or a reason; never a crash."""

from __future__ import annotations

import contextlib
import csv
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import EXPLICIT_VR_LITTLE_ENDIAN, encoded
from pydicom import dcmread
from pydicom.filereader import _read_file_meta_info

from edge.infer import codestream
from edge.infer.decode import decode
from edge.infer.header import read_header
from edge.infer.pixels import Frame, describe
from edge.infer.refusal import Refusal
from edge.reasons import CATALOGUE

pytestmark = pytest.mark.filterwarnings("ignore")

GIB = 1 << 30
NOT_DECODED = ("no-pixel-data", "undecodable", "unreadable", "unsupported-pixels")
LOSSY = ("50", "51", "53", "55", "81", "91", "93", "203")


def frame_of(blob: bytes, syntax: str, max_bytes: int = GIB) -> Frame:
    header = read_header(blob, syntax)
    if not header.is_whole:
        raise Refusal("no-pixel-data", "none")
    return decode(header, describe(header.dataset), syntax, max_bytes=max_bytes)


def split(path: Path) -> tuple[bytes, str]:
    """Data set and transfer syntax of a file, as the receive room would have stored them."""
    with path.open("rb") as file:
        file.seek(132 if path.read_bytes()[128:132] == b"DICM" else 0)
        meta = _read_file_meta_info(file)
        return file.read(), str(meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))


def real_files(data: Path) -> Iterator[tuple[Path, str]]:
    with (data / "dicom" / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield data / "dicom" / "files" / row["file"], row["pydicom3_decode"]


def test_every_real_file_decodes_or_has_a_reason(data: Path) -> None:
    ended: dict[str, int] = {}
    for path, _ in real_files(data):
        try:
            blob, syntax = split(path)
        except Exception:  # no usable File Meta Information: such a file cannot come by C-STORE
            continue
        try:
            frame_of(blob, syntax)
            reason = "decoded"
        except Refusal as refusal:
            reason = refusal.reason
        assert reason == "decoded" or reason in NOT_DECODED, path.name
        ended[reason] = ended.get(reason, 0) + 1
    assert sum(ended.values()) >= 280
    assert ended["decoded"] >= 220


def test_decoded_files_are_what_pydicom_reads(data: Path) -> None:
    compared = 0
    for path, verdict in real_files(data):
        if not verdict.startswith("ok"):
            continue
        blob, syntax = split(path)
        ours = frame_of(blob, syntax)
        try:
            theirs = dcmread(path, force=True).pixel_array
        except RuntimeError:  # none of the decoders installed here takes its codec
            continue
        theirs = theirs[0] if theirs.ndim == ours.array.ndim + 1 else theirs
        difference = int(np.abs(ours.array.astype(np.int64) - theirs.astype(np.int64)).max())
        lossless = syntax.rpartition(".")[2] not in LOSSY
        assert difference == 0 if lossless else difference <= 1, path.name
        compared += 1
    assert compared >= 200


@pytest.mark.parametrize(("rows", "columns"), [(65535, 65535), (40000, 1)])
def test_claimed_size_is_checked_before_anything_is_allocated(rows: int, columns: int) -> None:
    blob = encoded(chest_dx(np.zeros((8, 8), np.uint16), Rows=rows, Columns=columns))
    with pytest.raises(Refusal) as caught:
        frame_of(blob, EXPLICIT_VR_LITTLE_ENDIAN)
    assert caught.value.reason == ("too-large" if rows * columns * 2 > GIB else "undecodable")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Rows": 0}, "undecodable"),
        ({"Rows": None}, "undecodable"),
        ({"BitsStored": 17}, "undecodable"),
        ({"HighBit": 16}, "undecodable"),
        ({"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63}, "unsupported-pixels"),
        ({"SamplesPerPixel": 4}, "unsupported-pixels"),
        ({"NumberOfFrames": -1}, "undecodable"),
        ({"NumberOfFrames": 2_000_000_000}, "undecodable"),
    ],
)
def test_contradictions(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        frame_of(encoded(chest_dx(np.zeros((8, 8), np.uint16), **change)), EXPLICIT_VR_LITTLE_ENDIAN)
    assert caught.value.reason == reason
    assert reason in CATALOGUE


def test_bits_above_the_stored_ones_are_cut_off() -> None:
    pixels = np.array([[0x0123, 0xF123], [0x0FFF, 0x1000]], np.uint16)
    blob = encoded(chest_dx(pixels, BitsStored=12, HighBit=11))
    assert frame_of(blob, EXPLICIT_VR_LITTLE_ENDIAN).array.tolist() == [[0x123, 0x123], [0xFFF, 0]]


def test_signed_values_are_sign_extended() -> None:
    pixels = np.array([[0x0FFF, 0x0800], [0x07FF, 0x0000]], np.uint16)
    blob = encoded(chest_dx(pixels, BitsStored=12, HighBit=11, PixelRepresentation=1))
    assert frame_of(blob, EXPLICIT_VR_LITTLE_ENDIAN).array.tolist() == [[-1, -2048], [2047, 0]]


def test_deflated_data_set_is_inflated_within_bounds() -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(encoded(chest_dx(pixels))) + packer.flush()
    assert np.array_equal(frame_of(packed, "1.2.840.10008.1.2.1.99").array, pixels)


def test_deflate_bomb_and_endless_elements_end_soon() -> None:
    """The room parses headers beside its key: neither memory nor time may be what a sender chooses."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(300 << 20)) + packer.flush()
    for blob, syntax in ((packed, "1.2.840.10008.1.2.1.99"), (bytes(64 << 20), EXPLICIT_VR_LITTLE_ENDIAN)):
        with pytest.raises(Refusal) as caught:
            read_header(blob, syntax)
        assert caught.value.reason == "unreadable"


def test_codestream_that_claims_more_than_the_header_is_refused(data: Path) -> None:
    """The codec would allocate what the codestream says."""
    path = next(path for path, _ in real_files(data) if "JPEGBaseline" in path.name or "JPEGProcess1Tr" in path.name)
    blob, syntax = split(path)
    at = blob.index(b"\xff\xc0")
    larger = blob[: at + 5] + struct.pack(">HH", 65500, 65500) + blob[at + 9 :]
    assert frame_of(blob, syntax).array.size
    with pytest.raises(Refusal) as caught:
        frame_of(larger, syntax)
    assert caught.value.reason == "undecodable"


def test_codestream_that_is_cut_off_is_refused(data: Path) -> None:
    """libjpeg and OpenJPEG fill the rest with gray and say nothing."""
    path = next(path for path, _ in real_files(data) if "JPEGProcess1Tr" in path.name)
    blob, syntax = split(path)
    end = blob.rindex(b"\xff\xd9")
    cut = blob[: end - 400] + bytes(402) + blob[end + 2 :]
    with pytest.raises(Refusal) as caught:
        frame_of(cut, syntax)
    assert caught.value.reason == "undecodable"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xc0\x00", b"nothing"])
def test_codestream_headers_never_read_past_their_end(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError, struct.error):
        assert codestream.describe(data) is None


def test_parser_that_recurses_without_end_is_a_refusal() -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + item) * 3000
    with pytest.raises(Refusal) as caught:
        read_header(nested, EXPLICIT_VR_LITTLE_ENDIAN)
    assert caught.value.reason == "unreadable"


def test_header_does_not_copy_a_mapped_file() -> None:
    stream = io.BytesIO(encoded(chest_dx(np.zeros((8, 8), np.uint16))))
    assert read_header(stream, EXPLICIT_VR_LITTLE_ENDIAN).stream is stream
