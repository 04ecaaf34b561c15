"""The sealed spool: what goes in comes out for the right key only, whole or not at all, and an erased study never."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from receiver import CT, EXPLICIT

from edge import crypto
from edge.errors import SealError
from edge.records import UID, Instance
from edge.sealed import CHUNK, TAG, scan, sweep
from edge.slots import StudyKey
from edge.vault import Opener, Sealer

SECRET = b"INVENTED^MARKER^PATIENT"


class Spool:
    """A spool with both sides' keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private, self.public = crypto.seal_key_pair()
        self.sealer = Sealer(folder, self.public, b"t" * 32)
        self.opener = Opener(folder, self.private)

    def seal(self, data: bytes, syntax: str = EXPLICIT, key: StudyKey | None = None, step: int = 70_000) -> Instance:
        writer = self.sealer.writer(UID(syntax), lambda _: key or self.sealer.study_key())
        at = 0
        while at < len(data):
            room = writer.free()
            count = min(step, len(room), len(data) - at)
            room[:count] = data[at : at + count]
            writer.advance(count)
            at += count
        return writer.finish(record)

    def close(self) -> None:
        self.sealer.slots.close()
        self.opener.slots.close()


def record(object_id: str, tag: str, size: int, slot: int) -> Instance:
    return Instance(
        object_id=object_id, sop_instance_uid=UID("1.2.3"), sop_class_uid=UID(CT), study_instance_uid=UID("1.2"),
        series_instance_uid=UID("1.3"), transfer_syntax_uid=UID(EXPLICIT), modality="CT", peer="ct1",
        association="a" * 32, tag=tag, size=size, slot=slot, received_at=1.5,
    )  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17])
def test_bytes_come_back(spool: Spool, size: int) -> None:
    data = os.urandom(size)
    instance = spool.seal(data)
    assert bytes(spool.opener.read(instance.object_id)) == data
    assert bytes(spool.opener.head(instance.object_id)) == data[:CHUNK]
    assert instance.size == size


def test_nothing_lies_in_clear_and_nothing_is_left_over(spool: Spool) -> None:
    instance = spool.seal(SECRET * 60_000)
    assert sorted(path.name for path in spool.folder.iterdir()) == sorted([instance.object_id, "slots"])
    for path in spool.folder.iterdir():
        assert SECRET not in path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=strategies.floats(0, 1), flip=strategies.integers(1, 255))
def test_any_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, where: float, flip: int) -> None:
    """Header, chunk, record, seal or footer. (Unused bytes of header and footer are authenticated or checked too.)"""
    spool = Spool(tmp_path_factory.mktemp("spool"))
    try:
        instance = spool.seal(SECRET * 100)
        path = spool.folder / instance.object_id
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        at = min(int(where * len(content)), len(content) - 9)
        content[at] ^= flip
        path.write_bytes(content)
        with pytest.raises(SealError):
            spool.opener.read(instance.object_id)
    finally:
        spool.close()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_object_is_damaged(spool: Spool, keep: float) -> None:
    path = spool.folder / spool.seal(SECRET * 1000).object_id
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(SealError):
        spool.opener.read(path.name)
    assert list(scan(spool.folder)) == []


def test_chunks_cannot_be_swapped_or_dropped(spool: Spool) -> None:
    path = spool.folder / spool.seal(os.urandom(3 * CHUNK)).object_id
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    sealed = CHUNK + TAG
    first, second = content[96 : 96 + sealed], content[96 + sealed : 96 + 2 * sealed]
    path.write_bytes(content[:96] + second + first + content[96 + 2 * sealed :])
    with pytest.raises(SealError):
        spool.opener.read(path.name)


def test_an_object_cannot_take_the_name_of_another(spool: Spool) -> None:
    one, other = spool.seal(b"one" * 100), spool.seal(b"two" * 100)
    (spool.folder / one.object_id).rename(spool.folder / other.object_id)
    with pytest.raises(SealError):
        spool.opener.read(other.object_id)
    assert list(scan(spool.folder)) == []


