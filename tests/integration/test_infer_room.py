"""The infer room with real worker processes: from a sealed object to a signed report, whatever goes wrong."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import package_maker
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, encoded, made_package
from support import run_edge, wait_until

from edge import keys
from edge.deliver import outbox as deliver_outbox
from edge.journal import outgoing, views, work
from edge.records import Delivery, Priority, Scope
from edge.report.reader import read_report
from edge.statement import NO_SIGNATURE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

MARKER = "INVENTEDMARKER"
Make = Callable[..., InferBox]


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Make]:
    boxes: list[InferBox] = []

    def make(*, start: bool = True, toml_words: dict[str, Any] | None = None, **changes: Any) -> InferBox:
        package = made_package(tmp_path / f"package{len(boxes)}", **changes)
        box = InferBox(tmp_path / f"box{len(boxes)}", {"brightness": package}, **(toml_words or {}))
        boxes.append(box)
        return box.start() if start else box

    yield make
    for box in boxes:
        box.stop()


def xray(level: int = 0, size: int = 32, **attributes: Any) -> Any:
    return chest_dx(np.full((size, size), level, np.uint8), **attributes)


def delivery(box: InferBox) -> Delivery:
    (row,) = box.journal.database.rows("SELECT * FROM delivery ORDER BY id DESC LIMIT 1")
    return outgoing.delivery(row)


def test_image_becomes_a_report_that_deliver_believes(make_box: Make) -> None:
    box = make_box()
    job = box.job(box.store(xray(255)))
    assert (job.state, job.outcome, job.reason, job.attempts) == ("DONE", "succeeded", "", 1)
    item = delivery(box)
    parts = deliver_outbox.read(box.settings.outbox, item, keys.load(box.settings.keys, "verify.pub"))
    assert parts.sop_instance_uid == job.report
    (finding,) = read_report((box.settings.outbox / f"{job.report}.dcm").read_bytes()).findings
    assert finding.present
    assert finding.score == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-3)


def test_two_different_images_have_two_different_scores(make_box: Make) -> None:
    """A warm worker must never answer with an earlier image's numbers."""
    box = make_box()
    scores = []
    for level in (0, 255, 0):
        job = box.job(box.store(xray(level)))
        (finding,) = read_report((box.settings.outbox / f"{job.report}.dcm").read_bytes()).findings
        scores.append(finding.score)
    assert scores[0] == scores[2] != scores[1]
    assert len(box.room.pool.pids()) == 1


def test_whole_life_of_an_image_costs_three_commits(make_box: Make) -> None:
    box = make_box()
    box.job(box.store(xray()))  # warm
    writes: list[str] = []
    begun: list[str] = []

    def trace(sql: str) -> None:
        if sql.startswith("BEGIN"):
            begun.clear()
        elif sql.startswith(("INSERT", "UPDATE")):
            begun.append(sql)
        elif sql == "COMMIT" and begun:
            writes.append(sql)

    box.room._journal.database._connection.set_trace_callback(trace)
    box.job(box.store(xray(9)))
    outgoing.sent(box.room._journal, outgoing.due(box.room._journal, "archive")[-1])
    assert len(writes) <= 3


@pytest.mark.parametrize(
    ("attributes", "outcome", "reason", "state"),
    [
        ({"PatientSpeciesDescription": "CANINE"}, "not-attempted", "not-applicable:PatientSpeciesDescription", "DONE"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not-attempted", "unsupported-pixels", "DONE"),
        ({"NumberOfFrames": 3}, "not-attempted", "unsupported-pixels", "DONE"),
        ({"PixelData": None}, "not-attempted", "no-pixel-data", "DONE"),
        ({"Rows": 4000}, "failed", "undecodable", "QUARANTINED"),
        ({"Rows": 65535, "Columns": 65535}, "failed", "too-large", "QUARANTINED"),
    ],
)
def test_reasons(make_box: Make, attributes: dict[str, Any], outcome: str, reason: str, state: str) -> None:
    box = make_box(
        applicability={"PatientSpeciesDescription": {"absent": "accept", "any_of": ["HUMAN"]}},
    )
    job = box.job(box.store(xray(**attributes)))
    assert (job.outcome, job.reason, job.state) == (outcome, reason, state)
    view = read_report((box.settings.outbox / f"{job.report}.dcm").read_bytes())
    assert (view.outcome, view.reason) == (outcome, reason)
    assert not view.findings


def test_rule_about_the_prepared_input(make_box: Make) -> None:
    box = make_box(applicability={"InputStandardDeviation": {"absent": "refuse", "min": 0.01}})
    assert box.job(box.store(xray())).reason == "not-applicable:InputStandardDeviation"


def test_score_outside_the_manifest_is_no_finding(make_box: Make) -> None:
    from onnx import helper

    members = package_maker.plain_members()
    members["model.onnx"] = package_maker.model_of(
        [helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0),
         helper.make_node("Reshape", ["sum", "shape"], ["output"])],
        (helper.make_tensor("shape", 7, [2], [1, 1]),),
    )  # fmt: skip
    box = make_box(members=members)
    job = box.job(box.store(xray(255)))
    assert (job.outcome, job.reason, job.state) == ("failed", "bad-output", "QUARANTINED")


