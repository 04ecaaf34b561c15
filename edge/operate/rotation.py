"""`edge keys rotate`: new keys for sealing and for signing, without losing an object, a result or the audit trail.

The box stands still meanwhile. Every data key is wrapped anew (`spool/slots`), every result that may still be sent is
signed anew, the old verify key stays beside the new one because the trail so far is signed with it. The new keys lie
in `keys/next` until everything follows them: while it is there no room starts, and an interrupted rotation is run
again. `tag.key` stays: it recognises what was sent before.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge import crypto, keys, rooms
from edge.config import Settings
from edge.errors import KeyFileError
from edge.files import sync_folder, write_durably
from edge.journal import Journal, outgoing
from edge.slots import Slots
from edge.statement import result_statement

_SIZE = 32


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many data keys were wrapped anew, how many results signed anew."""

    slots: int
    results: int


def rotate(settings: Settings) -> Rotation:
    """Rotate both pairs.

    Raises
    ------
    EnvironmentFailure
        If a room runs.
    KeyFileError, JournalError, OSError
        If a key or the journal cannot be read or written. Run it again then: it goes on where it stopped.
    """
    with _standing_still(settings):
        new_open, new_sign = _next(settings.keys)
        wrapped = _wrap_anew(settings, new_open)
        signed = _sign_anew(settings, new_sign)
        _follow(settings.keys, new_open, new_sign)
    return Rotation(wrapped, signed)


@contextlib.contextmanager
def _standing_still(settings: Settings) -> Iterator[None]:
    with contextlib.ExitStack() as claimed:
        for room in ("serve", *rooms.ROOMS):
            claimed.callback(os.close, rooms.claim(settings, room))
        yield


def _next(folder: Path) -> tuple[bytes, bytes]:
    """The new private keys: those that an interrupted rotation left, or fresh ones, durable before anything follows."""
    path = folder / keys.NEXT
    if not path.exists():
        write_durably(path, crypto.seal_key_pair()[0] + crypto.signing_key_pair()[0], 0o400)
    both = path.read_bytes()
    if len(both) != 2 * _SIZE:
        raise KeyFileError("the file does not hold two keys", which=keys.NEXT, hint="remove it and rotate again")
    return both[:_SIZE], both[_SIZE:]


def _wrap_anew(settings: Settings, new: bytes) -> int:
    old = keys.read(settings.keys, "open.key")
    if old == new:
        return 0
    slots = Slots(settings.spool)
    try:
        return slots.rewrap(old, new)
    finally:
        slots.close()


def _sign_anew(settings: Settings, new: bytes) -> int:
    """Only what the old key signed: what it did not sign must not become a result of ours now."""
    old = keys.read(settings.keys, "verify.pub")
    journal = Journal(settings.journal)
    count = 0
    try:
        with journal.transaction():
            for item in outgoing.every(journal):
                statement = result_statement(item.sop_instance_uid, item.destination, item.sha256)
                if crypto.verify(old, bytes.fromhex(item.signature), statement):
                    outgoing.signed_anew(journal, item, crypto.sign(new, statement).hex())
                    count += 1
            journal.note("box", "keys", "", "ROTATED")
    finally:
        journal.close()
    return count


def _follow(folder: Path, new_open: bytes, new_sign: bytes) -> None:
    """Each key file becomes the new one; the old verify key stays under a name of its own."""
    old = keys.read(folder, "verify.pub")
    new = crypto.verify_public(new_sign)
    if old != new:
        _replace(folder / keys.former(old), old, like=folder / "verify.pub")
    for name, data in (
        ("open.key", new_open), ("seal.pub", crypto.seal_public(new_open)), ("sign.key", new_sign), ("verify.pub", new),
    ):  # fmt: skip
        _replace(folder / name, data, like=folder / name)
    (folder / keys.NEXT).unlink()
    sync_folder(folder)


def _replace(path: Path, data: bytes, *, like: Path) -> None:
    """Durable, with the mode and owner that `like` has."""
    found = like.stat()
    write_durably(path, data, found.st_mode & 0o777)
    os.chown(path, found.st_uid, found.st_gid)
