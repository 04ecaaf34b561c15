"""A worker as the room sees it: start it, hand it a data set, take its answer or its end.

In: a package whose bytes were verified, a descriptor with one data set. Out: an `Answer` that is checked before
anything is done with it. Invariant: a worker that crashes, hangs or lies costs one attempt of one job, no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import edge
from edge.infer.applicability import STATISTICS
from edge.infer.protocol import (
    LONGEST,
    Answer,
    Channel,
    Gone,
    Load,
    Loaded,
    Marked,
    Message,
    Preparing,
    Probe,
    Run,
    Running,
)
from edge.packages.package import GRAPH, Package
from edge.reasons import CATALOGUE

PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider")
STAGES = ("parse", "decode", "prepare", "run")

_LOAD_SECONDS = 60.0
_PREPARE_SECONDS = 60.0
_PREPARE_UNIT_SECONDS = 180.0
"""For all images of a series or study together; with it a job still ends within its lease."""

_SIGXCPU = 24
_LONGEST_PROBE = 256 << 20
"""Of an answer to a self-test, which holds every number of every output."""


@dataclass(frozen=True, slots=True)
class Model:
    """A package that may be run here: its graph is in sealed anonymous memory that workers cannot change."""

    package: Package
    descriptor: int
    size: int
    backends: tuple[str, ...]
    max_frame_bytes: int
    max_unit_bytes: int


def close_model(model: Model) -> None:
    """Let go of the graph; living workers keep theirs, no other can be started."""
    os.close(model.descriptor)


def load_model(
    package: Package, backends: tuple[str, ...], max_frame_bytes: int, max_unit_bytes: int = 2 << 30
) -> Model:
    """Read and verify the graph of `package`, to be run on the first of `backends` that is here.

    The heat maps that the manifest asks for are appended to the copy in memory. Raises PackageError.
    """
    graph = package.read(GRAPH)
    if any(output.cam == "auto" for output in package.manifest.outputs):
        # onnx is only needed, and only loaded, for these packages
        from edge.packages import cam

        graph = cam.expose(graph, package.manifest)
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(graph)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return Model(package, descriptor, len(graph), backends, max_frame_bytes, max_unit_bytes)


class Worker:
    """One worker process. Starting returns at once; the first `run` waits until the model is loaded.

    `gently` loads it while others work on the same machine: slower, and they hardly notice.
    """

    def __init__(self, model: Model, *, gently: bool = False) -> None:
        self._model = model
        self._provider = ""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [
                sys.executable,
                "-P",
                "-s",
                "-B",
                "-W",
                "ignore",
                "-m",
                "edge.infer.worker",
                str(theirs.fileno()),
            ]
            self._child = subprocess.Popen(
                command + ["gpu"] * (model.backends != ("cpu",)) + ["gently"] * gently,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                # a decoder's words may hold received values
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        self._channel = Channel(ours)
        load = Load(
            model.package.manifest_bytes,
            model.size,
            model.backends,
            model.max_frame_bytes,
            model.max_unit_bytes,
            gently,
        )
        with contextlib.suppress(Gone):
            self._channel.send(load, (model.descriptor,))

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def provider(self) -> str:
        """onnxruntime's name of what runs the model; empty until it is loaded."""
        return self._provider

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    def run(self, data: int, run: Run) -> Answer:
        """The answer on the unit in descriptor `data`. A worker that failed is dead afterwards; never raises."""
        return self._ask(run, data)

    def probe(self, tensors: Mapping[str, bytes]) -> Answer:
        """The answer on tensors (.npy files by name) instead of a data set; as `run` in all else."""
        descriptor = os.memfd_create("probe", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.writelines(tensors.values())
            return self._ask(Probe(tuple(tensors), tuple(map(len, tensors.values()))), descriptor)
        finally:
            os.close(descriptor)

    def _ask(self, request: Run | Probe, data: int) -> Answer:
        try:
            reason = self._load()
            if reason:
                return self._end(reason)
            self._channel.send(request, (data,))
            return self._checked(self._wait(request), data, request)
        except Gone:
            return self._end(self._how_it_ended())

    def kill(self) -> None:
        """End it now."""
        self._channel.close()
        self._child.kill()
        self._child.wait()

    def _load(self) -> str:
        if self._provider:
            return ""
        try:
            message, _ = self._channel.receive(_LOAD_SECONDS)
        except TimeoutError:
            return "time-limit"
        if not isinstance(message, Loaded):
            raise Gone
        if message.provider in PROVIDERS:
            self._provider = message.provider
            return ""
        return message.reason if message.reason in CATALOGUE else "package-unavailable"

    def _wait(self, request: Run | Probe) -> Answer:
        """The answer, while preparing and running each keep to their time, however they take turns."""
        manifest = self._model.package.manifest
        many = isinstance(request, Run) and (len(request.pieces) > 1 or manifest.takes_many)
        preparing = _PREPARE_UNIT_SECONDS if many else _PREPARE_SECONDS
        longest = LONGEST if isinstance(request, Run) else _LONGEST_PROBE
        left = {True: preparing, False: manifest.limits.seconds}
        turn = True
        while True:
            started = time.monotonic()
            try:
                message = self._next(max(0.001, left[turn]), longest)
            except TimeoutError:
                return self._end("undecodable" if turn else "time-limit")
            left[turn] -= time.monotonic() - started
            if isinstance(message, Answer):
                return message
            if not isinstance(message, Running if turn else Preparing):
                raise Gone
            turn = not turn

    def _checked(self, answer: Answer, data: int, request: Run | Probe) -> Answer:
        if not self.is_alive:
            return answer
        answer = _checked(answer, self._model, data, request if isinstance(request, Run) else Run(()))
        if answer.reason and CATALOGUE[answer.reason.partition(":")[0]].retryable:
            self.kill()
        return answer

    def _next(self, seconds: float, longest: int) -> Message:
        message, descriptors = self._channel.receive(seconds, longest)
        for descriptor in descriptors:
            os.close(descriptor)
        return message

    def _end(self, reason: str) -> Answer:
        self.kill()
        return Answer(reason=reason)

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._child.wait(1.0) == -_SIGXCPU:
                return "time-limit"
        return "worker-crashed"


def _checked(answer: Answer, model: Model, data: int, run: Run) -> Answer:
    """`answer` with nothing in it that a worker could have made up: it has seen names, the journal must not."""
    manifest = model.package.manifest
    name, _, keyword = answer.reason.partition(":")
    if answer.reason and (name not in CATALOGUE or (keyword and keyword not in manifest.names_of_attributes())):
        raise Gone
    error = answer.error if answer.error.isidentifier() and len(answer.error) <= 40 else ""
    milliseconds = {stage: float(answer.milliseconds.get(stage, 0.0)) for stage in STAGES}
    wanted = manifest.output_tensors()
    outputs = {tensor: value for tensor, value in answer.outputs.items() if tensor in wanted}
    maps = {tensor: value for tensor, value in answer.maps.items() if tensor in wanted}
    masks = tuple(_with_bits(answer.masks, data, run))
    measured = {name: value for name, value in answer.statistics.items() if name in STATISTICS and math.isfinite(value)}
    return Answer(answer.reason, error, outputs, milliseconds, maps, masks, answer.alignments, measured)


def _with_bits(masks: tuple[Marked, ...], data: int, run: Run) -> Iterator[Marked]:
    """The masks with their bits, which together fit where masks may lie."""
    if sum(max(0, mask.size) for mask in masks) > run.end - run.masks_at:
        raise Gone
    for mask in masks:
        if mask.size < 1 or not run.masks_at <= mask.offset <= run.end - mask.size:
            raise Gone
        yield Marked(mask.segment, mask.shot, mask.offset, mask.size, os.pread(data, mask.size, mask.offset))


def _environment() -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(edge.__file__).resolve().parent.parent),
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": "1",
    }
