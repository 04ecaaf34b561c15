"""How much disk may be used: below the reserve nothing more is stored."""

from __future__ import annotations

import os
from pathlib import Path

from edge.config.storage import Storage


class Reserve:
    """The limits of [storage] on the file system that holds the spool."""

    def __init__(self, spool: Path, storage: Storage) -> None:
        self._spool = spool
        self._bytes = int(storage.reserve_gib * (1 << 30))
        self._percent = storage.refuse_at_percent

    def reached(self) -> bool:
        """Whether less than `reserve_gib` is free, or `refuse_at_percent` is used."""
        status = os.statvfs(self._spool)
        used = status.f_blocks - status.f_bfree
        usable = used + status.f_bavail
        return status.f_bavail * status.f_frsize < self._bytes or used * 100 >= self._percent * max(usable, 1)
