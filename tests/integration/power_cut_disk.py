"""A disk that can lose its power: what is flushed, and what was done since. See power_cut.py."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEAD = struct.Struct("=cHHQI")


@dataclass
class Inode:
    """One file's bytes: what is flushed, and what was done since."""

    flushed: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def flush(self) -> None:
        for step in self.since:
            _apply(self.flushed, *step)
        self.since.clear()

    def after_cut(self, chance: random.Random, keep: float) -> bytes:
        """Any of the steps, each whole, torn or not at all."""
        content = bytearray(self.flushed)
        for offset, data in self.since:
            if chance.random() >= keep:
                continue
            if data and keep < 1 and chance.random() < 0.3:
                _tear(content, offset, data, chance)
            else:
                _apply(content, offset, data)
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write `data` at `offset`, or cut to `offset` bytes where it is None."""
    if data is None:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
    elif data:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


def _tear(content: bytearray, offset: int, data: bytes, chance: random.Random) -> None:
    """Write the first sectors of `data`, or any of them."""
    sectors = range(len(data) // SECTOR)
    kept = sectors[: chance.randrange(len(sectors) + 1)] if chance.random() < 0.5 else sectors
    for sector in kept:
        if kept is not sectors or chance.random() < 0.5:
            at = sector * SECTOR
            _apply(content, offset + at, data[at : at + SECTOR])


class Disk:
    """Files and names, as they are and as far as they are flushed."""

    def __init__(self, start: Path) -> None:
        self.names: dict[str, Inode] = {}
        for path in start.rglob("*"):
            if path.is_file():
                self.names[str(path.relative_to(start))] = Inode(bytearray(path.read_bytes()))
        self._flushed_names = dict(self.names)
        self._since: list[tuple[str, str, str, Inode]] = []

    def do(self, op: str, path: str, other: str, offset: int, data: bytes) -> None:
        """One record of the shim."""
        if op == "S":
            self._flush(path)
        elif op == "C":
            inode = self.names[path] = Inode()
            self._since.append((op, path, "", inode))
        elif op == "R":
            inode = self.names.pop(path)
            self.names[other] = inode
            self._since.append((op, path, other, inode))
        elif op == "U":
            self._since.append((op, path, "", self.names.pop(path, Inode())))  # a socket was never opened
        else:
            self.names[path].since.append((offset, data if op == "W" else None))

    def _flush(self, path: str) -> None:
        if path in self.names:
            self.names[path].flush()
            return
        mine = [step for step in self._since if str(Path(step[2] or step[1]).parent) == (path or ".")]
        for step in mine:
            _rename(self._flushed_names, *step)
        self._since = [step for step in self._since if step not in mine]

    def cut(self, target: Path, chance: random.Random) -> None:
        """Write one state that a power cut now may leave into the folder `target`."""
        keep = chance.choice((0.0, 0.5, 0.5, 0.9, 1.0))
        names = dict(self._flushed_names)
        for step in self._since:
            if chance.random() < keep:
                _rename(names, *step)
        for name, inode in names.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(inode.after_cut(chance, keep))


def _rename(names: dict[str, Inode], op: str, path: str, other: str, inode: Inode) -> None:
    if op in "UR" and names.get(path) is inode:
        del names[path]
    if op in "CR":
        names[other or path] = inode


def records(log: Path, root: Path) -> Iterator[tuple[str, str, str, int, bytes]]:
    """What the shim wrote down, with paths relative to `root`."""
    data, at = log.read_bytes(), 0
    while at < len(data):
        op, length, other, offset, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        words = [data[at : at + length].decode(), data[at + length : at + length + other].decode()]
        at += length + other
        names = [os.path.relpath(word, root) if word else "" for word in words]
        yield op.decode(), "" if names[0] == "." else names[0], names[1], offset, data[at : at + size]
        at += size
