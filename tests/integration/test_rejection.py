"""Rejection notes (IHE IOCM) by a real storescu: jobs stop, images go, results are withdrawn. Invented names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from acceptance.objects import chest_dx
from gateway import written
from infer_box import InferBox, made_package
from pydicom.dataset import Dataset
from rejection_notes import note
from support import EDGE_TOML, Box, free_port, run_edge, wait_until

from edge.infer import rejection
from edge.journal import Journal, create, intake, pausing, rejecting, views, work
from edge.records import UID, Instance, Job, Outcome, Priority, Scope
from edge.report.kinds import KO, SR
from edge.slots import SLOT_SIZE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def xray(number: int = 1, **attributes: object) -> Dataset:
    pixels = np.random.default_rng(number).integers(0, 4096, (640, 600)).astype(np.uint16)
    return chest_dx(pixels, **attributes)


def test_each_kind_of_note_by_storescu_withdraws_its_image_and_leaves_the_others(
    tmp_path: Path, box: Callable[..., Box]
) -> None:
    started = box(text=EDGE_TOML.format(port=free_port())).start()  # nobody takes results: all of them wait
    images = [xray(number) for number in range(5)]
    images[4].StudyInstanceUID, images[4].SeriesInstanceUID = images[0].StudyInstanceUID, images[0].SeriesInstanceUID
    push(started, tmp_path, images)
    wait_until(lambda: len(deliveries(started)) == 5, 60, "five results that wait")
    push(started, tmp_path, [note([image], title) for image, title in zip(images, rejection.REASONS, strict=False)])
    left = {job["unit"]: job["report"] for job in started.json("jobs", "list")}[images[4].SOPInstanceUID]
    expected = sorted([(f"DISCARDED {reason}") for reason in rejection.REASONS.values()])
    wait_until(
        lambda: sorted(state for state in deliveries(started).values() if state.startswith("D")) == expected,
        60, "four results that are withdrawn",
    )  # fmt: skip
    assert deliveries(started)[left].startswith("PENDING")
    wait_until(lambda: erased(started) == 4, 20, "four images that are erased")
    assert [path.stem for path in started.settings.outbox.iterdir()] == [left]
    sealed = [path for path in started.settings.spool.iterdir() if len(path.name) == 32]
    assert len(sealed) == 5  # one image, and the four notes themselves
    told = [each for each in started.json("audit", "show", "--limit", "200") if each["new"] == "REJECTED"]
    assert sorted(each["reason"] for each in told) == sorted(rejection.REASONS.values())
    assert run_edge("audit", "verify", "--config", started.file).returncode == 0


def erased(box: Box) -> int:
    journal = Journal(box.settings.journal)
    try:
        return views.counts(journal)["instance"]["ERASED"]
    finally:
        journal.close()


def push(box: Box, folder: Path, datasets: Sequence[Dataset]) -> None:
    paths = [folder / f"{dataset.SOPInstanceUID}.dcm" for dataset in datasets]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(written(dataset))
    ended = box.push(*paths)
    assert ended.returncode == 0, ended.stderr


def deliveries(box: Box) -> dict[str, str]:
    found = box.json("deliveries", "list")
    return {each["sop_instance_uid"]: f"{each['state']} {each['reason']}".strip() for each in found}


@pytest.fixture
def infer(tmp_path: Path) -> Iterator[InferBox]:
    made = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}).start()
    yield made
    made.stop()


def small(**attributes: object) -> Dataset:
    return chest_dx(np.full((32, 32), 9, np.uint8), **attributes)


def take(infer: InferBox, dataset: Dataset) -> Instance:
    """Store it as if its association had ended."""
    instance = infer.store(dataset)
    intake.close_association(infer.journal, instance.association)
    return instance


def test_a_job_that_waits_never_runs_and_the_key_is_overwritten(infer: InferBox) -> None:
    pausing.pause(infer.journal, "person")
    image = small()
    instance = take(infer, image)
    wait_until(lambda: infer.instance_state(instance) == "ROUTED", what="the image is routed")
    take(infer, note([image], "113037"))
    wait_until(lambda: infer.instance_state(instance) == "ERASED rejected-safety", what="the image is erased")
    (job,) = views.jobs(infer.journal)
    assert (job.state, job.reason) == ("DISCARDED", "rejected-safety")
    key = (infer.settings.spool / "slots").read_bytes()[instance.slot * SLOT_SIZE : (instance.slot + 1) * SLOT_SIZE]
    assert key == bytes(SLOT_SIZE)


def test_other_titles_and_other_studies_reject_nothing(infer: InferBox) -> None:
    image = small()
    instance = take(infer, image)
    infer.job(instance)
    other = note([image], "113001")
    other.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = "2.25.1"
    foreign = note([image], "113001")
    foreign.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99INVENTED"
    for each, reason in ((note([image], "113000"), "loop-guard"), (other, "rejected-quality"), (foreign, "loop-guard")):
        stored = take(infer, each)
        wait_until(lambda stored=stored: infer.instance_state(stored) != "STORED", what="the note is read")
        assert infer.instance_state(stored) == f"UNROUTED {reason}"
    assert infer.instance_state(instance) == "ROUTED"


def test_a_note_that_cannot_be_read_is_put_aside_and_rejects_nothing(infer: InferBox) -> None:
    image = small()
    instance = take(infer, image)
    broken = note([image], "113001")
    series = broken.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "INVENTED"
    stored = take(infer, broken)
    wait_until(lambda: infer.instance_state(stored) == "QUARANTINED unreadable", what="the note is put aside")
    assert infer.instance_state(instance) == "ROUTED"


def test_an_image_that_comes_again_after_its_note_is_analysed_again(infer: InferBox) -> None:
    image = small()
    first = take(infer, image)
    infer.job(first)
    take(infer, note([image], "113039"))
    wait_until(lambda: infer.instance_state(first) == "ERASED rejected-retention", what="the image is erased")
    again = take(infer, image)
    assert wait_until(lambda: infer.job(again).revision == 2, what="the second look")
    assert infer.job(again).outcome == "succeeded"


def test_a_series_that_lost_an_image_is_looked_at_again_without_it(tmp_path: Path) -> None:
    create(tmp_path / "journal.db")
    journal = Journal(tmp_path / "journal.db")
    for number in (1, 2):
        work.route(journal, journal_image(journal, number), [work.Target(Scope.SERIES, "r", "p", Priority.ROUTINE)])
    (unit,) = work.open_units(journal)
    work.ready(journal, unit["id"], "quiet", Priority.ROUTINE)
    assert rejecting.find(journal, "1.3", {"1.2.1"}, f"{3:032x}") == ()  # of a note that the journal does not know
    journal_image(journal, 3)
    for uid, left in (("1.2.1", [1]), ("1.2.2", [])):
        rejected = rejecting.find(journal, "1.3", {uid}, f"{3:032x}")
        rejecting.stop(journal, "1.3", rejected, "rejected-quality")
        rejecting.gone(journal, "1.3", rejected, "rejected-quality")
        assert [each["arrived"] for each in work.open_units(journal)] == left
    found = work.unit(journal, unit["id"])
    assert found is not None
    assert (found.revision, found.state, found.reason) == (2, "READY", "rejected-quality")
    journal.close()


def test_our_own_note_is_not_withdrawn_by_what_comes_after_it(tmp_path: Path) -> None:
    """Neither when the note that it answers is carried out again, nor by the next revision of what is left."""
    create(tmp_path / "journal.db")
    journal = Journal(tmp_path / "journal.db")
    for number in (1, 2):
        work.route(journal, journal_image(journal, number), [work.Target(Scope.SERIES, "r", "p", Priority.ROUTINE)])
    (unit,) = work.open_units(journal)
    work.ready(journal, unit["id"], "quiet", Priority.ROUTINE)
    job = end(journal)
    with journal.transaction():
        work.queue(journal, job, outgoing("2.25.2", KO.sop_class_uid))
    journal_image(journal, 3)
    rejected = rejecting.find(journal, "1.3", {"1.2.1"}, f"{3:032x}")
    assert rejecting.stop(journal, "1.3", rejected, "rejected-quality").deliveries == 1
    rejecting.gone(journal, "1.3", rejected, "rejected-quality")
    work.ready(journal, unit["id"], "quiet", Priority.ROUTINE)
    end(journal)
    rows = journal.database.rows("SELECT sop_instance_uid AS uid, state FROM delivery ORDER BY id")
    assert [(row["uid"], row["state"]) for row in rows] == [("2.25.1", "DISCARDED"), ("2.25.2", "PENDING")]
    journal.close()


def outgoing(uid: str, sop_class_uid: str) -> work.Outgoing:
    return work.Outgoing(UID(uid), UID(sop_class_uid), "archive", "0" * 64, "0" * 128)


def end(journal: Journal) -> Job:
    """The next job, DONE with a report that waits to be sent."""
    job = work.lease(journal, 60.0)
    assert job is not None
    work.finish(
        journal, job, outcome=Outcome.SUCCEEDED, reason="", report=UID("2.25.1"), digest="d" * 64, quarantine=False,
        outgoing=[outgoing("2.25.1", SR.sop_class_uid)],
    )  # fmt: skip
    return job


def journal_image(journal: Journal, number: int) -> Instance:
    instance = Instance(
        object_id=f"{number:032x}", sop_instance_uid=UID(f"1.2.{number}"), sop_class_uid=UID("1.2.840"),
        study_instance_uid=UID("1.3"), series_instance_uid=UID("1.4"), transfer_syntax_uid=UID("1.5"), modality="CT",
        peer="ct1", association="a" * 32, tag=f"{number:064x}", size=1, slot=0, received_at=1.0,
    )  # fmt: skip
    intake.store(journal, [instance], refuse_conflicts=False)
    return instance
