"""The footer of a sealed file is not authenticated, so what it claims is held against the file's own length."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from edge import crypto
from edge.errors import SealError
from edge.records import UID, Instance
from edge.sealed import CHUNK, scan
from edge.vault import Opener, Sealer


def sealed(folder: Path, data: bytes) -> tuple[Path, Opener]:
    private, public = crypto.seal_key_pair()
    sealer = Sealer(folder, public, bytes(32))
    writer = sealer.writer(UID("1.2.840.10008.1.2.1"), lambda _: sealer.study_key())
    stream = io.BytesIO(data)
    while (count := stream.readinto(writer.free())) > 0:
        writer.advance(count)
    uid = UID("2.25.1")
    instance = writer.finish(
        lambda object_id, tag, size, slot: Instance(
            object_id=object_id, sop_instance_uid=uid, sop_class_uid=uid, study_instance_uid=uid,
            series_instance_uid=uid, transfer_syntax_uid=UID("1.2.840.10008.1.2.1"), modality="CT", peer="ct1",
            association="0" * 32, tag=tag, size=size, slot=slot, received_at=0.0,
        )
    )  # fmt: skip
    sealer.slots.close()
    return folder / instance.object_id, Opener(folder, private)


@pytest.mark.parametrize("length", [0, 5000, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("claimed", [(1 << 63) + 5000, 1 << 62, 1 << 40, CHUNK * 3, 5001])
def test_a_length_that_the_file_does_not_have(tmp_path: Path, length: int, claimed: int) -> None:
    path, opener = sealed(tmp_path, bytes(length))
    assert len(opener.read(path.name)) == length
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, len(content) - 32, claimed)
    path.chmod(0o600)
    path.write_bytes(content)
    for look in (opener.size, opener.head, opener.read):
        with pytest.raises(SealError):
            look(path.name)
    assert list(scan(tmp_path)) == []
    opener.slots.close()
