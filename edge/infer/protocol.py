"""What the infer room and its workers say to each other: short JSON messages with their length in front.

Bulk never goes this way: a model and a data set are passed as descriptors of anonymous memory. What comes from a
worker has met hostile bytes and a vendor's graph, so the room takes nothing from it but what `Answer` can hold.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time

import msgspec

_LENGTH = struct.Struct("<I")
_LONGEST = 4 << 20


class Load(msgspec.Struct, frozen=True, tag=True):
    """Become the worker of this package; the model's descriptor comes with it. `gently`: others work meanwhile."""

    manifest: bytes
    model_size: int
    backends: tuple[str, ...]
    max_frame_bytes: int
    gently: bool = False


class Run(msgspec.Struct, frozen=True, tag=True):
    """Look at one data set; its descriptor comes with it."""

    size: int
    transfer_syntax_uid: str


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Run the model on these tensors, .npy files one after the other in the descriptor that comes with it."""

    tensors: tuple[str, ...]
    sizes: tuple[int, ...]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is ready on `provider`, or `reason` says why not."""

    provider: str = ""
    reason: str = ""


class Running(msgspec.Struct, frozen=True, tag=True):
    """The input is prepared; from here on the package's own time limit counts."""


class Tensor(msgspec.Struct, frozen=True):
    """Float32 numbers of an output, little endian, and their shape."""

    shape: tuple[int, ...]
    data: bytes


class Answer(msgspec.Struct, frozen=True, tag=True):
    """How a run ended: outputs, or a reason of the catalogue. `error` is the class name of what was raised.

    `maps`: by output, its class-activation maps (1, classes, rows, columns) where the manifest asks for them.
    `alignments`: for each input, how the frame was aligned before it was resized (`edge.infer.steps`).
    """

    reason: str = ""
    error: str = ""
    outputs: dict[str, Tensor] = {}
    milliseconds: dict[str, float] = {}
    maps: dict[str, Tensor] = {}
    alignments: tuple[tuple[float, ...], ...] = ()


Message = Load | Run | Probe | Loaded | Running | Answer

_DECODER = msgspec.json.Decoder(Message)


class Gone(Exception):
    """The other side ended, or said something that is no message."""


class Channel:
    """One end of the pair of sockets."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send one message; raises Gone."""
        body = msgspec.json.encode(message)
        try:
            self._socket.settimeout(None)
            if descriptors:
                socket.send_fds(self._socket, [_LENGTH.pack(len(body))], descriptors)
            else:
                self._socket.sendall(_LENGTH.pack(len(body)))
            self._socket.sendall(body)
        except OSError:
            raise Gone from None

    def receive(self, seconds: float | None = None) -> tuple[Message, list[int]]:
        """The next message and its descriptors (at most one).

        Raises
        ------
        TimeoutError
            If it is not there after `seconds`.
        Gone
            If the other side ended, or sent something else.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        descriptors: list[int] = []
        try:
            head = self._exactly(_LENGTH.size, deadline, descriptors)
            (length,) = _LENGTH.unpack(head)
            if length > _LONGEST:
                raise Gone
            return _DECODER.decode(self._exactly(length, deadline, None)), descriptors
        except TimeoutError:
            _close(descriptors)
            raise
        except (OSError, msgspec.MsgspecError, Gone):
            _close(descriptors)
            raise Gone from None

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, count: int, deadline: float | None, descriptors: list[int] | None) -> bytes:
        data = b""
        while len(data) < count:
            self._socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
            if descriptors is None:
                part = self._socket.recv(count - len(data))
            else:
                part, received, _, _ = socket.recv_fds(self._socket, count - len(data), 1)
                descriptors.extend(received)
            if not part:
                raise Gone
            data += part
        return data


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
