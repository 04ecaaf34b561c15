"""A disk that is full to its last byte: the listener stays, says 0xA700, and works again when there is room."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver import Raw, Receiver, ct_image
from support import run_edge

from edge.wake import Ringer

A_SECOND = "1.2.826.0.1.99.1.1.2"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    junk = folder / "junk"
    with junk.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return junk


def store(receiver: Receiver, instance: str) -> int:
    with Raw(receiver.port) as peer:
        peer.associate()
        status = peer.store(ct_image(instance), instance)
        peer.release()
    return status


def test_no_room_for_an_object_is_a700_until_there_is(small_disk: Path) -> None:
    receiver = Receiver(small_disk, reserve=0.0).start()
    try:
        assert store(receiver, "1.2.826.0.1.99.1.1.1") == 0
        junk = fill(small_disk)
        assert store(receiver, A_SECOND) == 0xA700
        assert len([name for name in receiver.files() if not name.endswith(".part")]) == 1
        assert not list(receiver.settings.spool.glob("*.part"))
        junk.unlink()
        assert store(receiver, A_SECOND) == 0
    finally:
        receiver.stop()


def test_commands_on_a_full_disk_give_no_harmful_advice(small_disk: Path) -> None:
    receiver = Receiver(small_disk, reserve=0.0)
    junk = fill(small_disk)
    for words in (("init",), ("status",), ("jobs", "list"), ("doctor",)):
        ended = run_edge(*words, "--config", receiver.file)
        assert ended.returncode in (0, 1)
        assert "  at " not in ended.stderr, "a trace"
        assert "move journal.db" not in ended.stderr + ended.stdout, "the journal is whole"
    junk.unlink()


def test_counters_that_cannot_be_written_do_not_end_the_listener(tmp_path: Path) -> None:
    """As on a full disk: then a modality is refused the connection instead of hearing 0xA700."""
    receiver = Receiver(tmp_path).spawn()
    try:
        (receiver.settings.run / "receive-counters.part").mkdir()
        with Raw(receiver.port) as peer:
            peer.associate()
            peer.release()
        ringer = Ringer(receiver.settings.run)
        ringer.ring("receive")
        ringer.close()
        try:
            receiver.process.wait(3)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError("the room ended")
    finally:
        if receiver.process.poll() is None:
            (receiver.settings.run / "receive-counters.part").rmdir()
            receiver.stop()
