"""The whole way, from push to a report at the destination, against the bare model on the same machine in the same run.

Rows (a ratio is such that more is better for us; `ratio_range` is least and most over the rounds, or p5 and p95 of the
single images):

    images/s   a preloaded sender on as many associations as there are cores, C-STORE in, C-STORE out
               peer: onnxruntime run() alone, same model, as many sessions of one thread as the box has workers
    ms         one image at a time, from the Success of its C-STORE to the Success of its report's
               peer: decode, prepare and run() of the same object in one process, nothing around it

`journal_commits_per_image` counts every transaction in the write-ahead log, flushed or not, of all rooms;
`stages_ms` says where the time of one image goes (medians).
"""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from edge.bench import rig
from edge.demo import house
from edge.errors import EnvironmentFailure
from edge.infer.evaluate import evaluate
from edge.infer.runtime import Session
from edge.journal import Journal, views
from edge.packages.package import GRAPH, Package
from edge.packages.registry import Registry
from edge.part10 import Part10

ROUNDS = 5
PACKAGE = "cxr-pneumonia"
_WARM_UP = 4
_PATIENCE_SECONDS = 120.0
_MOST_FRAME_BYTES = 1 << 30
_STAGE = re.compile(r"(parse|decode|prepare|run)=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class _Rig:
    """The running box and what it is compared with."""

    house: house.House
    journal: Journal
    package: Package
    cores: int


@dataclass(frozen=True, slots=True)
class _Latency:
    """Milliseconds of single images: acknowledged to accepted, and decode + prepare + run alone."""

    ours: list[float]
    peer: list[float]
    bare: list[float]
    acknowledge: list[float]
    commits: float


def run(n: int = 40) -> dict[str, Any]:
    """Measure with `n` images a round. Raises EdgeError when the box cannot be started or stops answering."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        folder = Path(name)
        with rig.destination(folder) as target, house.starting(folder, target.port, keep=True) as starting:
            pictures = rig.images(n)
            built = starting.ready()
            journal = Journal(built.settings.journal)
            try:
                bench = _Rig(built, journal, Registry().resolve(PACKAGE), os.cpu_count() or 1)
                return _measure(bench, target, pictures, n)
            finally:
                journal.close()


def _measure(bench: _Rig, target: rig.Destination, pictures: list[Part10], n: int) -> dict[str, Any]:
    rig.push_in_parallel(bench.house.box, rig.images(_WARM_UP), bench.cores)
    _wait_sent(bench, _WARM_UP)
    latency = _latency(bench, pictures)
    stages = _stages(bench, latency)
    throughput = [_round(bench, n, first=bool(index % 2)) for index in range(ROUNDS)]
    paired = [theirs / ours for ours, theirs in zip(latency.ours, latency.peer, strict=True)]
    rows = [_throughput_row(throughput, n)]
    rows += [_latency_row(latency, paired, percent, n) for percent in (50, 95)]
    return {
        "rows": rows,
        "overhead_ms_p50": round(_percentile(latency.ours, 50) - _percentile(latency.peer, 50), 2),
        "journal_commits_per_image": round(latency.commits, 2),
        "stages_ms": stages,
        "destination": target.name,
        "image": "DX 1400x1200, 16 bit, Explicit VR Little Endian",
        "cores": bench.cores,
    }


def _throughput_row(rounds: Sequence[tuple[float, float]], n: int) -> dict[str, Any]:
    ratios = [ours / peer for ours, peer in rounds]
    return {
        "task": "push to report accepted, images/s",
        "ours": round(statistics.median(ours for ours, _ in rounds), 2),
        "peer": round(statistics.median(peer for _, peer in rounds), 2),
        "peer_name": "onnxruntime run() alone",
        "ratio": round(statistics.median(ratios), 4),
        "ratio_range": [round(min(ratios), 4), round(max(ratios), 4)],
        "n": n * len(rounds),
    }


def _latency_row(latency: _Latency, paired: list[float], percent: int, n: int) -> dict[str, Any]:
    ours, peer = _percentile(latency.ours, percent), _percentile(latency.peer, percent)
    return {
        "task": f"acknowledged to report accepted, ms, p{percent}",
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "peer_name": "decode, prepare and run() in one process",
        "ratio": round(peer / ours, 4),
        "ratio_range": [round(_percentile(paired, 5), 4), round(_percentile(paired, 95), 4)],
        "n": n,
    }


def _latency(bench: _Rig, pictures: list[Part10]) -> _Latency:
    """One image at a time; the peer takes the same image straight after."""
    session = _session(bench.package)
    latency = _Latency([], [], [], [], 0.0)
    commits = rig.Commits(bench.house.settings.journal)
    evaluated = [_alone(pictures[0], bench.package, session) for _ in range(_WARM_UP)]
    sent = len(_sent(bench))
    for number, picture in enumerate(pictures, sent + 1):
        began = time.time()
        (acknowledged,) = rig.push(bench.house.box, [picture])
        _wait_sent(bench, number)
        commits.look()
        accepted = _sent(bench)[picture.sop_instance_uid]
        evaluated.append(_alone(picture, bench.package, session))
        latency.ours.append(1e3 * (accepted - acknowledged))
        latency.acknowledge.append(1e3 * (acknowledged - began))
        latency.peer.append(sum(evaluated[-1].values()))
        latency.bare.append(evaluated[-1]["run"])
    return _Latency(latency.ours, latency.peer, latency.bare, latency.acknowledge, commits.count / len(pictures))


def _round(bench: _Rig, n: int, *, first: bool) -> tuple[float, float]:
    """Images per second of the whole way and of the bare model, one straight after the other."""
    if first:
        peer = _bare(bench, n)
        return _whole(bench, n), peer
    return _whole(bench, n), _bare(bench, n)


def _whole(bench: _Rig, n: int) -> float:
    batch = rig.images(n)
    before = len(_sent(bench))
    began = time.time()
    rig.push_in_parallel(bench.house.box, batch, bench.cores)
    _wait_sent(bench, before + n)
    arrived = _sent(bench)
    return n / (max(arrived[item.sop_instance_uid] for item in batch) - began)


def _bare(bench: _Rig, n: int) -> float:
    """run() in as many threads as the box has workers, each with a session of one thread and an input of its own."""
    runs = max(n, 50)
    sessions = [_session(bench.package) for _ in range(bench.cores)]
    entry = bench.package.manifest.inputs[0]
    tensor = np.random.default_rng(1).random(entry.shape, np.float32)

    def work(session: Session) -> None:
        for _ in range(runs):
            session.run({entry.tensor: tensor})

    for session in sessions:
        session.run({entry.tensor: tensor})
    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return runs * len(sessions) / (time.perf_counter() - began)


def _session(package: Package) -> Session:
    return Session(package.read(GRAPH), backends=("cpu",), threads=1)


def _alone(picture: Part10, package: Package, session: Session) -> dict[str, float]:
    """Milliseconds of each stage of one image, with nothing of the appliance around it."""
    answer = evaluate(
        [(BytesIO(picture.data_set), picture.transfer_syntax_uid)],
        package.manifest,
        session,
        max_frame_bytes=_MOST_FRAME_BYTES,
    )
    if answer.reason:
        raise EnvironmentFailure("the model refuses the phantom", which=answer.reason, hint="`edge models check`")
    return answer.milliseconds


def _sent(bench: _Rig) -> dict[str, float]:
    """When each image's report was accepted, by the image's SOP Instance UID."""
    return {each.sop_instance_uid: each.sent_at for each in views.passages(bench.journal) if each.sent_at}


def _wait_sent(bench: _Rig, count: int) -> None:
    """Until `count` reports were accepted. The journal has the times, so how often is looked changes no figure."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while views.counts(bench.journal)["delivery"]["SENT"] < count:
        if time.monotonic() > deadline:
            raise EnvironmentFailure("a report did not arrive", hint="`edge demo`, then `edge doctor`")
        time.sleep(0.01)


def _stages(bench: _Rig, latency: _Latency) -> dict[str, float]:
    """Where the time of one image goes, in order (medians of the images measured one at a time)."""
    measured = views.passages(bench.journal)[_WARM_UP : _WARM_UP + len(latency.ours)]
    log = (bench.house.settings.file.parent / "rooms.log").read_text("utf-8", "replace")
    worker: dict[str, list[float]] = {}
    for name, value in _STAGE.findall(log):
        worker.setdefault(name, []).append(float(value))
    inside = {name: statistics.median(values) for name, values in worker.items()}
    routed = [1e3 * (each.ready_at - each.received_at) for each in measured if each.ready_at]
    job = [1e3 * (each.job_ended_at - each.ready_at) for each in measured if each.job_ended_at and each.ready_at]
    sent = [1e3 * (each.sent_at - each.job_ended_at) for each in measured if each.sent_at and each.job_ended_at]
    return {
        name: round(value, 2)
        for name, value in (
            ("push until acknowledged", statistics.median(latency.acknowledge)),
            ("received until routed", statistics.median(routed)),
            ("routed until report in the outbox", statistics.median(job)),
            *((f"- of that in the worker: {name}", value) for name, value in inside.items()),
            ("outbox until accepted", statistics.median(sent)),
            ("decode, prepare and run() alone", statistics.median(latency.peer)),
            ("run() alone", statistics.median(latency.bare)),
        )
    }


def _percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent))
