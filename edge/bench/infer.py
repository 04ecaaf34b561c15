"""Queue, worker and shared memory against the bare model; the runtime against others, where they are installed.

ResNet-50 and DenseNet-121 with random weights, 224 x 224. `ours` of throughput goes the box's way: an object in shared
memory, a locked worker, decode, prepare, run, answer; its peer is onnxruntime's bare run() in as many threads. All
others are one thread, one image at a time. Ours and the peer take turns; `ratio` is the median of the pairs.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edge import part10
from edge.bench import networks
from edge.bench.networks import CLASSES, INPUT, OUTPUT, SIDE, Network
from edge.demo import wrap
from edge.errors import EnvironmentFailure
from edge.infer.pool import Pool
from edge.infer.process import Model, Worker, close_model, load_model
from edge.infer.protocol import Piece, Run
from edge.infer.runtime import Session
from edge.packages.package import Package
from edge.packages.writer import write_folder

NETWORKS = (networks.densenet121, networks.resnet50)
_REQUESTS = 200
_MIB = 1 << 20


def run(n: int = 12, makes: tuple[Callable[[], Network], ...] = NETWORKS) -> dict[str, Any]:
    """Measure with `n` rounds each; about two minutes with the default and torch installed."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name, _object() as unit:
        for make in makes:
            network = make()
            graph = networks.onnx_of(network)
            with _model(Path(name) / network.name, graph) as model:
                rows.append(_throughput(network, graph, model, unit, n))
                rows += _peers(network, graph, n)
                if make is makes[0]:
                    ready = [_ready(model, unit) for _ in range(3)]
        with _model(Path(name) / "trivial", networks.trivial()) as model:
            row, overhead = _request(model, unit)
            rows.append(row)
    return {
        "rows": rows,
        "overhead_ms": overhead,
        "ready_s": round(min(ready), 3),
        "cores": os.cpu_count() or 1,
        "image": "DX 224x224, 8 bit, Explicit VR Little Endian",
    }


Unit = tuple[int, Run]
"""A descriptor of shared memory, and what lies in it."""


@contextmanager
def _object() -> Iterator[Unit]:
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    picture = part10.split(wrap.as_dx(pixels, bits_stored=8))
    descriptor = os.memfd_create("bench", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, picture.data_set)
        yield descriptor, Run((Piece(0, len(picture.data_set), picture.transfer_syntax_uid),))
    finally:
        os.close(descriptor)


@contextmanager
def _model(folder: Path, graph: bytes) -> Iterator[Model]:
    model = load_model(_package(folder, graph), ("cpu",), 64 * _MIB)
    try:
        yield model
    finally:
        close_model(model)


def _package(folder: Path, graph: bytes) -> Package:
    code = {"value": "EDGE-BENCH", "scheme": "99EDGE", "meaning": "Nothing"}
    found = {"code": code, "threshold": 0.5, "calibrated": False, "rule_out": False, "urgent": False}
    manifest: dict[str, object] = {
        "schema": 1, "name": "bench", "version": "1.0.0", "vendor": "Edge maintainers", "licence": "Apache-2.0",
        "status": "demonstration", "purpose": "Measurement", "population": "None", "task": "classify",
        "scope": "image", "algorithm": {"name": "bench", "version": "1.0.0", "manufacturer": "Edge maintainers"},
        "applicability": {},
        "inputs": [{
            "tensor": INPUT, "shape": [1, 3, SIDE, SIDE], "dtype": "float32", "layout": "NCHW",
            "preprocess": {
                "polarity": "as-stored", "window": {"kind": "full-range"}, "channels": "repeat",
                "resize": {"mode": "squash", "filter": "area"},
            },
        }],
        "outputs": [{
            "tensor": OUTPUT, "activation": "none",
            "classes": [{"index": index, "name": f"class-{index}", **found} for index in range(CLASSES)],
        }],
        "limits": {"memory_mib": 2048, "seconds": 60.0}, "runtime": {"opset": 17, "backends": ["cpu"]},
        "selftest": {"tolerance": 0.1, "cases": [{"input": "selftest/none.npy", "expected": [0.0]}]},
    }  # fmt: skip
    members = {"model.onnx": graph, "MODEL_CARD.md": b"none\n", "LICENSE": b"none\n", "selftest/none.npy": b"none"}
    return write_folder(folder, manifest, members)


