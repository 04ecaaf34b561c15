"""RLE frames: against the oracle, against imagecodecs, and bytes that nobody meant."""

from __future__ import annotations

import itertools
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference_rle, rle_decode

DTYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


def packed(row: bytes) -> bytes:
    """One row as PS3.5 G.3.1 packs it: runs of three and more are repeated, all else is literal."""
    out, literal = bytearray(), bytearray()

    def flush() -> None:
        for begin in range(0, len(literal), 128):
            part = literal[begin : begin + 128]
            out.extend([len(part) - 1, *part])
        literal.clear()

    for value, group in itertools.groupby(row):
        count = len(list(group))
        while count >= 3:
            flush()
            out.extend([257 - min(count, 128), value])
            count -= min(count, 128)
        literal.extend([value] * max(count, 0))
    flush()
    return bytes(out)


def frame_of(segments: list[bytes]) -> bytes:
    """Segments behind their header, each padded to even length."""
    even = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = list(itertools.accumulate([64, *(len(segment) for segment in even)]))[: len(even)]
    header = np.array([len(even), *offsets, *[0] * (15 - len(even))], "<u4").tobytes()
    return header + b"".join(even)


def encoded(image: np.ndarray) -> bytes:
    pixels = image.reshape(*image.shape[:2], -1)
    planes = pixels.view(np.uint8).reshape(*pixels.shape, image.itemsize)[..., ::-1]  # little endian in memory
    chosen = itertools.product(range(pixels.shape[2]), range(image.itemsize))
    return frame_of([b"".join(packed(row.tobytes()) for row in planes[:, :, s, b]) for s, b in chosen])


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    samples = draw(st.sampled_from([(), (3,)]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 300)), *samples)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    spread = draw(st.sampled_from([1, 2, 3, 50, 300, 70000]))
    return np.sort(random.integers(0, spread, shape), axis=draw(st.sampled_from([0, 1]))).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(image=images(), out=st.booleans())
def test_what_was_encoded_comes_back(image: np.ndarray, out: bool) -> None:
    given_out = np.empty_like(image) if out else None
    decoded = rle_decode(encoded(image), image.shape, image.dtype, out=given_out)
    np.testing.assert_array_equal(decoded, image)
    assert decoded.dtype == image.dtype
    assert given_out is None or decoded is given_out


def test_imagecodecs_gives_the_same_samples() -> None:
    image = np.random.default_rng(0).normal(2000, 30, (700, 611)).astype(np.uint16)
    data = encoded(image)
    plain = bytearray(image.nbytes)
    imagecodecs.dicomrle_decode(data, "<u2", out=plain)
    np.testing.assert_array_equal(
        rle_decode(data, image.shape, np.uint16), np.frombuffer(plain, "<u2").reshape(700, 611)
    )


def agrees_with_the_oracle(data: bytes, shape: tuple[int, ...], dtype: Any) -> None:
    """Exactly what the oracle gives, or refused where the oracle comes up short; never anything else."""
    samples = shape[2] if len(shape) == 3 else 1
    guarded = np.full(np.prod(shape) * np.dtype(dtype).itemsize + 64, 0xA5, np.uint8)
    out = guarded[32:-32].view(dtype).reshape(shape)
    refusal = ""
    try:
        rle_decode(data, shape, dtype, out=out)
    except ValueError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith("data: ")
    if refusal == "" or "segment " in refusal:
        expected = reference_rle.decode(data, shape[0] * shape[1], samples, np.dtype(dtype).itemsize)
        assert (expected is None) == (refusal != "")
        if expected is not None:
            np.testing.assert_array_equal(out, expected.astype(dtype).reshape(shape))
    assert (guarded[:32] == 0xA5).all()
    assert (guarded[-32:] == 0xA5).all()


@settings(max_examples=200, deadline=None)
@given(segments=st.lists(st.binary(max_size=700), min_size=2, max_size=2), rows=st.integers(1, 90))
def test_random_segments(segments: list[bytes], rows: int) -> None:
    agrees_with_the_oracle(frame_of(segments), (rows, 60), np.uint16)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_frames(data: bytes) -> None:
    agrees_with_the_oracle(data, (8, 9), np.uint16)
    agrees_with_the_oracle(np.array([3], "<u4").tobytes() + data, (8, 9, 3), np.uint8)


def test_mutated_frames() -> None:
    random = np.random.default_rng(7)
    image = random.normal(500, 4, (70, 90)).astype(np.uint16)
    good = np.frombuffer(encoded(image), np.uint8)
    for _ in range(1500):
        data = good.copy()
        where = random.integers(0, len(data) if random.random() < 0.7 else 16, random.integers(1, 6))
        data[where] = random.integers(0, 256, len(where))
        if random.random() < 0.4:
            data = data[: random.integers(0, len(data))]
        agrees_with_the_oracle(data.tobytes(), (70, 90), np.uint16)


@pytest.mark.parametrize("head", [0, 1, 31, 32, 126, 127, 128, 129, 224, 225, 255])
def test_every_length_up_to_the_very_last_byte(head: int) -> None:
    """Packets of one kind that end exactly with the data, and one byte before that."""
    packet = bytes([head, *range(head + 1)]) if head < 128 else bytes([head, 77])
    for repeats in (1, 2, 3, 40, 200):
        segment = packet * repeats
        for cut in range(min(len(segment), 4)):
            part = segment[: len(segment) - cut]
            data = np.array([1, 64, *[0] * 14], "<u4").tobytes() + part
            size = max(1, len(reference_rle.unpack(part, 0) or b"") or repeats * 5)
            agrees_with_the_oracle(data, (1, size), np.uint8)
            agrees_with_the_oracle(data, (9000, 5), np.uint8)


def test_what_is_too_much_is_ignored() -> None:
    data = np.array([1, 64, *[0] * 14], "<u4").tobytes() + bytes([256 - 127, 9, 0, 1, 2, 3])
    np.testing.assert_array_equal(rle_decode(data, (3, 5), np.uint8), 9)


IMAGE = np.arange(20, dtype=np.uint16).reshape(4, 5)
DATA = encoded(IMAGE)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("shape", {"shape": (4,)}),
        ("shape", {"shape": (0, 5)}),
        ("shape", {"shape": (4, 5, 9)}),
        ("dtype", {"dtype": np.float32}),
        ("dtype", {"dtype": np.uint64}),
        ("dtype", {"dtype": ">u2"}),
        ("data", {"data": b""}),
        ("data", {"data": DATA[:63]}),
        ("data", {"data": DATA[:-20]}),
        ("data", {"dtype": np.uint8}),
        ("data", {"data": DATA[:4] + b"\x3f" + DATA[5:]}),
        ("data", {"data": DATA[:4] + b"\xff\xff\xff\xff" + DATA[8:]}),
        ("data", {"data": DATA[:8] + b"\x41" + DATA[9:]}),
        ("out", {"out": np.empty((5, 4), np.uint16)}),
        ("out", {"out": np.empty((4, 5), np.int16)}),
        ("out", {"out": np.empty((4, 10), np.uint16)[:, ::2]}),
        ("num_threads", {"num_threads": 0}),
    ],
)
def test_rle_decode_names_the_argument(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        rle_decode(**{"data": DATA, "shape": (4, 5), "dtype": np.uint16, **arguments})
