"""Never a false Success, never a half-kept file: full disks, failing writes, kill -9 in mid transfer."""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from receiver import Raw, Receiver, ct_image, pdv, store_command
from support import wait_until

from edge import vault
from edge.journal import intake
from edge.journal.database import Database, DatabaseError
from edge.slots import Slots

MIB = 1 << 20


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path / "box").start()
    yield made
    made.stop()


def store_one(receiver: Receiver, instance: str = "1.2.3", pixels: int = 1000) -> int:
    with Raw(receiver.port) as peer:
        peer.associate()
        status = peer.store(ct_image(instance, pixels=pixels), instance)
        assert peer.echo() == 0
        return status


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB for the spool."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_out_of_resources_and_keeps_what_was_acknowledged(tmp_path: Path, small_disk: Path) -> None:
    """No reserve at all: the kernel says ENOSPC in the middle of an object."""
    box = Receiver(tmp_path / "box", reserve=0)
    box.settings.spool.rmdir()
    box.settings.spool.symlink_to(small_disk)
    box.start()
    try:
        statuses = [store_one(box, f"1.2.{index}", 5 * MIB) for index in range(8)]
        assert set(statuses) == {0, 0xA700}
        kept = {row["sop_instance_uid"]: row["object_id"] for row in box.rows()}
        assert set(kept) == {f"1.2.{index}" for index, status in enumerate(statuses) if status == 0}
        assert box.files() == sorted(kept.values())
        for instance, object_id in kept.items():
            assert box.data_set(object_id) == ct_image(instance, pixels=5 * MIB)
    finally:
        box.stop()


def test_the_reserve_is_kept_before_the_first_byte_is_stored(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    box = Receiver(tmp_path / "box", reserve=free.f_bavail * free.f_frsize / 2**30 + 1).start()
    try:
        assert store_one(box, pixels=3 * MIB) == 0xA700
        assert box.files() == []
        assert box.rows() == []
    finally:
        box.stop()


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "writev", "rename", "fdatasync"])
@pytest.mark.parametrize("pixels", [1000, 3 * MIB])
def test_a_failing_call_is_no_success(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, call: str, code: int, pixels: int
) -> None:
    """Each call between the first byte and the flush; afterwards the box goes on."""
    with monkeypatch.context() as patched:
        patched.setattr(vault, "os", _Os({call: failing(code)}))
        assert store_one(receiver, pixels=pixels) == 0xA700
    assert receiver.files() == []
    assert store_one(receiver, pixels=pixels) == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["writev", "rename", "fdatasync"])
