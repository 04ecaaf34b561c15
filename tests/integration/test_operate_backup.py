"""A backup taken while the box works, and put back on the same disk, on another one, and where it must not be."""

from __future__ import annotations

import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from support import run_edge

from edge import keys, rooms
from edge.journal import Journal, intake, views
from edge.records import Instance
from edge.slots import SLOT_SIZE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Make = Callable[..., InferBox]


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Make]:
    boxes: list[InferBox] = []

    def make(*, start: bool = False) -> InferBox:
        package = made_package(tmp_path / f"package{len(boxes)}")
        boxes.append(InferBox(tmp_path / f"box{len(boxes)}", {"brightness": package}))
        return boxes[-1].start() if start else boxes[-1]

    yield make
    for box in boxes:
        box.stop()


def push(box: InferBox, study: str, number: int = 0, **attributes: Any) -> Instance:
    """One chest X-ray of `study`, whose association has ended."""
    image = chest_dx(np.full((32, 32), 100 + number, np.uint8), StudyInstanceUID=study, **attributes)
    instance = box.store(image)
    intake.close_association(box.journal, instance.association)
    return instance


def edge(box: InferBox, *words: str | Path) -> tuple[int, Any, str]:
    """Exit code, JSON document (None without one) and stderr of `edge WORDS` on this box."""
    ended = run_edge(*words, "--json", "--config", box.settings.file)
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr


def backed_up(box: InferBox, file: Path) -> Path:
    code, _, problem = edge(box, "backup", file)
    assert code == 0, problem
    return file


def states(box: InferBox) -> dict[str, str]:
    """State and reason of each object in the journal that is there now."""
    journal = Journal(box.settings.journal)
    try:
        rows = journal.database.rows("SELECT object_id, state, reason FROM instance")
        return {row["object_id"]: f"{row['state']} {row['reason']}".strip() for row in rows}
    finally:
        journal.close()


def test_a_backup_has_the_journal_and_the_configuration_and_no_secret(make_box: Make, tmp_path: Path) -> None:
    box = make_box(start=True)
    box.job(push(box, "2.25.81"))
    file = backed_up(box, tmp_path / "box.edgebackup")
    with tarfile.open(file) as tar:
        assert tar.getnames() == ["backup.json", "journal.db", "edge.toml", "verify.pub", "device.uid"]
    content = file.read_bytes()
    for name in ("open.key", "sign.key", "tag.key"):
        assert keys.load(box.settings.keys, name) not in content
    slot = (box.settings.spool / "slots").read_bytes()[:SLOT_SIZE]
    assert slot[16:48].strip(b"\0")
    assert slot[16:48] not in content
    assert b"INVENTED" not in content
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_backup_is_one_moment_of_a_journal_that_is_being_written(make_box: Make, tmp_path: Path) -> None:
    box = make_box()
    stopping = threading.Event()

    def write() -> None:
        journal = Journal(box.settings.journal, durable=False)
        number = 0
        while not stopping.is_set():
            with journal.transaction():  # always two at once
                number += 2
                journal.note("study", f"1.{number}", "", "ARRIVED")
                journal.note("study", f"1.{number + 1}", "", "ARRIVED")
        journal.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        files = [backed_up(box, tmp_path / f"{number}.edgebackup") for number in range(3)]
    finally:
        stopping.set()
        writer.join()
    for number, file in enumerate(files):
        other = make_box()
        assert edge(other, "restore", file, "--only-journal")[0] == 0, number
        journal = Journal(other.settings.journal)
        assert sum(each.thing == "study" for each in views.events(journal, 1 << 30)) % 2 == 0
        journal.close()
        code, told, _ = edge(other, "audit", "verify")
        assert (code, told["problems"]) == (0, [])


def test_on_another_disk_everything_is_known_and_nothing_is_waited_for(make_box: Make, tmp_path: Path) -> None:
    box = make_box(start=True)
    done = push(box, "2.25.82")
    box.job(done)
    assert edge(box, "pause")[0] == 0
    box.stop()
    file = backed_up(box, tmp_path / "box.edgebackup")
    device = keys.device_uid(box.settings.keys)

    other = make_box()
    code, told, problem = edge(other, "restore", file)
    assert code == 0, problem
    assert told["lost"] == {"instances": 1, "jobs": 0, "deliveries": 1}
    assert states(other) == {done.object_id: "ERASED lost"}
    assert keys.device_uid(other.settings.keys) == device
    assert [row["state"] for row in edge(other, "deliveries", "list")[1]] == ["DISCARDED"]
    code, told, _ = edge(other, "audit", "verify")
    assert (code, told["problems"]) == (0, []), "signatures of the former key"
    assert edge(other, "resume")[0] == 0

    other.journal.close()
    other.journal = Journal(other.settings.journal)  # what the test itself holds is the one that was put aside
    again = other.store(chest_dx(np.full((32, 32), 101, np.uint8), StudyInstanceUID="2.25.82"))
    assert again.slot > done.slot, "a slot number that the journal knows would make one erasure two"
    other.start()
    assert other.job(again).outcome == "succeeded"


def test_what_is_held_goes_on_waiting_for_a_person(make_box: Make, tmp_path: Path) -> None:
    box = make_box(start=True)
    box.job(push(box, "2.25.85"))
    box.stop()
    (delivery,) = edge(box, "deliveries", "list")[1]
    journal = Journal(box.settings.journal)
    journal.move("delivery", delivery["id"], "PENDING", "HELD", "identity-unknown")
    journal.close()
    for report in box.settings.outbox.glob("*.dcm"):
        report.unlink()
    file = backed_up(box, tmp_path / "box.edgebackup")
    code, told, problem = edge(box, "restore", file, "--replace")
    assert code == 0, problem
    assert told["lost"]["deliveries"] == 0
    assert [row["state"] for row in edge(box, "deliveries", "list")[1]] == ["HELD"]