def test_what_cannot_be_parsed_is_quarantined_and_the_room_goes_on(make_box: Make) -> None:
    box = make_box()
    broken = [box.store(bytes([number]) * 300, "1.2.840.10008.1.2.1.99") for number in range(5)]
    deep = box.store((b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 3000)
    assert box.job(box.store(xray())).outcome == "succeeded"
    for instance in [*broken, deep]:
        wait_until(lambda each=instance: box.instance_state(each) != "STORED", what="routing")
        assert box.instance_state(instance) == "QUARANTINED unreadable"


def test_damaged_object_is_a_reason(make_box: Make) -> None:
    box = make_box(start=False)
    instance = box.store(xray(size=1600))
    path = box.settings.spool / instance.object_id
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1  # in the last chunk: the head can still be opened
    path.chmod(0o600)
    path.write_bytes(data)
    box.start()
    job = box.job(instance)
    assert (job.state, job.reason) == ("QUARANTINED", "sealed-object-damaged")


def test_killed_worker_costs_an_attempt_and_not_the_job(make_box: Make) -> None:
    box = make_box()
    box.job(box.store(xray()))
    (pid,) = box.room.pool.pids()
    os.kill(pid, signal.SIGSTOP)
    instance = box.store(xray(7))
    wait_until(lambda: views.jobs(box.journal, "RUNNING"), what="a running job")
    os.kill(pid, signal.SIGKILL)
    job = box.job(instance)
    assert (job.outcome, job.attempts) == ("succeeded", 2)
    assert "worker-crashed" in {event.reason for event in views.events(box.journal, 50)}
    assert pid not in box.room.pool.pids()


def test_model_that_runs_too_long_fails_after_all_attempts(make_box: Make) -> None:
    box = make_box(members=slow_members(), limits={"memory_mib": 1024, "seconds": 0.05}, toml_words={"attempts": 2})
    job = box.job(box.store(xray()))
    assert (job.state, job.outcome, job.reason, job.attempts) == ("QUARANTINED", "failed", "time-limit", 2)
    assert read_report((box.settings.outbox / f"{job.report}.dcm").read_bytes()).outcome == "failed"


@pytest.mark.parametrize("backends", [["cpu"], ["cpu", "cuda"]])
def test_model_that_eats_memory_fails_and_the_room_goes_on(make_box: Make, backends: list[str]) -> None:
    box = make_box(
        members=greedy_members(), limits={"memory_mib": 64, "seconds": 30.0},
        runtime={"opset": 17, "backends": backends}, toml_words={"attempts": 1},
    )  # fmt: skip
    for level in range(2):
        job = box.job(box.store(xray(level)))
        assert (job.outcome, job.reason) == ("failed", "memory-limit")


def test_graph_that_cannot_be_loaded(make_box: Make) -> None:
    members = package_maker.plain_members()
    members["model.onnx"] = b"this is no graph"
    box = make_box(members=members, toml_words={"attempts": 2})
    job = box.job(box.store(xray()))
    assert (job.state, job.reason, job.attempts) == ("QUARANTINED", "package-unavailable", 2)


def test_route_without_package_loses_nothing(tmp_path: Path) -> None:
    box = InferBox(tmp_path / "box", {}, package="not-there").start()
    try:
        job = box.job(box.store(xray()))
        assert (job.state, job.reason, job.report) == ("QUARANTINED", "package-unavailable", "")
        assert list(box.settings.outbox.iterdir()) == []
    finally:
        box.stop()


def test_identity_inside_a_uid_is_held_and_written_nowhere(make_box: Make) -> None:
    box = make_box()
    job = box.job(box.store(xray(PatientID="987654321", StudyInstanceUID="1.2.987654321.5")))
    assert job.outcome == "succeeded"
    item = delivery(box)
    assert (item.state, item.reason, item.signature) == ("HELD", "identity-in-uid", NO_SIGNATURE)
    assert list(box.settings.outbox.iterdir()) == []
    key = keys.load(box.settings.keys, "verify.pub")
    with pytest.raises(deliver_outbox.Refused):
        deliver_outbox.read(box.settings.outbox, item, key)


def test_run_again_after_a_crash_adopts_the_written_report(make_box: Make) -> None:
    """The file was written, the journal never heard of it: one UID keeps one byte string."""
    box = make_box()
    job = box.job(box.store(xray(3)))
    path = box.settings.outbox / f"{job.report}.dcm"
    written = path.read_bytes()
    with box.journal.transaction():
        box.journal.database.execute("DELETE FROM delivery")
        box.journal.database.execute("UPDATE job SET state = 'READY', outcome = '', report = ''")
    before = path.stat().st_ino
    box.ringer.ring("infer")
    again = wait_until(lambda: [each for each in views.jobs(box.journal, "DONE") if each.report], what="the job")[0]
    assert (again.report, again.outcome, again.attempts) == (job.report, "succeeded", 2)
    assert (path.stat().st_ino, path.read_bytes()) == (before, written)
    deliver_outbox.read(box.settings.outbox, delivery(box), keys.load(box.settings.keys, "verify.pub"))


def test_job_that_ended_the_room_every_time_is_given_up(make_box: Make) -> None:
    box = make_box(start=False, toml_words={"attempts": 2})
    instance = box.store(xray())
    work.route(box.journal, instance, [work.Target(Scope.IMAGE, "chest", "brightness", Priority.ROUTINE)])
    for _ in range(work.MAX_RESTARTS + 2):
        work.lease(box.journal, 60)
        work.release_stale(box.journal)
    box.start()
    job = box.job(instance)
    assert (job.state, job.reason) == ("QUARANTINED", "internal")
    # its attributes were not read again, so nobody knows whether its UIDs may leave
    assert (delivery(box).state, delivery(box).reason) == ("HELD", "identity-unknown")
    assert list(box.settings.outbox.iterdir()) == []


def test_outcome_that_the_route_does_not_send_has_no_report(make_box: Make, tmp_path: Path) -> None:
    from infer_box import TOML

    package = made_package(tmp_path / "other", applicability={"Rows": {"absent": "refuse", "min": 9999.0}})
    toml = TOML.replace('"failed", "not-attempted"', '"failed"')
    box = InferBox(tmp_path / "silent", {"brightness": package}, toml).start()
    try:
        job = box.job(box.store(xray()))
        assert (job.outcome, job.report) == ("not-attempted", "")
        assert views.deliveries(box.journal) == []
    finally:
        box.stop()


def test_several_lanes_end_every_job_once(make_box: Make) -> None:
    box = make_box(toml_words={"workers": 3})
    stored = [box.store(xray(number)) for number in range(24)]
    for instance in stored:
        assert box.job(instance).attempts == 1
    assert len(views.deliveries(box.journal)) == 24
    assert len(box.room.pool.pids()) <= 4


def test_no_identity_in_journal_logs_outbox_or_names(make_box: Make, caplog: pytest.LogCaptureFixture) -> None:
    box = make_box()
    identity = {
        "PatientName": f"{MARKER}^A", "PatientID": f"{MARKER}B", "AccessionNumber": f"{MARKER}C",
        "StudyDescription": f"{MARKER} D", "ReferringPhysicianName": f"{MARKER}^E", "StationName": f"{MARKER}F",
        "BodyPartExamined": f"{MARKER}G", "ViewPosition": f"{MARKER}H", "PatientComments": f"{MARKER} I",
    }  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        jobs = [
            box.job(box.store(xray(number, **{**identity, **attributes})))
            for number, attributes in enumerate(
                [{}, {"PhotometricInterpretation": f"{MARKER}"}, {"Rows": 999}, {"BitsStored": 12}]
            )
        ]
    assert {job.outcome for job in jobs} == {"succeeded", "not-attempted", "failed"}
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("edge"))
    assert "job" in said
    assert MARKER not in said
    for path in box.settings.root.rglob("*"):
        assert MARKER not in path.name
        if path.is_file():
            assert MARKER.encode() not in path.read_bytes(), path.name


