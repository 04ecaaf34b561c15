"""`Palette`: the colours of PALETTE COLOR, out of their three lookup tables, segmented or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_CHANNELS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of PALETTE COLOR (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2).

    Attributes
    ----------
    entries : uint16 (n, 3), read-only
        Red, green, blue.
    first : int
        The stored value of the first entry; below it the first is taken, beyond the end the last.
    bits : int
        Of an entry: 8 or 16; all bits set is full intensity.
    """

    entries: NDArray[np.uint16]
    first: int = 0
    bits: int = 8

    def __post_init__(self) -> None:
        entries = np.array(self.entries, dtype=np.uint16, order="C")
        if entries.ndim != 2 or entries.shape[1] != 3 or not len(entries):
            raise ValueError(f"entries: shape {entries.shape} is not (n, 3)")
        if self.bits not in (8, 16):
            raise ValueError(f"bits: {self.bits} is neither 8 nor 16")
        entries.setflags(write=False)
        object.__setattr__(self, "entries", entries)

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """Of DICOM keywords: descriptors as three numbers, data as bytes (OW, little endian) or numbers.

        Segmented data are expanded. Raises ValueError naming the keyword.
        """
        descriptors = [_descriptor(attributes, f"{name}PaletteColorLookupTableDescriptor") for name in _CHANNELS]
        counts, firsts, bits = zip(*descriptors, strict=True)
        if len(set(counts)) > 1 or len(set(firsts)) > 1 or len(set(bits)) > 1:
            raise ValueError("RedPaletteColorLookupTableDescriptor: differs from those of green and blue")
        planes = [_plane(attributes, name, counts[0], bits[0]) for name in _CHANNELS]
        return cls(np.stack(planes, axis=1), firsts[0], bits[0])


def _descriptor(attributes: Mapping[str, Any], keyword: str) -> tuple[int, int, int]:
    """Number of entries (0 means 65536), first stored value, bits of an entry."""
    try:
        count, first, bits = (int(n) for n in attributes[keyword])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{keyword}: absent, or not three numbers") from None
    if not 0 <= count <= 1 << 16 or bits not in (8, 16):
        raise ValueError(f"{keyword}: {count} entries of {bits} bits are not possible")
    return count or 1 << 16, first, bits


def _plane(attributes: Mapping[str, Any], name: str, count: int, bits: int) -> NDArray[np.uint16]:
    keyword = f"{name}PaletteColorLookupTableData"
    if attributes.get(keyword) is not None:
        values = _numbers(attributes[keyword], count, keyword)
    elif attributes.get(f"Segmented{keyword}") is not None:
        keyword = f"Segmented{keyword}"
        values = np.array(_expanded(_numbers(attributes[keyword], 0, keyword).tolist(), keyword), np.int64)
    else:
        raise ValueError(f"{keyword}: absent")
    if len(values) < count:
        raise ValueError(f"{keyword}: {len(values)} entries of {count}")
    if values[:count].min() < 0 or values[:count].max() >= 1 << bits:
        raise ValueError(f"{keyword}: an entry does not fit {bits} bits")
    return values[:count].astype(np.uint16)


def _numbers(data: Any, count: int, keyword: str) -> NDArray[np.int64]:
    """Entries as numbers; bytes hold 16 bits each, or 8 where there are too few for that (C.7.6.3.1.6)."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        wide = len(data) >= 2 * count
        data = np.frombuffer(data[: len(data) // 2 * 2] if wide else data, np.dtype("<u2") if wide else np.uint8)
    try:
        return np.asarray(data, dtype=np.int64).ravel()
    except (TypeError, ValueError):
        raise ValueError(f"{keyword}: holds something else than numbers") from None


def _expanded(words: Sequence[int], keyword: str) -> list[int]:
    """Segmented data (C.7.9.2): discrete values, straight lines to a value, or earlier segments once more."""
    values: list[int] = []
    starts: list[int] = []
    at = 0
    while at + 1 < len(words):
        starts.append(at)
        at = _segment(words, at, values, starts, keyword)
        if len(values) > 1 << 16:
            raise ValueError(f"{keyword}: more than 65536 entries")
    return values


def _segment(words: Sequence[int], at: int, values: list[int], starts: list[int], keyword: str) -> int:
    """Append the entries of the segment at `at`; where the next one begins."""
    kind, length = words[at], words[at + 1]
    size = {_DISCRETE: 2 + length, _LINEAR: 3, _INDIRECT: 4}.get(kind, 0)
    if not size or at + size > len(words) or (kind != _DISCRETE and not values):
        raise ValueError(f"{keyword}: a segment is not possible where it stands")
    if kind == _DISCRETE:
        values.extend(words[at + 2 : at + size])
    elif kind == _LINEAR:
        line = np.linspace(values[-1], words[at + 2], length + 1)[1:]
        values.extend(int(v) for v in np.floor(line + 0.5))
    else:
        _repeat(words, words[at + 2] | words[at + 3] << 16, length, values, starts[:-1], keyword)
    return at + size


def _repeat(words: Sequence[int], offset: int, length: int, values: list[int], starts: list[int], keyword: str) -> None:
    """`length` earlier segments from byte `offset` on; none of them may repeat others."""
    first = starts.index(offset // 2) if offset // 2 in starts else len(starts)
    if first + length > len(starts):
        raise ValueError(f"{keyword}: repeats segments that are not there")
    for start in starts[first : first + length]:
        if words[start] == _INDIRECT:
            raise ValueError(f"{keyword}: repeats a repetition")
        _segment(words, start, values, starts, keyword)
