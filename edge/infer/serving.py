"""A worker's whole life after it locked itself in: become the worker of one package, answer until the room hangs up."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from typing import BinaryIO, cast

from edge.errors import RuntimeFailure
from edge.infer import lockdown
from edge.infer.evaluate import evaluate
from edge.infer.protocol import Answer, Channel, Gone, Load, Loaded, Run, Running
from edge.infer.runtime import Session, choose
from edge.packages.manifest import Manifest, parse

_CODEC_COPIES = 5
"""How many copies of a decoded frame a codec and its caller may hold at once."""

_OVERHEAD_BYTES = 128 << 20
_PREPARE_PROCESSOR_SECONDS = 120.0


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

    def run(self, model: int) -> None:
        session = self._session(model)
        while session is not None:
            message, descriptors = self._channel.receive()
            if not isinstance(message, Run) or not descriptors:
                return
            self._channel.send(self._answer(message, descriptors[0], session))

    def _session(self, model: int) -> Session | None:
        try:
            self._on_cpu = choose(self._load.backends) == "CPUExecutionProvider"
            self._limit(self._memory)
            graph = os.pread(model, self._load.model_size, 0)
            session = Session(graph, backends=self._load.backends, threads=1)
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

    def _answer(self, message: Run, data: int, session: Session) -> Answer:
        lockdown.limit_processor(_PREPARE_PROCESSOR_SECONDS + self._manifest.limits.seconds)
        self._limit(message.size + _CODEC_COPIES * self._load.max_frame_bytes)
        try:
            mapped = mmap.mmap(data, message.size, prot=mmap.PROT_READ)
        except ValueError:
            return Answer(reason="unreadable", error="ValueError")
        except OSError:
            return Answer(reason="memory-limit", error="OSError")
        finally:
            os.close(data)
        try:
            return evaluate(
                cast(BinaryIO, mapped), message.transfer_syntax_uid, self._manifest, session,
                max_frame_bytes=self._load.max_frame_bytes, prepared=self._prepared,
            )  # fmt: skip
        finally:
            # a frame that an exception still holds would refuse; then it goes with the last reference
            with contextlib.suppress(BufferError):
                mapped.close()

    def _prepared(self) -> None:
        self._limit(self._memory)
        self._channel.send(Running())

    def _limit(self, more: int) -> None:
        """At most `more` bytes of address space from here on; accelerators map more than they use, so not with them."""
        if self._on_cpu:
            lockdown.limit_memory(lockdown.address_space() + more + _OVERHEAD_BYTES)