def test_stops_while_jobs_wait(make_box: Make) -> None:
    box = make_box()
    for number in range(30):
        box.store(xray(number))
    box.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane-")]


def test_commands_on_a_living_box(make_box: Make) -> None:
    box = make_box()
    bad = box.job(box.store(xray(Rows=4000)))
    file = box.settings.file
    listed = run_edge("jobs", "list", "--json", "--config", file)
    assert f'"id": {bad.id}' in listed.stdout
    assert '"undecodable"' in listed.stdout
    shown = run_edge("jobs", "show", str(bad.id), "--config", file)
    assert "The pixel data cannot be decoded" in shown.stdout
    retried = run_edge("jobs", "retry", str(bad.id), "--config", file)
    assert retried.returncode == 0, retried.stderr
    again = wait_until(
        lambda: [each for each in views.jobs(box.journal, "QUARANTINED") if each.revision == 2], what="the retry"
    )[0]
    assert again.report != bad.report
    discarded = run_edge("jobs", "discard", str(again.id), "--config", file)
    assert "DISCARDED" in discarded.stdout
    refused = run_edge("jobs", "discard", str(again.id), "--config", file)
    assert refused.returncode == 1
    assert "try:" in refused.stderr
    assert run_edge("jobs", "show", "999", "--config", file).returncode == 2


