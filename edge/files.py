"""Files that survive a power cut: temporary name in the same folder, flush, rename, flush the folder."""

from __future__ import annotations

import os
from pathlib import Path


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; a short write is continued. Raises OSError (ENOSPC, EIO...)."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Flush the folder itself, so that names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, mode: int = 0o440, *, checked_later: bool = False) -> None:
    """Put `data` at `path`: there whole after a crash, or not at all. An older file is replaced.

    `checked_later` spares a flush: name and content are flushed together, so that a power cut *during* the call may
    leave a name without its content. Only for files whose every reader can tell.
    """
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)
        if not checked_later:
            os.fsync(descriptor)
        os.rename(part, path)
        if checked_later:
            os.fsync(descriptor)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full disk the half of it would keep the space that others need
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """As `write_durably`, but refuses to replace. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(path.name)
    write_durably(path, data, mode)
