"""The frames of a unit: which ones there are, what each says of itself, and its pixels.

Room and worker make the same list from the same headers, so a number is enough to speak of a frame between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from edge.infer import applicability
from edge.infer.header import number
from edge.infer.refusal import Refusal
from edge.packages.manifest import Rule

_MOST = 16384
"""Frames of one unit; more are no study but an attack on the box's memory."""

_NOT_FLAT = ("DerivationImageSequence", "SourceImageSequence", "ReferencedImageSequence")


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a unit: of image `image`, at `index` in its pixel data; `number` (from 1) if it has several."""

    image: int
    index: int
    number: int | None


def shots(datasets: Sequence[Dataset], select: Mapping[str, Rule]) -> list[Shot]:
    """The frames of the images that meet `select`, in order.

    Raises
    ------
    Refusal
        `unreadable`, or `too-large` above 16,384 frames.
    """
    found: list[Shot] = []
    for image, dataset in enumerate(datasets):
        if applicability.met(select, dataset):
            count = number(dataset, "NumberOfFrames", 1) or 1
            if count < 0 or len(found) + count > _MOST:
                raise Refusal("too-large", "the unit has more frames than any study")
            found += [Shot(image, index, index + 1 if count > 1 else None) for index in range(count)]
    return found


def attributes(dataset: Dataset, shot: Shot) -> Dataset:
    """What is true of one frame: of a multi-frame image with functional groups (PS3.3 C.7.6.16), theirs included."""
    if shot.number is None:
        return dataset
    try:
        flat = Dataset()
        flat.update(dict(dataset.items()))
        _add(flat, dataset.get("SharedFunctionalGroupsSequence") or (), 0)
        _add(flat, dataset.get("PerFrameFunctionalGroupsSequence") or (), shot.index)
    except Exception:  # noqa: BLE001 - hostile items raise anything
        raise Refusal("unreadable", "the functional groups cannot be read") from None
    return flat


def _add(flat: Dataset, groups: Sequence[Dataset], index: int) -> None:
    if index >= len(groups):
        return
    for element in groups[index]:
        if element.VR == "SQ" and element.value and element.keyword not in _NOT_FLAT:
            flat.update(dict(element.value[0].items()))
