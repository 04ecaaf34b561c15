"""The oracle of `rle_decode`: packets of PS3.5 G.3.1 one by one, planes put together by arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unpack(segment: bytes, size: int) -> bytes | None:
    """`size` bytes of a segment; None when it ends before that."""
    plain, at = bytearray(), 0
    while len(plain) < size and at + 1 < len(segment):
        head = segment[at]
        if head < 128:
            plain += segment[at + 1 : at + 2 + head]
            at += head + 2
        elif head > 128:
            plain += segment[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at += 1
    return bytes(plain[:size]) if len(plain) >= size else None


def decode(data: bytes, pixels: int, samples: int, size: int) -> NDArray[np.int64] | None:
    """Unsigned samples (pixels, samples); None when any segment is short."""
    header = np.frombuffer(data[:64], "<u4")
    ends = [*header[2 : header[0] + 1].tolist(), len(data)]
    total = np.zeros((pixels, samples), np.int64)
    for number, (begin, end) in enumerate(zip(header[1 : header[0] + 1].tolist(), ends, strict=True)):
        plain = unpack(data[begin:end], pixels)
        if plain is None:
            return None
        total[:, number // size] += np.frombuffer(plain, np.uint8).astype(np.int64) << 8 * (size - 1 - number % size)
    return total