def test_what_was_erased_after_the_backup_stays_erased(make_box: Make, tmp_path: Path) -> None:
    box = make_box(start=True)
    kept, gone = push(box, "2.25.83"), push(box, "2.25.84", 1)
    box.job(kept)
    box.job(gone)
    file = backed_up(box, tmp_path / "box.edgebackup")
    assert edge(box, "erase", "2.25.84", "--reason", "test")[0] == 0
    box.stop()

    code, told, problem = edge(box, "restore", file)
    assert code == 1
    assert "in use already" in problem
    code, told, problem = edge(box, "restore", file, "--replace")
    assert code == 0, problem
    assert told["lost"]["instances"] == 1
    assert states(box) == {kept.object_id: "ROUTED", gone.object_id: "ERASED lost"}
    assert (box.settings.journal.parent / told["before"]).stat().st_size > 0
    assert len(edge(box, "deliveries", "list", "--state", "PENDING")[1]) == 1, "its file is in the outbox"


def test_what_came_after_the_backup_is_recorded_again(make_box: Make, tmp_path: Path) -> None:
    from edge.receive.room import recover

    box = make_box()
    push(box, "2.25.85")
    file = backed_up(box, tmp_path / "box.edgebackup")
    later = push(box, "2.25.86", 1)
    box.stop()
    assert edge(box, "restore", file, "--replace")[0] == 0
    journal = Journal(box.settings.journal)
    assert recover(journal, box.settings.spool, refuse_conflicts=False) == 1
    journal.close()
    assert states(box)[later.object_id] == "STORED"


def test_while_a_room_runs_nothing_is_restored(make_box: Make, tmp_path: Path) -> None:
    box = make_box()
    file = backed_up(box, tmp_path / "box.edgebackup")
    other = make_box()
    held = rooms.claim(other.settings, "receive")
    code, _, problem = edge(other, "restore", file)
    assert code == 1
    assert "it runs already on this root [receive]" in problem
    os.close(held)
    assert edge(other, "restore", file)[0] == 0


@pytest.mark.parametrize("damage", ["byte", "cut", "stranger", "link", "none"])
def test_what_is_no_whole_backup_changes_nothing(make_box: Make, tmp_path: Path, damage: str) -> None:
    box = make_box()
    file = backed_up(box, tmp_path / "box.edgebackup")
    content = bytearray(file.read_bytes())
    if damage == "byte":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[len(content) // 3 :]
    elif damage == "none":
        content = bytearray(b"no backup at all")
    file.write_bytes(content)
    if damage in ("stranger", "link"):
        entry = tarfile.TarInfo("stranger" if damage == "stranger" else "../outside")
        entry.type, entry.linkname = (tarfile.SYMTYPE if damage == "link" else tarfile.REGTYPE), "/etc"
        with tarfile.open(file, "a") as tar:
            tar.addfile(entry)
    before = box.settings.journal.read_bytes()
    code, _, problem = edge(box, "restore", file, "--replace")
    assert code == 1
    assert "no whole backup" in problem
    assert box.settings.journal.read_bytes() == before
    assert [path.name for path in box.settings.root.glob(".edge-*")] == []


def test_an_older_backup_never_replaces_a_file(make_box: Make, tmp_path: Path) -> None:
    box = make_box()
    file = backed_up(box, tmp_path / "box.edgebackup")
    assert edge(box, "backup", file)[0] == 2
    box.settings.file.write_text(box.settings.file.read_text() + "# changed since\n")
    box.settings.file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(box.settings.file, 0, 12345)
    held = box.settings.file.stat()
    assert edge(box, "restore", file)[0] == 0
    now = box.settings.file.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (held.st_mode, held.st_uid, held.st_gid)
    assert "# changed since" not in box.settings.file.read_text()
    assert "# changed since" in box.settings.file.with_name("edge.toml.before-restore").read_text()


@pytest.mark.parametrize("state", ["damaged", "later"])
def test_a_journal_that_cannot_be_opened_is_replaced_and_kept(make_box: Make, tmp_path: Path, state: str) -> None:
    box = make_box()
    instance = push(box, "2.25.87")
    file = backed_up(box, tmp_path / "box.edgebackup")
    box.stop()
    if state == "damaged":
        box.settings.journal.write_bytes(b"this was a journal once" * 1000)
    else:
        later = Journal(box.settings.journal)
        later.database.execute("PRAGMA user_version = 99")
        later.close()
    assert edge(box, "jobs", "list")[0] == 1
    code, told, problem = edge(box, "restore", file, "--replace")
    assert code == 0, problem
    assert states(box) == {instance.object_id: "STORED"}
    assert (box.settings.journal.parent / told["before"]).exists()


def test_a_later_schema_that_says_so_can_be_gone_on_with(make_box: Make) -> None:
    """So that an update which only adds to the journal can be rolled back."""
    box = make_box()
    box.journal.database.execute("PRAGMA user_version = 99")
    assert "schema 99" in edge(box, "jobs", "list")[2]
    box.journal.database.execute("PRAGMA application_id = 1")
    assert edge(box, "jobs", "list")[0] == 0
    assert edge(box, "init")[0] == 0


def test_a_backup_of_another_root_is_refused(make_box: Make, tmp_path: Path) -> None:
    box = make_box()
    file = backed_up(box, tmp_path / "box.edgebackup")
    box.settings.file.write_text(box.settings.file.read_text().replace('root = "root"', 'root = "elsewhere"'))
    code, _, problem = edge(box, "restore", file)
    assert code == 1
    assert "with the root" in problem
