"""Files made before the objects come: a small object overwrites one in place, and its flush finds no metadata to write.

A new file costs the file system's own journal at every flush, more than the object's bytes do. A blank has its blocks,
its length and its name on the disk already; what is left of Success is one flush of the data. The object's real name
needs none: `edge.sealed.sweep` gives it after a power cut, for the blank bears the object's id and describes itself.

One thread makes blanks of the size that objects have now (the images of a series hardly differ), as many as fit the
budget, and only while nothing is received: it would take from a burst what it gives. A burst longer than the stock goes
on as large objects always do, and whatever no blank fits: with files of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path

from edge.crypto import random_bytes
from edge.files import write_all
from edge.receive.reserve import Reserve
from edge.sealed import BLANK, CHUNK, most_padding
from edge.vault import Blank, create

_MOST = 256
"""Each is an open file."""
_AT_ONCE = 16
_LULL_SECONDS = 0.2
_PAGE = 4096
_MISFITS = 8
"""So many objects in a row that no blank fits: from now on blanks are of their size."""
_DISK_FULL_SECONDS = 5.0


class Blanks:
    """The stock. `take` may be called from any thread.

    Parameters
    ----------
    budget : int
        Bytes of the disk that blanks may hold; less than one batch of the wanted size is none.
    reserve : Reserve
        When it is reached no blanks are made.
    """

    def __init__(self, spool: Path, budget: int, reserve: Reserve) -> None:
        self._spool = spool
        self._folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
        self._budget = budget
        self._reserve = reserve
        self._change = threading.Condition()
        self._stock: deque[Blank] = deque()
        self._size = 0
        self._misfits: list[int] = []
        self._taken = 0.0
        self._idle = self._closing = False
        self._thread = threading.Thread(target=self._run, name="blanks", daemon=True)
        self._thread.start()

    def take(self, size: int) -> Blank | None:
        """A blank of at least `size` bytes and not much more, or None."""
        with self._change:
            if not _fits(size, self._size):
                self._misfits.append(size)
                if len(self._misfits) < _MISFITS:
                    return None
                self._resize(max(self._misfits))
            self._misfits.clear()
            self._taken = time.monotonic()
            if self._idle:
                self._change.notify()
            return self._stock.popleft() if self._stock else None

    def close(self) -> None:
        """Remove what is left."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        self._discard(self._stock)
        os.close(self._folder)

    def _resize(self, size: int) -> None:
        self._discard(self._stock)
        self._stock.clear()
        self._size = -(-size // _PAGE) * _PAGE

    def _wait(self) -> int:
        """Return when a batch is due: the size of its blanks; 0 at the end."""
        while not self._closing:
            lull = self._taken + _LULL_SECONDS - time.monotonic()
            self._idle = not self._is_short()
            if not self._idle and lull <= 0:
                return self._size
            self._change.wait(None if self._idle else lull)
        return 0

    def _is_short(self) -> bool:
        most = min(_MOST, self._budget // self._size) if self._size else 0
        return len(self._stock) + _AT_ONCE <= most

    def _run(self) -> None:
        zeros = memoryview(bytes(2 * CHUNK))
        while True:
            with self._change:
                size = self._wait()
                if not size:
                    return
            made = [] if self._reserve.reached() else self._make(zeros[:size])
            with self._change:
                if made and size == self._size:
                    self._stock.extend(made)
                    continue
                self._discard(made)
                if not made:
                    self._change.wait_for(lambda: self._closing, _DISK_FULL_SECONDS)

    def _make(self, zeros: memoryview) -> list[Blank]:
        """A batch, flushed, with its names; empty when the disk refuses."""
        made: list[Blank] = []
        try:
            for _ in range(_AT_ONCE):
                object_id = random_bytes(16).hex()
                made.append(Blank(object_id, create(f"{self._spool}/{object_id}{BLANK}"), len(zeros)))
                write_all(made[-1].descriptor, zeros)
                os.lseek(made[-1].descriptor, 0, os.SEEK_SET)
            for blank in made:
                os.fsync(blank.descriptor)
            os.fsync(self._folder)
        except OSError:
            self._discard(made)
            return []
        return made

    def _discard(self, blanks: list[Blank] | deque[Blank]) -> None:
        for blank in blanks:
            os.close(blank.descriptor)
            (self._spool / f"{blank.object_id}{BLANK}").unlink(missing_ok=True)


def _fits(size: int, blank: int) -> bool:
    """Nothing of the object is cut off, and not too much of the file is padding."""
    return size <= blank <= size + most_padding(blank) - _PAGE
