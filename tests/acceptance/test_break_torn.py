"""What a power cut may leave of an object that was never acknowledged: its name and its end, without its middle.

A file system may keep the pages of a file in any order. The name becomes durable with the next flush of the folder,
which may be another sender's, before the object's own bytes are flushed.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from receiver import INSTANCE, Raw, Receiver, ct_image

IMAGE = ct_image(pixels=200_000)


def tear(path: Path) -> None:
    """Zeros for the pages in the middle; the header, the record and the footer stay."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(bytes(65536))


def unacknowledged(folder: Path) -> Receiver:
    """A box that stored an object and lost its journal's row with the power, as before the answer."""
    receiver = Receiver(folder).start()
    with Raw(receiver.port) as peer:
        peer.associate()
        assert peer.store(IMAGE) == 0
        peer.release()
    receiver.stop()
    (name,) = receiver.files()
    for part in receiver.settings.root.glob("journal.db*"):
        part.unlink()
    from edge.journal import create

    create(receiver.settings.journal)
    tear(receiver.settings.spool / name)
    return receiver


def test_a_torn_object_never_stands_for_its_re_send(tmp_path: Path) -> None:
    """The modality had no answer, so it sends again, and now is told Success: then these bytes must be there."""
    receiver = unacknowledged(tmp_path).start()
    try:
        with Raw(receiver.port) as peer:
            peer.associate()
            status = peer.store(IMAGE, INSTANCE)
            peer.release()
        assert status == 0
        kept = []
        for name in receiver.files():
            try:
                kept.append(receiver.data_set(name))
            except Exception:
                continue
        assert IMAGE in kept
    finally:
        receiver.stop()


def test_an_object_without_its_end_is_nobodys(tmp_path: Path) -> None:
    receiver = unacknowledged(tmp_path)
    (name,) = receiver.files()
    path = receiver.settings.spool / name
    os.truncate(path, path.stat().st_size - struct.calcsize("<QII8s8x"))
    receiver.start()
    try:
        assert receiver.rows() == []
        with Raw(receiver.port) as peer:
            peer.associate()
            assert peer.store(IMAGE) == 0
            peer.release()
        (row,) = receiver.rows()
        assert receiver.data_set(row["object_id"]) == IMAGE
    finally:
        receiver.stop()
