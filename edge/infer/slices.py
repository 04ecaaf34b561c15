"""Where frames lie in the patient (PS3.3 C.7.6.2): their order along a normal, and whether they make one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer.header import values
from edge.infer.refusal import Refusal

Vector = npt.NDArray[np.float64]

_PARALLEL = 1e-3
_EVEN = 0.05
"""How far a distance between neighbours, or a step sideways, may be from what it should be: a share of a slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The plane of one frame: mm in the patient's coordinates, cosines of rows and columns, (row, column) spacing."""

    position: Vector
    orientation: Vector
    spacing: tuple[float, float]

    @property
    def normal(self) -> Vector:
        """The direction in which slices are ordered."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames that make one volume. `order`: their indices along the normal; `spacing`: slices, rows, columns, mm."""

    order: tuple[int, ...]
    spacing: tuple[float, float, float]
    orientation: tuple[float, ...]


def plane(dataset: Dataset) -> Plane | None:
    """The plane that the attributes of one frame state; None where they state none."""
    position = _numbers(dataset, "ImagePositionPatient", 3)
    orientation = _numbers(dataset, "ImageOrientationPatient", 6)
    spacing = _numbers(dataset, "PixelSpacing", 2)
    if position is None or orientation is None:
        return None
    lengths = (float(np.linalg.norm(orientation[:3])), float(np.linalg.norm(orientation[3:])))
    if not np.allclose(lengths, 1.0, atol=_PARALLEL) or abs(orientation[:3] @ orientation[3:]) > _PARALLEL:
        return None
    rows, columns = (float(spacing[0]), float(spacing[1])) if spacing is not None and spacing.min() > 0 else (0.0, 0.0)
    return Plane(position, orientation, (rows, columns))


def ordered(datasets: Sequence[Dataset]) -> list[int]:
    """Indices of images in the order in which a model gets them: along the normal, where all lie in parallel planes.

    Otherwise by series, acquisition and instance number. Images at one place keep the order of their numbers.
    """
    numbers = [_numbering(dataset) for dataset in datasets]
    indices = sorted(range(len(datasets)), key=lambda index: numbers[index])
    planes = [plane(dataset) for dataset in datasets]
    first = planes[0] if planes else None
    if first is None or any(each is None or not _parallel(first, each) for each in planes):
        return indices
    heights = [float(each.position @ first.normal) for each in planes if each is not None]
    return sorted(indices, key=lambda index: heights[index])


def stacked(planes: Sequence[Plane | None]) -> Stack:
    """The volume that frames make.

    Raises
    ------
    Refusal
        `uneven-slices`, unless there are at least two, parallel, of one pixel spacing, and evenly spaced.
    """
    first = planes[0] if planes else None
    if len(planes) < 2 or first is None or min(first.spacing) <= 0:
        raise _uneven()
    known = [each for each in planes if each is not None]
    if len(known) < len(planes) or any(not _parallel(first, each) for each in known):
        raise _uneven()
    if not np.allclose([each.spacing for each in known], first.spacing, rtol=_PARALLEL):
        raise _uneven()
    positions = np.array([each.position for each in known])
    heights = positions @ first.normal
    order = np.argsort(heights, kind="stable")
    steps = np.diff(positions[order], axis=0)
    along = steps @ first.normal
    distance = float(np.median(along))
    sideways = np.linalg.norm(steps - along[:, None] * first.normal, axis=1)
    most = _EVEN * max(distance, 1e-6)
    if distance <= 0 or np.abs(along - distance).max() > most or sideways.max() > max(most, _EVEN * min(first.spacing)):
        raise _uneven()
    spacing = (distance, *first.spacing)
    return Stack(tuple(int(n) for n in order), spacing, tuple(float(each) for each in first.orientation))


def _uneven() -> Refusal:
    return Refusal("uneven-slices", "the frames are not evenly spaced slices of one volume")


def _parallel(one: Plane, other: Plane) -> bool:
    return bool(np.allclose(one.orientation, other.orientation, atol=_PARALLEL))


def _numbers(dataset: Dataset, keyword: str, count: int) -> Vector | None:
    try:
        found = np.array([float(text) for text in values(dataset, keyword)])
    except ValueError:
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def _numbering(dataset: Dataset) -> tuple[tuple[float, ...], str]:
    """Series, acquisition and instance number, then the UID, so that the order is always the same."""
    found = (_numbers(dataset, keyword, 1) for keyword in ("SeriesNumber", "AcquisitionNumber", "InstanceNumber"))
    numbers = tuple(-1.0 if each is None else float(each[0]) for each in found)
    return numbers, next(iter(values(dataset, "SOPInstanceUID")), "")
