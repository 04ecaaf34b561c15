"""Metrics of a running infer room: they tell what happened, on file, screen and socket, and hold no identity."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from support import REPOSITORY, run_edge, wait_until

from edge import rooms
from edge.infer import drift, meter
from edge.journal import alarms, outgoing, pausing

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CANARY = "INVENTEDCANARY"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InferBox]:
    monkeypatch.setattr(meter, "SECONDS", 0.0)
    made = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}).start()
    yield made
    made.stop()


def samples(box: InferBox) -> dict[str, float]:
    """What the file says now."""
    path = box.settings.run / "metrics.prom"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_the_page_tells_what_happened_and_no_identity(room: InferBox) -> None:
    attributes = {"PatientName": f"{CANARY}^A", "PatientID": CANARY, "AccessionNumber": CANARY, "StudyID": CANARY}
    room.job(room.store(chest_dx(np.full((32, 32), 200, np.uint8), **attributes)))
    broken = room.store(chest_dx(np.full((32, 32), 200, np.uint8), Rows=4000, StationName=CANARY))
    assert room.job(broken).state == "QUARANTINED"
    for item in outgoing.due(room.journal, "archive", 1):
        outgoing.sent(room.journal, item)
    (room.settings.run / "receive-counters.json").write_text(
        f'{{"associations": 7, "refused-too-slow": 2, "refused-{CANARY}": 1, "{CANARY}": 5, "x": "{CANARY}"}}'
    )
    pausing.pause(room.journal, "test")
    wait_until(lambda: samples(room).get("edge_paused"), what="a page written after the pause")
    now = samples(room)
    told = {
        'edge_up{room="receive"}': 0, "edge_dicom_objects_total": 2, "edge_spool_objects": 2,
        "edge_dicom_associations_total": 7, 'edge_dicom_refusals_total{code="too-slow"}': 2,
        'edge_dicom_refusals_total{code="other"}': 1, 'edge_jobs{state="DONE"}': 1, 'edge_jobs{state="QUARANTINED"}': 1,
        'edge_inference_failures_total{model="brightness",reason="undecodable"}': 1,
        'edge_results_sent_total{dest_alias="archive"}': 1, 'edge_stage_duration_seconds_count{stage="run"}': 1,
        'edge_inference_seconds_count{model="brightness",provider="CPUExecutionProvider"}': 1,
        'edge_end_to_end_seconds_count{priority="routine"}': 1,
    }  # fmt: skip
    assert {name: now.get(name) for name in told} == told
    assert CANARY not in (room.settings.run / "metrics.prom").read_text()
    printed = run_edge("metrics", "--config", room.settings.file)
    assert "edge_paused 1\n" in printed.stdout


def got(path: Path, request: bytes) -> bytes:
    """The whole answer to one request."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as collector:
        collector.settimeout(20)
        collector.connect(str(path))
        collector.sendall(request + b"\r\nHost: box\r\n\r\n")
        while part := collector.recv(65536):
            answer += part
    return answer


def test_a_collector_scrapes_the_socket(room: InferBox) -> None:
    wait_until(lambda: samples(room), what="a page")
    path = room.settings.run / "metrics.sock"
    command = [sys.executable, "-m", "edge", "metrics", "--serve", "--config", str(room.settings.file)]
    with subprocess.Popen(command, cwd=REPOSITORY) as exporter:
        try:
            wait_until(path.exists, what="the socket")
            with socket.socket(socket.AF_UNIX) as silent:
                wait_until(lambda: silent.connect_ex(str(path)) == 0, what="a connection")  # and it says nothing
                answer = got(path, b"GET /metrics HTTP/1.1")
            health, ready = got(path, b"GET /health HTTP/1.1"), got(path, b"GET /ready HTTP/1.1")
        finally:
            exporter.send_signal(signal.SIGTERM)
            assert exporter.wait(20) == 0
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b'edge_up{room="infer"}' in body
    assert health.endswith(b"down: receive, deliver\n")  # this test runs infer alone
    assert ready.startswith(b"HTTP/1.0 503")
    assert not path.exists()


def test_a_box_that_never_ran_says_so(room: InferBox, tmp_path: Path) -> None:
    other = InferBox(tmp_path / "other", {})
    rooms.make_root(other.settings)
    ended = run_edge("metrics", "--config", other.settings.file)
    other.stop()
    assert (ended.returncode, "there are no metrics" in ended.stderr) == (1, True)


def test_images_that_became_brighter_raise_an_alarm(room: InferBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "BASELINE", 20)
    monkeypatch.setattr(drift, "WINDOW", 20)
    dice = np.random.default_rng(3)
    for number in range(40):
        level = int(dice.integers(20, 60)) if number < 20 else int(dice.integers(180, 220))
        last = room.store(chest_dx(np.full((32, 32), level, np.uint8)))
    room.job(last)
    (alarm,) = wait_until(lambda: alarms.standing(room.journal), what="the alarm")
    assert alarm.name == "drift.brightness"
    index = 'edge_input_psi{model="brightness",statistic="InputMean"}'
    assert wait_until(lambda: samples(room).get(index), what="the index on the page") > drift.SHIFT
    kept = json.loads((room.settings.run / drift.FILE).read_text())
    assert all(feature["first"] == [] for features in kept.values() for feature in features.values())
