"""The key slots of the spool: what erasing a study means.

A slot (`spool/slots`, 128 bytes each) holds one data key, wrapped to infer's public key: one key for each
(association, study). Overwriting a study's slots erases it (crypto-erase), whatever copies of the files exist.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.crypto import InvalidTag, random_bytes, seal_public, unwrap, wrap
from edge.errors import SealError

SLOT_SIZE = 128
_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class StudyKey:
    """The data key of one (association, study), as the association's thread holds it in memory."""

    slot: int
    slot_id: bytes
    key: bytes


class Slots:
    """The slot file. One writer (receive) appends; infer reads and overwrites."""

    def __init__(self, spool: Path) -> None:
        self._descriptor = os.open(spool / "slots", os.O_RDWR | os.O_CREAT, 0o660)
        self._lock = threading.Lock()
        self._dirty = False

    def add(self, public: bytes) -> StudyKey:
        """A fresh data key in a new slot. It is durable after the next `flush`."""
        slot_id, key = random_bytes(16), random_bytes(32)
        wrapped = wrap(public, key, slot_id)
        with self._lock:
            slot = os.fstat(self._descriptor).st_size // SLOT_SIZE
            record = (slot_id + wrapped).ljust(SLOT_SIZE, b"\0")
            if os.pwrite(self._descriptor, record, slot * SLOT_SIZE) != SLOT_SIZE:
                os.ftruncate(self._descriptor, slot * SLOT_SIZE)
                raise OSError(28, "short write to the slot file")
            self._dirty = True
        return StudyKey(slot, slot_id, key)

    def flush(self) -> None:
        """Make added slots durable; free when nothing was added."""
        with self._lock:
            if self._dirty:
                os.fdatasync(self._descriptor)
                self._dirty = False

    def key(self, slot: int, slot_id: bytes, private: bytes) -> bytes:
        """The data key of `slot`. Raises SealError when it was erased."""
        record = os.pread(self._descriptor, SLOT_SIZE, slot * SLOT_SIZE)
        try:
            if record[:16] != slot_id:
                raise InvalidTag
            return unwrap(private, record[16 : 16 + 80], slot_id)
        except InvalidTag:
            raise SealError(
                "the key slot is erased or damaged",
                which=f"slot {slot}",
                hint="nothing can open the object any more; send it again",
            ) from None

    def rewrap(self, old: bytes, new: bytes) -> int:
        """Wrap every data key that the private key `old` opens to the pair of `new`; returns how many.

        A slot is one write within one sector. What `new` opens already, or nobody does, stays as it is, so an
        interrupted run is simply run again.
        """
        public, count = seal_public(new), 0
        for slot in range(os.fstat(self._descriptor).st_size // SLOT_SIZE):
            record = os.pread(self._descriptor, SLOT_SIZE, slot * SLOT_SIZE)
            slot_id = record[:16]
            try:
                key = unwrap(old, record[16 : 16 + 80], slot_id)
            except InvalidTag:
                continue
            again = (slot_id + wrap(public, key, slot_id)).ljust(SLOT_SIZE, b"\0")
            if os.pwrite(self._descriptor, again, slot * SLOT_SIZE) != SLOT_SIZE:
                raise OSError(5, "short write to the slot file")
            count += 1
        os.fdatasync(self._descriptor)
        return count

    def erase(self, slots: Iterable[int]) -> None:
        """Overwrite `slots`: what they sealed can never be opened again."""
        for first, count in _runs(slots):
            _overwrite(self._descriptor, first * SLOT_SIZE, count * SLOT_SIZE)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def reserve(spool: Path, count: int) -> None:
    """At least `count` slots, new ones empty: a number that the journal knows must never name another study's key."""
    descriptor = os.open(spool / "slots", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        if os.fstat(descriptor).st_size < count * SLOT_SIZE:
            os.ftruncate(descriptor, count * SLOT_SIZE)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _runs(slots: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Neighbours together, as (first, count): a study's slots mostly lie in a row."""
    first = count = 0
    for slot in sorted(slots):
        if count and slot == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = slot, 1
    if count:
        yield first, count


def _overwrite(descriptor: int, start: int, count: int) -> None:
    """Raises OSError unless every byte is written: a slot that was missed would still open."""
    while count:
        written = os.pwrite(descriptor, bytes(min(count, _AT_ONCE)), start)
        start, count = start + written, count - written
