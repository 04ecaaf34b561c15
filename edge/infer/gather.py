"""The objects of a unit, unsealed one after the other into anonymous memory that only a worker gets."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Sequence
from types import TracebackType

from edge.errors import SealError
from edge.infer.protocol import Piece, Run
from edge.infer.refusal import Refusal
from edge.records import Instance
from edge.vault import Opener

_BESIDE_THE_FRAME = 64 << 20
"""Bytes that an image may have beside its largest frame: attributes, overlays, padding."""


class Gathered:
    """Shared memory with the data sets of `instances`, and room for `mask_bytes` behind them. A context manager."""

    def __init__(
        self, opener: Opener, instances: Sequence[Instance], *, most_each: int, most: int, mask_bytes: int = 0
    ) -> None:
        """Unseal all of them.

        Raises
        ------
        SealError
            If one cannot be opened.
        Refusal
            `too-large`: one is larger than the box decodes, or they are together.
        """
        sizes = [max(1, opener.size(instance.object_id)) for instance in instances]
        if max(sizes) > most_each + _BESIDE_THE_FRAME or sum(sizes) > most + _BESIDE_THE_FRAME or mask_bytes > most:
            # every lane may hold one unit at a time, and what receive takes can be larger than all of them may hold
            raise Refusal("too-large", "the unit is larger than any that the box looks at")
        pieces, end = [], 0
        for instance, size in zip(instances, sizes, strict=True):
            pieces.append(Piece(end, size, instance.transfer_syntax_uid))
            end = page(end + size)
        self.run = Run(tuple(pieces), end, end + mask_bytes)
        self.descriptor = os.memfd_create("unit", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.descriptor, self.run.end)
            for instance, piece in zip(instances, pieces, strict=True):
                _unseal(opener, instance, self.descriptor, piece)
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Gathered:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self.descriptor)


def page(offset: int) -> int:
    """`offset`, or the next at which memory can be mapped."""
    return -(-offset // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _unseal(opener: Opener, instance: Instance, descriptor: int, piece: Piece) -> None:
    target = mmap.mmap(descriptor, piece.size, offset=piece.offset)
    try:
        # an empty data set leaves its one byte zero
        opener.read_into(instance.object_id, memoryview(target)[: opener.size(instance.object_id)])
    except SealError as error:
        # the frames of its traceback hold the view, and the view the memory
        raise error.with_traceback(None) from None
    finally:
        with contextlib.suppress(BufferError):
            target.close()
