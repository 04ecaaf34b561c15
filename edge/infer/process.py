"""A worker as the room sees it: start it, hand it a data set, take its answer or its end.

In: a package whose bytes were verified, a descriptor with one data set. Out: an `Answer` that is checked before
anything is done with it. Invariant: a worker that crashes, hangs or lies costs one attempt of one job, no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import edge
from edge.infer.protocol import Answer, Channel, Gone, Load, Loaded, Message, Probe, Run, Running
from edge.packages.package import GRAPH, Package
from edge.reasons import CATALOGUE

PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider")
STAGES = ("parse", "decode", "prepare", "run")

_LOAD_SECONDS = 60.0
_PREPARE_SECONDS = 60.0
_SIGXCPU = 24


@dataclass(frozen=True, slots=True)
class Model:
    """A package that may be run here: its graph is in sealed anonymous memory that workers cannot change."""

    package: Package
    descriptor: int
    size: int
    backends: tuple[str, ...]
    max_frame_bytes: int


def close_model(model: Model) -> None:
    """Let go of the graph; living workers keep theirs, no other can be started."""
    os.close(model.descriptor)


def load_model(package: Package, backends: tuple[str, ...], max_frame_bytes: int) -> Model:
    """Read and verify the graph of `package`, to be run on the first of `backends` that is here.

    The heat maps that the manifest asks for are appended to the copy in memory. Raises PackageError.
    """
    graph = package.read(GRAPH)
    if any(output.cam != "none" for output in package.manifest.outputs):
        # onnx is only needed, and only loaded, for these packages
        from edge.packages import cam

        graph = cam.expose(graph, package.manifest)
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(graph)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return Model(package, descriptor, len(graph), backends, max_frame_bytes)


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
        load = Load(model.package.manifest_bytes, model.size, model.backends, model.max_frame_bytes, gently)
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

    def run(self, data: int, size: int, transfer_syntax_uid: str) -> Answer:
        """The answer on the data set in descriptor `data`. A worker that failed is dead afterwards; never raises."""
        return self._ask(Run(size, transfer_syntax_uid), data)

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
            return self._wait()
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

    def _wait(self) -> Answer:
        try:
            message = self._next(_PREPARE_SECONDS)
        except TimeoutError:
            return self._end("undecodable")
        if isinstance(message, Running):
            try:
                message = self._next(self._model.package.manifest.limits.seconds)
            except TimeoutError:
                return self._end("time-limit")
        if not isinstance(message, Answer):
            raise Gone
        answer = _checked(message, self._model)
        if answer.reason and CATALOGUE[answer.reason.partition(":")[0]].retryable:
            self.kill()
        return answer

    def _next(self, seconds: float) -> Message:
        message, descriptors = self._channel.receive(seconds)
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


def _checked(answer: Answer, model: Model) -> Answer:
    """`answer` with nothing in it that a worker could have made up: it has seen names, the journal must not."""
    name, _, keyword = answer.reason.partition(":")
    rules = model.package.manifest.applicability
    if answer.reason and (name not in CATALOGUE or (keyword and keyword not in rules)):
        raise Gone
    error = answer.error if answer.error.isidentifier() and len(answer.error) <= 40 else ""
    milliseconds = {stage: float(answer.milliseconds.get(stage, 0.0)) for stage in STAGES}
    wanted = {output.tensor for output in model.package.manifest.outputs}
    outputs = {tensor: value for tensor, value in answer.outputs.items() if tensor in wanted}
    maps = {tensor: value for tensor, value in answer.maps.items() if tensor in wanted}
    return Answer(answer.reason, error, outputs, milliseconds, maps, answer.alignments)


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
