"""Files made beforehand: what fits is stored in one, and after a power cut each is an object, or gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support import wait_until

from edge import crypto, sealed
from edge.config.storage import Storage
from edge.errors import SealError
from edge.receive import blanks as blanks_module
from edge.receive.blanks import Blanks
from edge.receive.reserve import Reserve
from edge.records import UID, Instance
from edge.vault import Opener, Sealer

SYNTAX = UID("1.2.840.10008.1.2.1")
DATA = bytes(range(256)) * 100
SECTOR = 512


class Spool:
    """A spool with a stock of blanks of 27 KiB."""

    def __init__(self, folder: Path, **storage: float) -> None:
        self.folder = folder
        private, public = crypto.seal_key_pair()
        reserve = Reserve(folder, Storage(**{"reserve_gib": 0, "refuse_at_percent": 100} | storage))
        self.blanks = Blanks(folder, 2 << 20, reserve)
        self.sealer = Sealer(folder, public, bytes(32), self.blanks.take)
        self.opener = Opener(folder, private)

    def seal(self, data: bytes = DATA) -> Instance:
        writer = self.sealer.writer(SYNTAX, lambda _: self.sealer.study_key())
        writer.free()[: len(data)] = data
        writer.advance(len(data))
        instance = writer.finish(record)
        self.findable = writer.is_findable
        return instance

    def names(self) -> list[str]:
        return [path.name for path in self.folder.glob(f"*{sealed.BLANK}")]

    def fill(self) -> None:
        """Let it learn the size, then wait for the lull in which the stock is made."""
        for _ in range(8):
            self.seal()
        wait_until(lambda: len(self.names()) >= 32, what="two batches of blanks")

    def lose_name(self, object_id: str) -> Path:
        """As when the power went before the folder was flushed."""
        return (self.folder / object_id).rename(self.folder / f"{object_id}{sealed.BLANK}")


def record(object_id: str, tag: str, size: int, slot: int) -> Instance:
    uid = UID("2.25.1")
    return Instance(
        object_id=object_id, sop_instance_uid=uid, sop_class_uid=uid, study_instance_uid=uid, series_instance_uid=uid,
        transfer_syntax_uid=SYNTAX, modality="CT", peer="ct1", association="0" * 32, tag=tag, size=size, slot=slot,
        received_at=time.time(),
    )  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    yield made
    made.blanks.close()
    made.opener.slots.close()
    made.sealer.slots.close()


def test_an_object_that_fits_takes_a_blank_and_its_name(spool: Spool) -> None:
    spool.seal()
    assert not spool.findable
    spool.fill()
    before = set(spool.names())
    instance = spool.seal()
    assert spool.findable
    assert before - set(spool.names()) == {f"{instance.object_id}{sealed.BLANK}"}
    assert bytes(spool.opener.read(instance.object_id)) == DATA
    assert spool.opener.head(instance.object_id) == DATA
    assert (spool.folder / instance.object_id).stat().st_mode & 0o777 == 0o440
    assert [each.object_id for each in sealed.scan(spool.folder, known=())].count(instance.object_id) == 1


@pytest.mark.parametrize("data", [DATA[:1000], DATA * 2, bytes(sealed.CHUNK), bytes(sealed.CHUNK + 1)])
def test_other_sizes_get_files_of_their_own(spool: Spool, data: bytes) -> None:
    spool.fill()
    instance = spool.seal(data) if len(data) < sealed.CHUNK else None
    if instance is not None:
        assert not spool.findable
        assert bytes(spool.opener.read(instance.object_id)) == data
    assert spool.blanks.take(len(data)) is None


def test_the_stock_follows_the_size_of_the_objects(spool: Spool) -> None:
    spool.fill()
    old = set(spool.names())
    for _ in range(8):
        spool.seal(DATA * 2)
    wait_until(lambda: len(spool.names()) > 16 and not old & set(spool.names()), what="blanks of the new size")
    spool.seal(DATA * 2)
    assert spool.findable


def test_nothing_is_left_when_the_room_ends(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.fill()
    spool.blanks.close()
    assert spool.names() == []
    spool.opener.slots.close()
    spool.sealer.slots.close()


def test_no_blanks_below_the_reserve_or_on_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Spool(tmp_path, reserve_gib=1e6)
    tried: list[int] = []

    def refuse(_descriptor: int, _data: bytes) -> None:
        tried.append(1)
        raise OSError(28, "no space")

    monkeypatch.setattr(blanks_module, "write_all", refuse)
    other = tmp_path / "other"
    other.mkdir()
    broken = Spool(other)
    for spool in (full, broken):
        for _ in range(9):
            spool.seal()
    wait_until(lambda: tried, what="an attempt")
    for spool in (full, broken):
        spool.blanks.close()
        assert spool.names() == []
        spool.opener.slots.close()
        spool.sealer.slots.close()


def test_a_start_removes_unused_blanks_and_names_whole_objects(spool: Spool) -> None:
    spool.fill()
    instance = spool.seal()
    spool.lose_name(instance.object_id)
    assert bytes(spool.opener.read(instance.object_id)) == DATA, "infer finds it before the receive room has started"
    unused = len(spool.names()) - 1
    assert sealed.sweep(spool.folder) == unused
    assert spool.names() == []
    assert bytes(spool.opener.read(instance.object_id)) == DATA
    assert instance.object_id in {each.object_id for each in sealed.scan(spool.folder)}


@pytest.mark.parametrize("kept", ["all but one", "first", "last", "none"])
def test_a_torn_blank_is_no_object(spool: Spool, kept: str) -> None:
    """Whatever sectors a power cut leaves as the zeros that they were."""
    spool.fill()
    instance = spool.seal()
    path = spool.lose_name(instance.object_id)
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    sectors = len(content) // SECTOR
    lost = {"all but one": [7], "first": [0], "last": [sectors - 1], "none": range(sectors)}[kept]
    for sector in lost:
        content[sector * SECTOR : (sector + 1) * SECTOR] = bytes(SECTOR)
    path.write_bytes(content)
    sealed.sweep(spool.folder)
    assert spool.names() == []
    assert not (spool.folder / instance.object_id).exists()


def test_an_object_whose_key_is_erased_gets_no_name_back(spool: Spool) -> None:
    spool.fill()
    instance = spool.seal()
    spool.opener.slots.erase([instance.slot])
    spool.lose_name(instance.object_id)
    sealed.sweep(spool.folder)
    assert not (spool.folder / instance.object_id).exists()


def test_a_blank_that_cannot_be_read_now_stays(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.fill()
    instance = spool.seal()
    path = spool.lose_name(instance.object_id)
    monkeypatch.setattr(sealed.SealedFile, "footer", _fail)
    assert sealed.sweep(spool.folder) == 0
    monkeypatch.undo()
    assert path.exists()
    sealed.sweep(spool.folder)
    assert bytes(spool.opener.read(instance.object_id)) == DATA


def test_changed_padding_is_noticed(spool: Spool) -> None:
    spool.fill()
    instance = spool.seal(DATA[:-2000])
    path = spool.folder / instance.object_id
    with sealed.SealedFile(spool.folder, instance.object_id) as file:
        padding = file.footer().padding
    assert padding > 1000
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[sealed.HEADER.size + sealed.sealed_size(instance.size) + padding // 2] = 1
    path.write_bytes(content)
    with pytest.raises(SealError):
        spool.opener.read(instance.object_id)


def test_the_longest_record_has_room(spool: Spool) -> None:
    longest = UID("1." + "2" * 62)
    instance = Instance(
        object_id="f" * 32, sop_instance_uid=longest, sop_class_uid=longest, study_instance_uid=longest,
        series_instance_uid=longest, transfer_syntax_uid=longest, modality="M" * 16, peer="p" * 64,
        association="a" * 32, tag="7" * 64, size=sealed.CHUNK, slot=2**63, received_at=1e10 / 3,
    )  # fmt: skip
    assert len(msgspec.json.encode(instance)) <= 1024


def _fail(_file: object) -> None:
    raise OSError(5, os.strerror(5))
