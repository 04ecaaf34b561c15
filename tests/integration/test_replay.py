"""`edge replay` and the inference trace: the same bits again, or what differs and why. All identities are invented."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from support import run_edge, wait_until

from edge.journal import traces, views
from edge.records import Instance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
STUDY = "2.25.771"
NAME = "INVENTED^Replayed"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InferBox]:
    made = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}).start()
    yield made
    made.stop()


def push(box: InferBox, level: int = 77, **attributes: Any) -> Instance:
    pixels = np.full((32, 32), level, np.uint8)
    return box.store(chest_dx(pixels, **{"StudyInstanceUID": STUDY, "PatientName": NAME, **attributes}))


def replay(box: InferBox, report: str) -> tuple[int, Any, str]:
    """Exit code, what --json says, stderr."""
    ended = run_edge("replay", report, "--config", box.settings.file, "--json")
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr


def rewrite(box: InferBox, job: int, change: Callable[[dict[str, Any]], object]) -> None:
    """The trace as another box, or another day, would have told it."""
    told = traces.of_job(box.journal, job)
    assert told is not None
    change(told)
    traces.add(box.journal, job, json.dumps(told, separators=(",", ":")))


def test_a_report_is_made_again_bit_for_bit(box: InferBox) -> None:
    job = box.job(push(box))
    before = views.counts(box.journal)
    code, told, problem = replay(box, job.report)
    assert (code, problem) == (0, "")
    assert (told["same"], told["differences"], told["report"]) == (True, [], job.report)
    assert views.counts(box.journal) == before
    assert [(each.thing, each.new, each.reason) for each in views.events(box.journal, 1)] == [
        ("job", "REPLAYED", "same")
    ]
    text = run_edge("replay", job.report, "--config", box.settings.file).stdout
    assert "the same, bit for bit" in text.splitlines()[0]


def test_the_trace_tells_all_that_a_number_depends_on_and_names_nobody(box: InferBox) -> None:
    instance = push(box)
    job = box.job(instance)
    ended = run_edge("jobs", "show", str(job.id), "--config", box.settings.file, "--json")
    trace = json.loads(ended.stdout)["trace"]
    assert trace["sources"] == [{"uid": instance.sop_instance_uid, "tag": instance.tag}]
    assert trace["package"]["name"] == "brightness"
    assert trace["provider"] == "CPUExecutionProvider"
    assert set(trace["milliseconds"]) == {"parse", "decode", "prepare", "run"}
    assert {"edge", "python", "kernels", "processor", "onnxruntime", "numpy"} <= set(trace["versions"])
    assert [each["uid"] for each in trace["outputs"]] == [job.report]
    (score,) = trace["scores"]
    assert np.float32(score["score"]) == pytest.approx(1 / (1 + np.exp(-77 / 255)), abs=1e-3)
    assert len(repr(score["score"])) > 10
    assert "INVENTED" not in ended.stdout
    assert repr(score["score"]) in run_edge("jobs", "show", str(job.id), "--config", box.settings.file).stdout


def test_another_machine_is_told_apart_by_versions_and_digits(box: InferBox) -> None:
    job = box.job(push(box))

    def elsewhere(told: dict[str, Any]) -> None:
        told["versions"]["onnxruntime"] = "0.0.1"
        told["scores"][0]["score"] += 2**-30

    rewrite(box, job.id, elsewhere)
    code, told, _ = replay(box, job.report)
    assert (code, told["same"]) == (1, False)
    found = {each["what"]: (each["then"], each["now"]) for each in told["differences"]}
    assert set(found) == {"scores", "versions.onnxruntime"}
    assert found["versions.onnxruntime"][0] == "0.0.1"
    then, now = found["scores"]
    assert then[0]["score"] - now[0]["score"] == 2**-30


def test_other_versions_that_change_nothing_are_the_same(box: InferBox) -> None:
    job = box.job(push(box))
    rewrite(box, job.id, lambda told: told["versions"].update(numpy="0.0.1"))
    assert replay(box, job.report)[:2][0] == 0


def test_a_corrected_image_does_not_change_what_the_first_report_was_made_from(box: InferBox) -> None:
    first = box.job(push(box, SOPInstanceUID="2.25.772"))
    corrected = push(box, 200, SOPInstanceUID="2.25.772", PatientName="INVENTED^Corrected")
    wait_until(lambda: box.job(corrected).revision == 2, what="the second report")
    second = box.job(corrected)
    scores = []
    for job in (first, second):
        code, told, _ = replay(box, job.report)
        assert code == 0
        scores.append(told["scores"][0]["score"])
    assert scores[0] < scores[1]


def test_another_package_is_no_replay(box: InferBox) -> None:
    job = box.job(push(box))
    rewrite(box, job.id, lambda told: told["package"].update(digest="0" * 64))
    code, told, problem = replay(box, job.report)
    assert (code, told) == (1, None)
    assert problem.startswith("E-PACKAGE")
    assert "0" * 64 in problem


def test_what_is_erased_cannot_be_replayed_and_leaves_no_trace(box: InferBox) -> None:
    job = box.job(push(box))
    with box.journal.transaction():
        box.journal.database.execute("UPDATE association SET closed_at = 1.0")
    assert run_edge("erase", STUDY, "--config", box.settings.file).returncode == 0
    assert traces.of_job(box.journal, job.id) is None
    code, _, problem = replay(box, job.report)
    assert (code, "not stored any more" in problem) == (1, True)


def test_what_is_no_report_of_this_box_is_refused(box: InferBox) -> None:
    assert replay(box, "2.25.1234")[0] == 1
    assert replay(box, NAME)[0] == 2


def test_the_journal_takes_no_name_into_a_trace(box: InferBox) -> None:
    job = box.job(push(box))
    for text in ('{"patient":"INVENTED^Name"}', '{"patient":"INVENTED Name"}', '{"patient":"H\u00fclsmann"}'):
        with pytest.raises(sqlite3.IntegrityError):
            traces.add(box.journal, job.id, text)
