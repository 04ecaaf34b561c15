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

LONGEST = 8 << 20
"""Bytes of a message."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Become the worker of this package; the model's descriptor comes with it. `gently`: others work meanwhile."""

    manifest: bytes
    model_size: int
    backends: tuple[str, ...]
    max_frame_bytes: int
    max_unit_bytes: int
    gently: bool = False


class Piece(msgspec.Struct, frozen=True):
    """One data set of a unit: where it lies in the memory that comes with it. `offset` is a multiple of a page."""

    offset: int
    size: int
    transfer_syntax_uid: str


class Run(msgspec.Struct, frozen=True, tag=True):
    """Look at the data sets of one unit; one descriptor with all of them comes with it.

    `masks_at`: from this offset to `end` the worker may write the masks that it speaks of.
    """

    pieces: tuple[Piece, ...]
    masks_at: int = 0
    end: int = 0


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


class Preparing(msgspec.Struct, frozen=True, tag=True):
    """The model is done with a part of the unit; the next is being prepared, and the package's time stands still."""


class Tensor(msgspec.Struct, frozen=True):
    """Float32 numbers of an output, little endian, and their shape."""

    shape: tuple[int, ...]
    data: bytes


class Marked(msgspec.Struct, frozen=True):
    """A mask that the worker wrote: of which segment, which frame of the unit, where. `bits`: what the room read."""

    segment: int
    shot: int
    offset: int
    size: int
    bits: bytes = b""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """How a run ended: outputs, or a reason of the catalogue. `error` is the class name of what was raised.

    `maps`: by output, its heat maps (1, classes, rows, columns) where the manifest asks for them. `masks`: what of
    each segment was marked in which frame. `alignments`: for each frame of the first input, how it was aligned
    before it was resized (`edge.infer.steps`). `statistics`: of the first tensor, by name, for the drift of inputs.
    """

    reason: str = ""
    error: str = ""
    outputs: dict[str, Tensor] = {}
    milliseconds: dict[str, float] = {}
    maps: dict[str, Tensor] = {}
    masks: tuple[Marked, ...] = ()
    alignments: tuple[tuple[float, ...], ...] = ()
    statistics: dict[str, float] = {}


Message = Load | Run | Probe | Loaded | Running | Preparing | Answer

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

    def receive(self, seconds: float | None = None, longest: int = LONGEST) -> tuple[Message, list[int]]:
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
            if length > longest:
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
        data = bytearray()
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
        return bytes(data)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
