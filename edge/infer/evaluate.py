"""One unit through one model, in the worker: parse, decode, prepare, run. Bytes in, numbers out.

Whatever goes wrong becomes a reason of the catalogue and the class name of what was raised: an exception's text may
hold received values and never leaves this function.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from edge.infer import reduce
from edge.infer.masks import Masks
from edge.infer.protocol import Answer
from edge.infer.refusal import Refusal
from edge.infer.runtime import Session
from edge.infer.unit import Unit
from edge.packages.manifest import Manifest


class Clock(Protocol):
    """Told whose time it is: the box's, that prepares an input, or the package's, whose model runs."""

    def running(self) -> None:
        """An input is ready, the model runs next."""

    def preparing(self) -> None:
        """The model is done, and another input is prepared next."""


class Stages:
    """Milliseconds of each stage, summed up over all frames."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def end(self, name: str) -> None:
        """The stage `name` ends now; the next begins."""
        now = time.perf_counter()
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + (now - self._started) * 1e3
        self._started = now


class NoClock:
    """Where nobody waits: measurements, and tests of one stage."""

    def running(self) -> None:
        return None

    def preparing(self) -> None:
        return None


def evaluate(
    streams: Sequence[tuple[BinaryIO, str]],
    manifest: Manifest,
    session: Session,
    *,
    max_frame_bytes: int,
    max_unit_bytes: int = 2 << 30,
    masks: Masks | None = None,
    clock: Clock | None = None,
) -> Answer:
    """Run the model on one unit; never raises.

    Parameters
    ----------
    streams : (data set, transfer syntax UID) of each image, in the order that the room chose
    masks : where a segmentation may write; None only where the package is none
    """
    stages = Stages()
    try:
        unit = Unit(streams, manifest, max_frame_bytes=max_frame_bytes, max_unit_bytes=max_unit_bytes)
        stages.end("parse")
        return _looked(unit, manifest, session, masks, clock or NoClock(), stages)
    except Exception as error:  # noqa: BLE001 - see the module's docstring
        return _failed(error, stages)


def run_model(manifest: Manifest, session: Session, inputs: dict[str, npt.NDArray[np.generic]]) -> Answer:
    """Run the model on prepared tensors, and answer with every number of every output; never raises."""
    stages = Stages()
    try:
        outputs = session.run(inputs)
        stages.end("run")
        wanted = {name: outputs[name] for name in manifest.output_tensors()}
        return Answer(outputs=reduce.packed(wanted), milliseconds=stages.milliseconds)
    except Exception as error:  # noqa: BLE001 - see the module's docstring
        return _failed(error, stages)


def _failed(error: Exception, stages: Stages) -> Answer:
    if isinstance(error, Refusal):
        reason = error.reason
    else:
        reason = "memory-limit" if isinstance(error, MemoryError) else "internal"
    return Answer(reason=reason, error=type(error).__name__, milliseconds=stages.milliseconds)


def _looked(
    unit: Unit, manifest: Manifest, session: Session, masks: Masks | None, clock: Clock, stages: Stages
) -> Answer:
    reducer = reduce.for_task(manifest, unit, masks, session)
    batches = unit.batches(stages.end)
    batch = next(batches)
    while True:
        clock.running()
        reducer.take(batch, session.run(batch.inputs))
        stages.end("run")
        if batch.last:
            break
        clock.preparing()
        batch = next(batches)
    if reducer.is_heavy:
        # what the box itself makes of the answers is not the package's time
        clock.preparing()
    outputs, maps = reducer.result()
    marked = tuple(masks.marked) if masks else ()
    return Answer(
        outputs=outputs,
        milliseconds=stages.milliseconds,
        maps=maps,
        masks=marked,
        alignments=tuple(unit.alignments),
        statistics=unit.statistics,
    )
