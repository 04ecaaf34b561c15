"""`python -m edge.bench.unsafe sync|plain CONFIG`: a receive room that lies, for the benchmark alone.

It says Success without a flush (`sync`), and also without sealing (`plain`): what durability and sealing cost is the
difference. The product has no such switch, only a box that the benchmark itself made is taken, and a spool written by
`plain` cannot be opened.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge import config, rooms, sealed, vault
from edge.errors import UsageError

MARK = "edge-bench-receive"
"""Beside the root of a box that the benchmark made: no other box is ever received for without sealing."""


class _Copy:
    """In place of AES-GCM: lengths as they were, bytes in clear."""

    def __init__(self, key: bytes) -> None:
        pass

    def encrypt(self, nonce: bytes, data: bytes, aad: bytes | memoryview) -> bytes:
        return data + bytes(sealed.TAG)

    def encrypt_into(self, nonce: bytes, data: memoryview, aad: bytes, out: memoryview) -> None:
        out[: len(data)] = data


def _no_flush(descriptor: int) -> None:
    pass


def main(what: str, file: Path) -> None:
    """Be the receive room until SIGTERM. Raises UsageError for any box but one that the benchmark made."""
    settings = config.load(file)
    if not (settings.root.parent / MARK).is_file():
        raise UsageError("this is no box of the benchmark", which="box.root", hint="edge bench receive")
    os.fsync = os.fdatasync = _no_flush  # type: ignore[assignment]
    if what == "plain":
        vars(vault)["AESGCM"] = _Copy
    rooms.run_room("receive", settings)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
