"""Masks on their way from worker to room: bits in shared memory, one for each stored pixel, as DICOM packs them."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from edge.infer.protocol import Marked
from edge.infer.refusal import Refusal


def packed_size(rows: int, columns: int) -> int:
    """Bytes of one mask."""
    return (rows * columns + 7) // 8


class Masks:
    """Writes masks into `begin`..`end` of the memory behind `descriptor`, and remembers where."""

    def __init__(self, descriptor: int, begin: int, end: int) -> None:
        self._descriptor = descriptor
        self._begin = self._next = begin
        self._end = end
        self._memory: mmap.mmap | None = None
        self.marked: list[Marked] = []

    def add(self, segment: int, shot: int, mask: npt.NDArray[np.bool_]) -> None:
        """Keep the mask (rows, columns) of `segment` in frame `shot`. Raises Refusal (`too-large`)."""
        bits = np.packbits(mask, axis=None, bitorder="little").tobytes()
        if self._next + len(bits) > self._end:
            raise Refusal("too-large", "the masks need more memory than the room gave")
        if self._memory is None:
            # not by writing: a worker may write no file, and this is one to the kernel
            self._memory = mmap.mmap(self._descriptor, self._end - self._begin, offset=self._begin)
        at = self._next - self._begin
        self._memory[at : at + len(bits)] = bits
        self.marked.append(Marked(segment, shot, self._next, len(bits)))
        self._next += len(bits)