def test_route_command_says_which_and_why_not(tmp_path: Path) -> None:
    from acceptance.objects import save

    box = InferBox(tmp_path / "box", {}, package="cxr-pneumonia")
    try:
        child = save(xray(size=300), tmp_path / "child.dcm")
        adult = save(xray(size=300, PatientAge="045Y", PatientName=MARKER), tmp_path / "adult.dcm")
        both = run_edge("route", "test", child, adult, "--config", box.settings.file)
        assert both.returncode == 0, both.stderr
        assert "runs" in both.stdout
        assert "not-applicable:PatientAge" in both.stdout
        assert MARKER not in both.stdout
        assert run_edge("route", "test", adult, "--json", "--config", box.settings.file).returncode == 1
    finally:
        box.stop()


def slow_members() -> dict[str, bytes]:
    """A graph that multiplies large matrices for seconds."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ConstantOfShape", ["size"], ["zero"]),
        helper.make_node("Add", ["zero", "mean"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{n}", f"m{n}"], [f"m{n + 1}"]) for n in range(30)),
        helper.make_node("ReduceMean", ["m30"], ["all"], keepdims=0),
        helper.make_node("Reshape", ["all", "shape"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["output"]),
    ]
    tensors = (
        helper.make_tensor("size", TensorProto.INT64, [2], [2048, 2048]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
    )
    return {**package_maker.plain_members(), "model.onnx": package_maker.model_of(nodes, tensors)}


def greedy_members() -> dict[str, bytes]:
    """A small graph that wants two GiB when it runs."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Shape", ["input"], ["like"]),
        helper.make_node("Slice", ["like", "one", "two"], ["eight"]),
        helper.make_node("Mul", ["eight", "many"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zero"]),
        helper.make_node("Add", ["zero", "mean"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["all"], keepdims=0),
        helper.make_node("Reshape", ["all", "shape"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["output"]),
    ]
    tensors = (
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("many", TensorProto.INT64, [1], [64 << 20]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
    )
    return {**package_maker.plain_members(), "model.onnx": package_maker.model_of(nodes, tensors)}


def test_encoded_is_a_bare_data_set() -> None:
    assert encoded(xray())[:4] != b"DICM"