def test_a_failing_call_on_a_blank_is_no_success(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """A file made beforehand is dropped with the object that it was to take."""
    stocked(receiver)
    before = receiver.files()
    with monkeypatch.context() as patched:
        patched.setattr(vault, "os", _Os({call: failing(code)}))
        blanks = receiver.blanks()
        assert store_one(receiver, "1.2.9") == 0xA700
        (dropped,) = set(blanks) - set(receiver.blanks())
    assert receiver.files() == before
    assert dropped not in before
    assert store_one(receiver, "1.2.9") == 0
    assert len(receiver.files()) == len(before) + 1


def test_a_short_write_to_a_blank_is_continued(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(descriptor: int, parts: list[bytes]) -> int:
        return os.write(descriptor, b"".join(parts)[:700])

    stocked(receiver)
    blanks = receiver.blanks()
    monkeypatch.setattr(vault, "os", _Os({"writev": short}))
    assert store_one(receiver, "1.2.9") == 0
    monkeypatch.undo()
    (object_id,) = [row["object_id"] for row in receiver.rows() if row["sop_instance_uid"] == "1.2.9"]
    assert object_id in blanks
    assert receiver.data_set(object_id) == ct_image("1.2.9")


def stocked(receiver: Receiver) -> None:
    """Objects of one size came, and a lull in which blanks were made."""
    for index in range(8):
        assert store_one(receiver, f"1.2.3.{index}") == 0
    wait_until(lambda: len(receiver.blanks()) > 16, what="more than one batch of blanks")


def test_a_failing_flush_of_folder_or_slots_is_no_success(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, name in ((Slots, "flush"), (intake, "store"), (Slots, "add")):
        with monkeypatch.context() as patched:
            patched.setattr(target, name, failing(errno.EIO))
            assert store_one(receiver) == 0xA700
        assert receiver.files() == []
        assert receiver.rows() == []
    assert store_one(receiver) == 0


def test_a_journal_that_refuses_is_no_success(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "insert", refuse)
        patched.setattr(Database, "execute", refuse)
        with Raw(receiver.port) as peer:
            peer.associate()
            assert peer.store(ct_image("1.2.3"), "1.2.3") == 0xA700
    assert receiver.files() == []
    assert store_one(receiver) == 0


def test_a_short_write_is_continued(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(descriptor: int, parts: list[bytes]) -> int:
        return os.write(descriptor, b"".join(parts)[:700])

    monkeypatch.setattr(vault, "os", _Os({"writev": short}))
    assert store_one(receiver, pixels=3 * MIB) == 0
    monkeypatch.undo()
    assert receiver.data_set(receiver.files()[0]) == ct_image("1.2.3", pixels=3 * MIB)


def test_a_peer_that_goes_in_mid_object_leaves_nothing(receiver: Receiver) -> None:
    for ending in (b"", b"\x07\0\0\0\0\4\0\0\0\0"):
        with Raw(receiver.port) as peer:
            peer.associate()
            peer.send(store_command() + pdv(3, 0, ct_image(pixels=100_000)) * 15)
            wait_until(receiver.files, what="a part in the spool")
            peer.send(ending)
        wait_until(lambda: not receiver.files(), what="a clean spool")
    assert receiver.rows() == []


def test_the_flush_comes_before_success(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the folder's flush hangs, nobody hears Success."""
    reached, go_on = threading.Event(), threading.Event()
    flush = Slots.flush

    def hanging(slots: Slots) -> None:
        reached.set()
        go_on.wait(10)
        flush(slots)

    monkeypatch.setattr(Slots, "flush", hanging)
    with Raw(receiver.port) as peer:
        peer.associate()
        peer.send(store_command() + pdv(3, 2, ct_image()))
        assert reached.wait(10)
        peer.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.answer()
        go_on.set()
        peer.socket.settimeout(5)
        assert peer.status() == 0


def test_kill_9_in_mid_transfer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Four senders; the process is killed while they send; what was answered Success is there, the rest is not."""
    box = Receiver(tmp_path / "box")
    acknowledged: dict[str, bytes] = {}
    for round_ in range(4):
        box.spawn()
        senders = [
            threading.Thread(target=_send_until_cut, args=(box.port, f"1.2.{round_}.{number}", acknowledged))
            for number in range(4)
        ]
        for sender in senders:
            sender.start()
        wait_until(functools.partial(_more_than, acknowledged, len(acknowledged) + 12), what="acknowledged objects")
        box.kill()
        for sender in senders:
            sender.join(10)
    if not any(name.endswith(".part") for name in box.files()):
        (box.settings.spool / ("0" * 32 + ".part")).write_bytes(b"left by a crash")
    box.spawn()
    rows = {row["sop_instance_uid"]: row["object_id"] for row in box.rows()}
    assert box.files() == sorted(rows.values())
    assert set(acknowledged) <= set(rows)
    for instance, data in acknowledged.items():
        assert box.data_set(rows[instance]) == data
    assert all(row["closed_at"] for row in box.rows("closed_at FROM association"))
    box.stop()


def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    """300 MB in one object, through a process that never holds more than its chunks."""
    box = Receiver(tmp_path / "box").spawn()
    with Raw(box.port) as peer:
        peer.associate()
        peer.store(ct_image("1.2.1", pixels=2 * MIB), "1.2.1")
        before = box.rss_mib()
        peer.send(store_command("1.2.2") + pdv(3, 0, ct_image("1.2.2")))
        block = pdv(3, 0, bytes(131000))
        for _ in range(300 * 8):
            peer.send(block)
        peer.send(pdv(3, 2, b""))
        assert peer.status() == 0
        assert box.rss_mib() - before < 8
    box.stop()


@pytest.mark.slow
def test_two_gibibytes_in_one_object(tmp_path: Path) -> None:
    box = Receiver(tmp_path / "box").spawn()
    block = pdv(3, 0, bytes(131000))
    with Raw(box.port) as peer:
        peer.associate()
        peer.send(store_command("1.2.1") + pdv(3, 0, ct_image("1.2.1")))
        for _ in range(-(-2 * 1024 * MIB // 131000)):
            peer.send(block)
        peer.send(pdv(3, 2, b""))
        peer.socket.settimeout(60)
        assert peer.status() == 0
        assert box.rss_mib() < 64
    (row,) = box.rows()
    assert row["size"] > 2 * 1024 * MIB
    box.stop()


@pytest.mark.slow
def test_a_study_of_ten_thousand_instances(tmp_path: Path) -> None:
    """In one association, and killed at the end: each is a row and a file, and the start stays quick to the user."""
    box = Receiver(tmp_path / "box").spawn()
    with Raw(box.port) as peer:
        peer.associate()
        for index in range(10_000):
            assert peer.store(ct_image(f"1.2.{index}", pixels=2000), f"1.2.{index}") == 0
    box.kill()
    box.spawn()
    rows = box.rows("sop_instance_uid, object_id, study_instance_uid FROM instance")
    assert {row["sop_instance_uid"] for row in rows} == {f"1.2.{index}" for index in range(10_000)}
    assert box.files() == sorted(row["object_id"] for row in rows)
    assert len({row["study_instance_uid"] for row in rows}) == 1
    box.stop()


def _more_than(acknowledged: dict[str, bytes], count: int) -> bool:
    return len(acknowledged) > count


def _send_until_cut(port: int, prefix: str, acknowledged: dict[str, bytes]) -> None:
    try:
        with Raw(port) as peer:
            peer.associate()
            for index in range(10_000):
                instance = f"{prefix}.{index}"
                data = ct_image(instance, pixels=(index % 7) * 300_000)
                if peer.store(data, instance) == 0:
                    acknowledged[instance] = data
    except (OSError, TypeError):  # cut off; `answer` gave None
        return


class _Os:
    """The os module with some calls replaced."""

    def __init__(self, replaced: dict[str, Callable[..., object]]) -> None:
        self._replaced = replaced

    def __getattr__(self, name: str) -> object:
        return self._replaced.get(name) or getattr(os, name)
