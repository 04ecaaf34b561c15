"""A segmentation's scores to masks in stored pixels, frame by frame: activation, threshold, least size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.infer import volume
from edge.infer.masks import Masks
from edge.infer.numbers import activated
from edge.infer.projection import onto_frame
from edge.infer.protocol import Tensor
from edge.infer.refusal import Refusal
from edge.infer.unit import Batch, Unit
from edge.packages.manifest import Manifest
from edge.packages.tasks import SegmentClass
from kernels import mask_components

Arrays = Mapping[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]


class Segments:
    """Masks of single frames."""

    is_heavy = False

    def __init__(self, manifest: Manifest, unit: Unit, masks: Masks) -> None:
        self._manifest = manifest
        self._unit = unit
        self._masks = masks

    def take(self, batch: Batch, answered: Arrays) -> None:
        """See reduce.Reducer."""
        for place, shot in enumerate(batch.shots):
            number = 0
            for output in self._manifest.outputs:
                scores = _channels_first(answered[output.tensor], place, self._manifest)
                scores = activated(scores, output.activation, axis=0)
                onto = onto_frame(scores, self._unit.plan(shot))
                for entry, mask in marked(onto, output.segments, exclusive=output.activation == "softmax"):
                    if mask.any():
                        self._masks.add(number + output.segments.index(entry), shot, mask)
                number += len(output.segments)

    def result(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The masks lie in shared memory; nothing else is to be said."""
        return {}, {}


class Solids:
    """Masks of the slices of a volume, once all its tiles are known."""

    is_heavy = True

    def __init__(self, manifest: Manifest, unit: Unit, masks: Masks) -> None:
        self._manifest = manifest
        self._unit = unit
        self._masks = masks
        self._blends: list[volume.Blend] = []

    def take(self, batch: Batch, answered: Arrays) -> None:
        """See reduce.Reducer."""
        assert self._unit.solid is not None
        extent = self._manifest.volumes[0].extent
        for number, output in enumerate(self._manifest.outputs):
            wanted = [entry.index for entry in output.segments]
            scores = _channels_first(answered[output.tensor], 0, self._manifest)
            if scores.shape[1:] != extent or scores.shape[0] <= max(wanted):
                raise Refusal("bad-output", "a segmentation has another size than its input")
            if len(self._blends) <= number:
                # with softmax the classes that the manifest does not name count too: the background, say
                channels = len(scores) if output.activation == "softmax" else len(wanted)
                self._blends.append(volume.Blend(self._unit.solid.values.shape, channels, extent))
            scores = activated(scores, output.activation, axis=0)
            self._blends[number].add(batch.place, scores if output.activation == "softmax" else scores[wanted])

    def result(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See reduce.Reducer."""
        solid = self._unit.solid
        assert solid is not None
        number = 0
        for output, blend in zip(self._manifest.outputs, self._blends, strict=True):
            exclusive = output.activation == "softmax"
            places = None if exclusive else {entry.index: at for at, entry in enumerate(output.segments)}
            for shot, scores in zip(solid.shots, volume.on_slices(blend.scores(), solid.grid), strict=True):
                for entry, mask in marked(scores, output.segments, exclusive=exclusive, places=places):
                    if mask.any():
                        self._masks.add(number + output.segments.index(entry), shot, mask)
            number += len(output.segments)
        return {}, {}


def marked(
    scores: npt.NDArray[Any],
    entries: tuple[SegmentClass, ...],
    *,
    exclusive: bool,
    places: Mapping[int, int] | None = None,
) -> Iterator[tuple[SegmentClass, Mask]]:
    """For each segment the pixels at or above its threshold, without pieces that are too small.

    Parameters
    ----------
    scores : (channels, rows, columns)
    exclusive : whether a pixel belongs only to the channel in which it is highest
    places : where the channel of an index lies, if not at the index
    """
    highest = scores.argmax(axis=0) if exclusive else None
    for entry in entries:
        channel = places[entry.index] if places is not None else entry.index
        if channel >= len(scores):
            raise Refusal("bad-output", "a segmentation has fewer channels than the manifest names")
        mask = scores[channel] >= np.float32(entry.threshold)
        if entry.threshold <= 0:
            mask &= scores[channel] > 0  # outside of what the model saw all scores are 0
        if highest is not None:
            mask &= highest == channel
        yield entry, without_specks(mask, entry.min_pixels)


def without_specks(mask: Mask, least: int) -> Mask:
    """The mask without the pieces (diagonals connect) that have fewer than `least` pixels."""
    if least <= 1 or not mask.any():
        return mask
    labels = np.empty(mask.shape, np.int32)
    found = mask_components(mask, labels=labels)
    kept = np.concatenate([[False], found["area"] >= least])
    return np.asarray(kept[labels])


def _channels_first(array: npt.NDArray[Any], place: int, manifest: Manifest) -> npt.NDArray[Any]:
    axis, axes = manifest.class_axis
    if array.ndim != axes or len(array) <= place:
        raise Refusal("bad-output", "a segmentation has another shape than its manifest needs")
    return array[place] if axis == 1 else np.moveaxis(array[place], -1, 0)
