"""Erasing and finding studies through a running infer room and its control socket."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from support import run_edge, wait_until

from edge import keys
from edge.errors import SealError
from edge.infer.erase import Eraser
from edge.infer.headers import Headers
from edge.journal import erasure, intake, outgoing, pausing, views
from edge.journal.journal import Journal
from edge.records import Instance
from edge.slots import SLOT_SIZE
from edge.vault import Opener, Sealer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

STUDY, OTHER = "2.25.7001", "2.25.7002"
ACCESSION, PATIENT = "INVENTEDACC77", "INVENTED-ID-77"
Make = Callable[..., InferBox]


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Make]:
    boxes: list[InferBox] = []

    def make(*, start: bool = True) -> InferBox:
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


def edge(box: InferBox, *words: str, value: str = "") -> tuple[int, Any, str]:
    """Exit code, JSON document (None without one) and stderr of `edge WORDS` on this box."""
    ended: subprocess.CompletedProcess[str] = run_edge(
        *words, "--json", "--config", box.settings.file, input=value + "\n"
    )
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr


def opens(spool: Path, private: bytes, object_id: str) -> bool:
    """Whether somebody with the opening key reads the object in `spool`."""
    try:
        return len(Opener(spool, private).read(object_id)) > 0
    except SealError:
        return False


def test_nothing_opens_an_erased_study_even_from_copies_of_its_files(make_box: Make, tmp_path: Path) -> None:
    box = make_box()
    erased, kept = push(box, STUDY), push(box, OTHER, 1)
    report = box.job(erased).report
    box.job(kept)
    private = keys.load(box.settings.keys, "open.key")
    backup = tmp_path / "backup"
    shutil.copytree(box.settings.spool, backup, ignore=shutil.ignore_patterns("slots"))
    shutil.copy(box.settings.spool / "slots", backup / "slots")
    assert opens(backup, private, erased.object_id)

    code, told, problem = edge(box, "erase", STUDY, "--reason", "test")
    assert code == 0, problem
    assert (told["objects"], told["slots"], told["deliveries"]) == (1, 1, 1)
    # a copy of the files alone, put back beside the slots of today: study keys are kept outside backups
    shutil.copy(box.settings.spool / "slots", backup / "slots")
    assert not opens(backup, private, erased.object_id)
    assert opens(backup, private, kept.object_id)
    assert not (box.settings.spool / erased.object_id).exists()
    assert not (box.settings.outbox / f"{report}.dcm").exists()
    assert box.instance_state(erased) == "ERASED test"
    assert [each.state for each in views.deliveries(box.journal, "DISCARDED")] == ["DISCARDED"]
    trail = [(each.new, each.reason) for each in views.events(box.journal, 9, "study", STUDY)]
    assert trail == [("ERASED", "test"), ("ERASING", "test")]


def test_jobs_and_deliveries_of_an_erased_study_stop(make_box: Make) -> None:
    box = make_box()
    assert edge(box, "pause")[0] == 0
    instance = push(box, STUDY)
    wait_until(lambda: views.jobs(box.journal, "READY"), what="a job that waits")
    code, told, problem = edge(box, "erase", STUDY)
    assert (code, told["jobs"]) == (0, 1), problem
    assert [each.state for each in views.jobs(box.journal)] == ["DISCARDED"]
    assert edge(box, "resume")[1] == {"paused": False, "changed": True}
    later = push(box, STUDY, 5, SOPInstanceUID=str(instance.sop_instance_uid))
    assert box.job(later).outcome == "succeeded"


def test_a_running_job_of_an_erased_study_delivers_nothing(make_box: Make) -> None:
    from edge.errors import JournalError
    from edge.journal import work
    from edge.records import UID, Outcome, Priority, Scope

    box = make_box(start=False)
    instance = push(box, STUDY)
    target = work.Target(Scope.IMAGE, "chest", "brightness", Priority.ROUTINE)
    work.route(box.journal, instance, [target])
    job = work.lease(box.journal, 60)
    assert job is not None
    erasure.begin(box.journal, STUDY, "person")
    with pytest.raises(JournalError):
        work.finish(
            box.journal, job, outcome=Outcome.SUCCEEDED, reason="", report=UID("2.25.1"), digest="a" * 64,
            quarantine=False, outgoing=[work.Outgoing(UID("2.25.1"), UID("1.2"), "archive", "b" * 64, "c" * 128)],
        )  # fmt: skip
    assert views.deliveries(box.journal) == []


def test_what_came_after_the_erasure_began_is_left_alone(make_box: Make) -> None:
    box = make_box(start=False)
    gone = push(box, STUDY)
    erasure.begin(box.journal, STUDY, "person")
    later = push(box, STUDY, 1)
    box.start()
    assert box.instance_state(gone) == "ERASED person"
    assert box.job(later).outcome == "succeeded"
    assert erasure.slots(box.journal, STUDY) == []


def test_what_is_still_coming_in_or_never_came_is_refused(make_box: Make) -> None:
    box = make_box()
    box.store(chest_dx(np.zeros((32, 32), np.uint8), StudyInstanceUID=STUDY))
    code, _, problem = edge(box, "erase", STUDY)
    assert (code, "being received" in problem) == (1, True)
    code, _, problem = edge(box, "erase", "2.25.9")
    assert (code, "nothing of this study" in problem) == (1, True)
    assert edge(box, "erase", "Doe^Invented")[0] == 2
    assert edge(box, "erase", STUDY, "--reason", "for Invented")[0] == 2


def test_an_interrupted_erasure_is_finished_at_the_next_start(make_box: Make) -> None:
    box = make_box(start=False)
    instance = push(box, STUDY)
    erasure.begin(box.journal, STUDY, "person")
    assert (box.settings.spool / instance.object_id).exists()
    box.start()
    assert box.instance_state(instance) == "ERASED person"
    assert not (box.settings.spool / instance.object_id).exists()
    assert erasure.unfinished(box.journal) == []


def test_a_large_study_is_unreadable_in_milliseconds(make_box: Make) -> None:
    """100,000 objects in the journal, of 100 associations; the files are not what takes the time."""
    box = make_box(start=False)
    sealer = Sealer(
        box.settings.spool, keys.load(box.settings.keys, "seal.pub"), keys.load(box.settings.keys, "tag.key")
    )
    slots = [sealer.study_key().slot for _ in range(100)]
    sealer.slots.close()
    with box.journal.transaction():
        box.journal.database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) INSERT INTO instance "
            "SELECT printf('%032x', i), '2.25.1' || i, '1.2', ?, '2.25.2', '1.2', 'CT', 'test', printf('%032x', 1), "
            "printf('%064x', i), 1, i % 100, 0.0, 1, 'ROUTED', '' FROM n",
            (STUDY,),
        )
    erasure.begin(box.journal, STUDY, "person")
    private = keys.load(box.settings.keys, "open.key")
    opener = Opener(box.settings.spool, private)
    eraser = Eraser(box.settings.spool, box.settings.outbox, box.journal, opener, Headers(opener))
    times = [eraser._forget_keys(STUDY)[1] for _ in range(3)]
    assert min(times) <= 50.0, times
    raw = (box.settings.spool / "slots").read_bytes()
    assert raw == bytes(SLOT_SIZE * len(slots))


@pytest.mark.parametrize(("option", "value"), [("--accession", ACCESSION), ("--patient-id", PATIENT)])
def test_a_study_is_found_by_what_only_its_sealed_head_says(make_box: Make, option: str, value: str) -> None:
    box = make_box()
    wanted = push(box, STUDY, AccessionNumber=ACCESSION, PatientID=PATIENT)
    push(box, OTHER, 1, AccessionNumber="INVENTEDACC78", PatientID="INVENTED-ID-78")
    box.job(wanted)
    code, told, problem = edge(box, "find", option, "-", value=value)
    assert code == 0, problem
    (study,) = told["studies"]
    assert study == {
        "study_instance_uid": STUDY, "objects": {"ROUTED": 1}, "jobs": {"DONE": 1}, "deliveries": {"PENDING": 1},
    }  # fmt: skip
    assert value not in json.dumps(told) + problem
    assert [(each.new, each.name) for each in views.events(box.journal, 2)] == [("FOUND", STUDY), ("SEARCHED", "find")]
    for file in box.settings.root.rglob("*"):
        assert not file.is_file() or value.encode() not in file.read_bytes(), file


def test_a_value_on_the_command_line_is_refused_and_not_repeated(make_box: Make) -> None:
    code, told, problem = edge(make_box(start=False), "find", "--accession", ACCESSION)
    assert (code, told) == (2, None)
    assert ACCESSION not in problem


def test_what_is_not_there_is_not_found(make_box: Make) -> None:
    box = make_box()
    push(box, STUDY, AccessionNumber=ACCESSION)
    assert edge(box, "find", "--accession", "-", value="INVENTEDACC7")[0] == 1


def test_a_pause_outlives_the_room_and_keeps_deliveries_too(make_box: Make) -> None:
    box = make_box()
    job = box.job(push(box, STUDY))
    edge(box, "pause", "--reason", "update")
    assert outgoing.due(box.journal, "archive") == []
    box.stop()
    journal = Journal(box.settings.journal)
    held = pausing.current(journal)
    assert held is not None
    assert held.reason == "update"
    journal.close()
    assert "PAUSED" in run_edge("status", "--config", box.settings.file).stdout.splitlines()[2]
    assert job.state == "DONE"


def test_strangers_and_nonsense_do_not_stop_the_desk(make_box: Make) -> None:
    box = make_box()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for message in (b"", b"\xff" * 100, b"[]", b'{"answer": "../../x"}', b"{" * 4000, b"x" * 60000):
            stranger.sendto(message, str(box.settings.run / "control.sock"))
    code, _, problem = edge(box, "erase", STUDY)
    assert (code, "nothing of this study" in problem) == (1, True)
    assert list(box.settings.run.glob("ask-*")) == []


def test_a_room_that_is_down_is_said_so_at_once(make_box: Make) -> None:
    box = make_box(start=False)
    began = time.monotonic()
    code, _, problem = edge(box, "erase", STUDY)
    assert (code, "does not answer" in problem) == (1, True)
    assert time.monotonic() - began < 10
