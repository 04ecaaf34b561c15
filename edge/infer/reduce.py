"""What the worker hands to the room of all that a model answered, by task: scores, boxes, masks, heat maps.

The room believes none of it: it checks shapes and ranges (postprocess.py) and applies thresholds itself. Only what
needs every pixel is done here, within the worker's limits: suppression of boxes, masks, the choice of heat maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.infer import boxes, numbers, occlusion
from edge.infer.masks import Masks
from edge.infer.protocol import Tensor
from edge.infer.refusal import Refusal
from edge.infer.runtime import Session
from edge.infer.segments import Segments, Solids
from edge.infer.unit import Batch, Unit
from edge.packages.manifest import Manifest
from edge.packages.tasks import Output

Arrays = Mapping[str, npt.NDArray[Any]]
Reduced = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Outputs and maps, by output."""

_MOST_BYTES = 2 << 20
"""Of scores, and of maps, which are of some hundred places; a message to the room holds 8 MiB, in base64."""


class Reducer(Protocol):
    """Takes the answers of all batches of one unit."""

    is_heavy: bool
    """Whether `result` is work."""

    def take(self, batch: Batch, answered: Arrays) -> None:
        """One batch and what the model said. Raises Refusal (`bad-output`)."""

    def result(self) -> Reduced:
        """What the room gets. Raises Refusal."""


def for_task(manifest: Manifest, unit: Unit, masks: Masks | None, session: Session) -> Reducer:
    """The reducer of the package's task."""
    if manifest.task == "detect":
        return Detections(manifest, unit)
    if manifest.task == "segment":
        assert masks is not None
        return Solids(manifest, unit, masks) if manifest.volumes else Segments(manifest, unit, masks)
    return Scores(manifest, unit, session)


class Scores:
    """Scores and quantities: (frames, numbers) of each output, and the heat maps that were asked for."""

    is_heavy = False

    def __init__(self, manifest: Manifest, unit: Unit, session: Session) -> None:
        self._manifest = manifest
        self._rows: dict[str, list[npt.NDArray[Any]]] = {output.tensor: [] for output in manifest.outputs}
        self._heats = {output.tensor: Heats(output) for output in manifest.outputs if output.has_map}
        self._session = session

    def take(self, batch: Batch, answered: Arrays) -> None:
        """See Reducer."""
        count = len(batch.shots) or 1
        for output in self._manifest.outputs:
            array = answered[output.tensor]
            if self._manifest.takes_many and not self._manifest.volumes:
                if len(array) < count:
                    raise Refusal("bad-output", "an output has fewer rows than the batch has frames")
                rows = [row.ravel() for row in array[:count]]
            else:
                rows = [array.ravel()]
            self._rows[output.tensor] += rows
            if output.has_map:
                self._heats[output.tensor].take(rows[0], self._heat(output, batch, answered, rows[0]))

    def _heat(self, output: Output, batch: Batch, answered: Arrays, raw: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """The maps (classes, rows, columns) of one frame."""
        if output.cam == "auto":
            return np.asarray(answered[output.cam_tensor][0])
        if output.heat is not None:
            wanted = [entry.index for entry in output.classes]
            found = answered[output.heat]
            if found.ndim != 4 or len(found) < 1 or found.shape[1] <= max(wanted):
                raise Refusal("bad-output", "a heat map has another shape than (1, classes, rows, columns)")
            return np.asarray(found[0][wanted])
        entry = self._manifest.inputs[0]
        return occlusion.heat(self._session, batch.inputs[entry.tensor], entry, output, raw)

    def result(self) -> Reduced:
        """See Reducer."""
        outputs = {
            tensor: np.stack(rows) for tensor, rows in self._rows.items() if len({len(row) for row in rows}) == 1
        }
        if len(outputs) < len(self._rows) or sum(array.nbytes for array in outputs.values()) > _MOST_BYTES:
            raise Refusal("bad-output", "the outputs of the frames differ in size, or are too large")
        maps = {tensor: heats.best for tensor, heats in self._heats.items() if heats.best is not None}
        if sum(heat.nbytes for heat in maps.values()) > _MOST_BYTES:
            raise Refusal("bad-output", "the heat maps are too large")
        return packed(outputs), packed(maps)


class Heats:
    """For each class, the map of the frame in which it scored highest: (1, classes, rows, columns)."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._highest = np.full(len(output.classes), -np.inf)
        self.best: npt.NDArray[Any] | None = None

    def take(self, raw: npt.NDArray[Any], heat: npt.NDArray[Any] | None) -> None:
        """The numbers of one frame, and its maps."""
        if heat is None:
            return
        if self.best is None:
            self.best = np.zeros((1, *heat.shape), np.float32)
        scores = numbers.activated(raw, self._output.activation)
        for place, entry in enumerate(self._output.classes):
            # the room finds the frame the same way: the first of the highest
            if entry.index < len(scores) and scores[entry.index] > self._highest[place]:
                self._highest[place] = scores[entry.index]
                self.best[0, place] = heat[place]


class Detections:
    """The boxes of every frame; at most so many of a unit as one message holds."""

    is_heavy = False

    def __init__(self, manifest: Manifest, unit: Unit) -> None:
        self._output = manifest.outputs[0]
        self._entry = manifest.inputs[0]
        self._unit = unit
        self._found: list[npt.NDArray[np.float64]] = []

    def take(self, batch: Batch, answered: Arrays) -> None:
        """See Reducer."""
        for place, shot in enumerate(batch.shots):
            self._found.append(boxes.of_frame(self._output, self._entry, answered, place, shot))

    def result(self) -> Reduced:
        """See Reducer."""
        return packed({self._output.tensor: boxes.strongest(np.concatenate(self._found))}), {}


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays as they travel to the room."""
    found = {}
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array, np.float32)
        found[name] = Tensor(tuple(int(n) for n in plain.shape), plain.tobytes())
    return found