def test_only_the_private_key_opens(spool: Spool) -> None:
    instance = spool.seal(SECRET)
    stranger = Opener(spool.folder, crypto.seal_key_pair()[0])
    with pytest.raises(SealError):
        stranger.read(instance.object_id)
    stranger.slots.close()


def test_erasing_a_slot_erases_its_study_in_every_copy(spool: Spool) -> None:
    key, other = spool.sealer.study_key(), spool.sealer.study_key()
    gone = [spool.seal(SECRET, key=key), spool.seal(SECRET * 2, key=key)]
    stays = spool.seal(SECRET, key=other)
    copies = [(spool.folder / each.object_id).read_bytes() for each in gone]
    spool.opener.slots.erase([key.slot])
    for each, copy in zip(gone, copies, strict=True):
        (spool.folder / each.object_id).unlink()
        (spool.folder / each.object_id).write_bytes(copy)
        with pytest.raises(SealError, match="erased"):
            spool.opener.read(each.object_id)
    assert bytes(spool.opener.read(stays.object_id)) == SECRET
    assert [found.object_id for found in scan(spool.folder)] == [stays.object_id]


def test_the_tag_recognises_the_same_bytes_and_nothing_else(spool: Spool) -> None:
    """However the bytes were cut on their way; another syntax, order or box is another tag."""
    data = os.urandom(2 * CHUNK + 99)
    tag = spool.seal(data).tag
    assert spool.seal(data, step=999_999).tag == tag
    swapped = data[CHUNK : 2 * CHUNK] + data[:CHUNK] + data[2 * CHUNK :]
    others = [
        spool.seal(data[:-1]),
        spool.seal(data + b"\0"),
        spool.seal(swapped),
        spool.seal(data, syntax="1.2.840.10008.1.2"),
    ]
    assert tag not in [each.tag for each in others]
    assert spool.seal(bytes(CHUNK)).tag != spool.seal(bytes(2 * CHUNK)).tag


def test_abort_leaves_nothing_at_any_moment(spool: Spool) -> None:
    for size in (0, 10, CHUNK, CHUNK + 10):
        writer = spool.sealer.writer(UID(EXPLICIT), lambda _: spool.sealer.study_key())
        for start in range(0, size, CHUNK):
            writer.advance(min(CHUNK, size - start))
        writer.abort()
        writer.abort()
        assert [path.name for path in spool.folder.iterdir()] == ["slots"]


def test_scan_gives_every_record_but_the_known_and_strays(spool: Spool) -> None:
    instances = [spool.seal(bytes([number]) * 100) for number in range(4)]
    (spool.folder / ("f" * 32)).write_bytes(b"not an object" * 50)
    (spool.folder / ("e" * 32 + ".part")).write_bytes(b"half")
    known = {instances[0].object_id}
    found = sorted(scan(spool.folder, known=known), key=lambda each: each.object_id)
    assert found == sorted(instances[1:], key=lambda each: each.object_id)


def test_sweep_takes_only_parts(spool: Spool) -> None:
    instance = spool.seal(b"x")
    (spool.folder / ("e" * 32 + ".part")).write_bytes(b"half")
    assert sweep(spool.folder) == 1
    assert bytes(spool.opener.read(instance.object_id)) == b"x"


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_what_cannot_be_read_now_is_not_called_damaged(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    instance = spool.seal(SECRET)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _raiser(OSError(error, os.strerror(error))))
        with pytest.raises(OSError, match=os.strerror(error)):
            spool.opener.read(instance.object_id)
    assert bytes(spool.opener.read(instance.object_id)) == SECRET


@pytest.mark.parametrize("put", ["nothing", "link"])
def test_a_missing_object_or_a_link_in_its_place_is_damage(spool: Spool, put: str) -> None:
    path = spool.folder / spool.seal(SECRET).object_id
    path.rename(path.with_suffix(".moved"))
    if put == "link":
        path.symlink_to(path.with_suffix(".moved"))
    with pytest.raises(SealError, match="cannot be read"):
        spool.opener.read(path.name)


def _raiser(error: OSError) -> Callable[..., int]:
    def raising(*_: object) -> int:
        raise error

    return raising