def _throughput(network: Network, graph: bytes, model: Model, unit: Unit, n: int) -> dict[str, Any]:
    """Images per second on all cores, through workers and bare, in turns."""
    cores = os.cpu_count() or 1
    sessions = [Session(graph, backends=("cpu",)) for _ in range(cores)]
    tensor = np.zeros((1, 3, SIDE, SIDE), np.float32)
    pool = Pool({"bench": model}, cores)
    try:

        def ours(_: int) -> None:
            _answered(pool, unit)

        def bare(core: int) -> None:
            sessions[core].run({INPUT: tensor})

        for work in (ours, bare):
            _in_parallel(work, cores, 2)
        pairs = [(_in_parallel(ours, cores, 8), _in_parallel(bare, cores, 8)) for _ in range(n)]
    finally:
        pool.close()
    return _row(f"{network.name} through queue, worker, shared memory, images/s", "onnxruntime run() alone", pairs)


def _answered(pool: Pool, unit: Unit) -> dict[str, float]:
    answer, _ = pool.evaluate("bench", *unit)
    if answer.reason:
        raise EnvironmentFailure("the worker refuses the image", which=answer.reason, hint="`edge models check`")
    return dict(answer.milliseconds)


def _in_parallel(work: Callable[[int], object], cores: int, count: int) -> float:
    """Calls per second of `cores` threads, each of which calls `work` (with its number) `count` times."""

    def repeat(core: int) -> None:
        for _ in range(count):
            work(core)

    threads = [threading.Thread(target=repeat, args=(core,)) for core in range(cores)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return cores * count / (time.perf_counter() - began)


def _peers(network: Network, graph: bytes, n: int) -> list[dict[str, Any]]:
    """Images per second of one thread: the box's runtime, and each other one that is installed."""
    tensor = np.random.default_rng(2).random((1, 3, SIDE, SIDE), np.float32)
    session = Session(graph, backends=("cpu",))
    found = []
    for name, peer in _installed(network, graph):
        ours, theirs = session.run({INPUT: tensor})[OUTPUT], peer(tensor)
        if not name.startswith("keras") and np.abs(ours.astype(np.float64) - theirs).max() > 1e-3:
            raise EnvironmentFailure("a peer computes something else", which=name, hint="measure without it")
        runs = partial(session.run, {INPUT: tensor}), partial(peer, tensor)
        pairs = [(_rate(runs[0]), _rate(runs[1])) for _ in range(n)]
        found.append(_row(f"{network.name}, one thread, images/s", name, pairs))
    return found


def _installed(network: Network, graph: bytes) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if find_spec("torch"):
        from edge.bench import torch_peer

        yield torch_peer.version(), torch_peer.compiled(network.nodes, network.weights, 1)
    if find_spec("openvino"):
        from edge.bench import openvino_peer

        yield openvino_peer.version(), openvino_peer.compiled(graph, 1)
    if find_spec("keras") and find_spec("tensorflow"):
        from edge.bench import keras_peer

        yield keras_peer.version(), keras_peer.compiled(network.name, CLASSES, 1)


def _rate(call: Callable[[], object], count: int = 3) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - began)


def _ready(model: Model, unit: Unit) -> float:
    """Seconds from nothing to the first answer: a process, its lock, the runtime, the graph, one image."""
    began = time.perf_counter()
    worker = Worker(model)
    try:
        if reason := worker.run(*unit).reason:
            raise EnvironmentFailure("the worker refuses the image", which=reason, hint="`edge models check`")
        return time.perf_counter() - began
    finally:
        worker.kill()


def _request(model: Model, unit: Unit) -> tuple[dict[str, Any], dict[str, float]]:
    """What one request costs beside decoding, preparing and running: milliseconds, with and without."""
    pool = Pool({"bench": model}, 1)
    walls, insides = [], []
    try:
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            stages = _answered(pool, unit)
            walls.append((time.perf_counter() - began) * 1e3)
            insides.append(sum(stages.values()))
    finally:
        pool.close()
    pairs = list(zip(insides[20:], walls[20:], strict=True))
    row = _row("one request, ms, p50", "its stages in the worker", pairs)
    beside = np.percentile([wall - inside for inside, wall in pairs], (10, 50))
    overhead = {"p10": round(float(beside[0]), 3), "p50": round(float(beside[1]), 3)}
    return {**row, "ours": row["peer"], "peer": row["ours"]}, overhead


def _row(task: str, peer: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """`pairs` of ours and the peer's, the higher the better."""
    ratios = [ours / theirs for ours, theirs in pairs]
    low, high = np.percentile(ratios, (10, 90))
    return {
        "task": task,
        "peer_name": peer,
        "ours": round(statistics.median(ours for ours, _ in pairs), 3),
        "peer": round(statistics.median(theirs for _, theirs in pairs), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(float(low), 3), round(float(high), 3)],
        "n": len(pairs),
    }
