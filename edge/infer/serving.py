"""A worker's whole life after it locked itself in: become the worker of one package, answer until the room hangs up."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar, cast

import numpy as np
import numpy.typing as npt

from edge.errors import RuntimeFailure
from edge.infer import lockdown
from edge.infer.evaluate import evaluate, run_model
from edge.infer.masks import Masks
from edge.infer.protocol import Answer, Channel, Gone, Load, Loaded, Preparing, Probe, Run, Running
from edge.infer.runtime import Session, choose
from edge.packages.manifest import Manifest, parse

_CODEC_COPIES = 5
"""How many copies of a decoded frame a codec and its caller may hold at once."""

_OVERHEAD_BYTES = 128 << 20
_PREPARE_PROCESSOR_SECONDS = 240.0
_LEAST_PRIORITY = 19

_T = TypeVar("_T")


def serve(connection: socket.socket) -> None:
    """Load what the first message brings, then answer each Run."""
    channel = Channel(connection)
    with contextlib.suppress(Gone):
        message, descriptors = channel.receive()
        if isinstance(message, Load) and descriptors:
            _Server(channel, message).run(descriptors[0])


class _Server:
    def __init__(self, channel: Channel, load: Load) -> None:
        self._channel = channel
        self._load = load
        self._manifest: Manifest = parse(load.manifest)
        self._memory = self._manifest.limits.memory_mib << 20
        self._on_cpu = True
        self._mapped = 0

    def run(self, model: int) -> None:
        session = self._session(model)
        while session is not None:
            message, descriptors = self._channel.receive()
            if not descriptors:
                return
            if isinstance(message, Run):
                self._channel.send(self._answer(message, descriptors[0], session))
            elif isinstance(message, Probe):
                self._channel.send(self._probe(message, descriptors[0], session))
            else:
                return

    def _session(self, model: int) -> Session | None:
        try:
            self._on_cpu = choose(self._load.backends) == "CPUExecutionProvider"
            self._limit(self._memory)
            graph = os.pread(model, self._load.model_size, 0)
            session = self._loaded(graph)
        except MemoryError:
            self._channel.send(Loaded(reason="memory-limit"))
            return None
        except RuntimeFailure:
            self._channel.send(Loaded(reason="package-unavailable"))
            return None
        finally:
            os.close(model)
        self._channel.send(Loaded(provider=session.provider))
        return session

    def _loaded(self, graph: bytes) -> Session:
        def load() -> Session:
            return Session(graph, backends=self._load.backends, threads=1)

        return _gently(load) if self._load.gently else load()

    def _probe(self, message: Probe, data: int, session: Session) -> Answer:
        lockdown.limit_processor(_PREPARE_PROCESSOR_SECONDS + self._manifest.limits.seconds)
        try:
            inputs = _tensors(message, data)
        except (OSError, ValueError, EOFError):
            return Answer(reason="internal", error="ValueError")
        finally:
            os.close(data)
        self.running()
        return _gently(lambda: run_model(self._manifest, session, inputs))

    def _answer(self, message: Run, data: int, session: Session) -> Answer:
        self._mapped = message.end
        self.preparing(first=True)
        streams: list[tuple[BinaryIO, str]] = []
        try:
            for piece in message.pieces:
                mapped = mmap.mmap(data, piece.size, prot=mmap.PROT_READ, offset=piece.offset)
                streams.append((cast(BinaryIO, mapped), piece.transfer_syntax_uid))
            masks = Masks(data, message.masks_at, message.end)
            return evaluate(
                streams, self._manifest, session, masks=masks, clock=self,
                max_frame_bytes=self._load.max_frame_bytes, max_unit_bytes=self._load.max_unit_bytes,
            )  # fmt: skip
        except ValueError:
            return Answer(reason="unreadable", error="ValueError")
        except OSError:
            return Answer(reason="memory-limit", error="OSError")
        finally:
            os.close(data)
            for stream, _ in streams:
                # a frame that an exception still holds would refuse; then it goes with the last reference
                with contextlib.suppress(BufferError):
                    stream.close()

    def running(self) -> None:
        """The next input is ready: from here on the package's own limits count."""
        lockdown.limit_processor(self._manifest.limits.seconds)
        self._limit(self._memory)
        self._channel.send(Running())

    def preparing(self, *, first: bool = False) -> None:
        """The model is done for now, and the box's limits for decoding count."""
        lockdown.limit_processor(_PREPARE_PROCESSOR_SECONDS)
        unit = 2 * self._load.max_unit_bytes if self._manifest.takes_many else 0
        self._limit(self._mapped + _CODEC_COPIES * self._load.max_frame_bytes + unit)
        if not first:
            self._channel.send(Preparing())

    def _limit(self, more: int) -> None:
        """At most `more` bytes of address space from here on; accelerators map more than they use, so not with them."""
        if self._on_cpu:
            lockdown.limit_memory(lockdown.address_space() + more + _OVERHEAD_BYTES)


def _gently(act: Callable[[], _T]) -> _T:
    """The result of `act`, on a thread of its own that gives way to all others of the machine (nice 19).

    Linux has a priority for each thread: the one that will serve keeps its own, which it could not get back.
    """

    def give_way() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)

    with ThreadPoolExecutor(1, initializer=give_way) as thread:
        return thread.submit(act).result()


def _tensors(message: Probe, data: int) -> dict[str, npt.NDArray[np.generic]]:
    offset = 0
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, size in zip(message.tensors, message.sizes, strict=True):
        found[name] = np.load(io.BytesIO(os.pread(data, size, offset)), allow_pickle=False)
        offset += size
    return found
