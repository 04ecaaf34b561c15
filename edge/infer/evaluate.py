"""One data set through one model, in the worker: parse, decode, prepare, run. Bytes in, numbers out.

Whatever goes wrong becomes a reason of the catalogue and the class name of what was raised: an exception's text may
hold received values and never leaves this function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from edge.infer.applicability import check_statistics
from edge.infer.decode import decode
from edge.infer.header import read_header
from edge.infer.pixels import describe
from edge.infer.preprocess import polarity_of, prepared, statistics
from edge.infer.protocol import Answer, Tensor
from edge.infer.refusal import Refusal
from edge.infer.runtime import Session
from edge.infer.steps import told
from edge.packages.manifest import Manifest

_MOST_MAP_BYTES = 2 << 20
"""Maps are of some hundred places; a message to the room holds 4 MiB."""


class Stages:
    """Milliseconds of each stage."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def end(self, name: str) -> None:
        """The stage `name` ends now; the next begins."""
        now = time.perf_counter()
        self.milliseconds[name] = (now - self._started) * 1e3
        self._started = now


def evaluate(
    data: BinaryIO,
    transfer_syntax_uid: str,
    manifest: Manifest,
    session: Session,
    *,
    max_frame_bytes: int,
    prepared: Callable[[], None] = lambda: None,
) -> Answer:
    """Run the model on one image; never raises.

    `prepared` is called when the input is ready, just before the model runs.
    """
    stages = Stages()
    try:
        inputs, alignments = _inputs(data, transfer_syntax_uid, manifest, max_frame_bytes, stages)
        prepared()
    except Exception as error:  # noqa: BLE001 - see the module's docstring
        return _failed(error, stages)
    return msgspec.structs.replace(run_model(manifest, session, inputs, stages), alignments=alignments)


def run_model(
    manifest: Manifest, session: Session, inputs: dict[str, npt.NDArray[np.generic]], stages: Stages | None = None
) -> Answer:
    """Run the model on prepared tensors; never raises."""
    stages = stages or Stages()
    try:
        outputs = session.run(inputs)
        maps = _maps(manifest, outputs)
        stages.end("run")
    except Exception as error:  # noqa: BLE001 - see the module's docstring
        return _failed(error, stages)
    wanted = {output.tensor for output in manifest.outputs}
    packed = {name: _packed(array) for name, array in outputs.items() if name in wanted}
    return Answer(outputs=packed, milliseconds=stages.milliseconds, maps=maps)


def _failed(error: Exception, stages: Stages) -> Answer:
    if isinstance(error, Refusal):
        reason = error.reason
    else:
        reason = "memory-limit" if isinstance(error, MemoryError) else "internal"
    return Answer(reason=reason, error=type(error).__name__, milliseconds=stages.milliseconds)


def _inputs(
    data: BinaryIO, transfer_syntax_uid: str, manifest: Manifest, max_frame_bytes: int, stages: Stages
) -> tuple[dict[str, npt.NDArray[np.generic]], tuple[tuple[float, ...], ...]]:
    """The input tensors, and how each frame was aligned."""
    header = read_header(data, transfer_syntax_uid)
    if not header.is_whole:
        raise Refusal("no-pixel-data", "the object has no pixel data")
    pixels = describe(header.dataset)
    stages.end("parse")
    if pixels.number_of_frames > 1:
        # one frame of many is not what a package of scope "image" declares itself for
        raise Refusal("unsupported-pixels", "the object has several frames")
    frame = decode(header, pixels, transfer_syntax_uid, max_bytes=max_frame_bytes)
    stages.end("decode")
    inputs: dict[str, npt.NDArray[np.generic]] = {}
    alignments = []
    rules = manifest.applicability
    polarity = {"Polarity": polarity_of(frame, header.dataset)} if "Polarity" in rules else {}
    for entry in manifest.inputs:
        ready = prepared(frame, header.dataset, entry)
        reason = check_statistics(rules, statistics(ready.tensor) | polarity)
        if reason:
            raise Refusal(reason, "the prepared input is outside the package's rules")
        inputs[entry.tensor] = ready.tensor
        alignments.append(told(ready.alignment))
    stages.end("prepare")
    return inputs, tuple(alignments)


def _maps(manifest: Manifest, outputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    """The class-activation maps that edge.packages.cam put into the graph, by output."""
    wanted = [output for output in manifest.outputs if output.cam == "auto"]
    if sum(outputs[output.cam_tensor].nbytes for output in wanted) > _MOST_MAP_BYTES:
        raise Refusal("bad-output", "the class-activation maps are too large")
    return {output.tensor: _packed(outputs[output.cam_tensor]) for output in wanted}


def _packed(array: npt.NDArray[Any]) -> Tensor:
    numbers = np.ascontiguousarray(array, np.float32)
    return Tensor(tuple(int(n) for n in numbers.shape), numbers.tobytes())
