"""Draws what the example packages look at: a bright disc on a gray frame, a dense ball in air."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GENERATED = "EDGE EXAMPLE"
"""Manufacturer's Model Name of every picture for these packages: they take no other image."""

Numbers = npt.NDArray[np.float64]


def disc(rows: int, columns: int, centre: tuple[float, float], radius: float, background: float = 0.1) -> Numbers:
    """A frame of 0..1: `background`, and a disc of 0.9 around `centre` (row, column), radius in pixels."""
    down, across = np.mgrid[:rows, :columns] + 0.5
    share = np.clip(radius + 0.5 - np.hypot(down - centre[0], across - centre[1]), 0, 1)
    return np.asarray(background + share * (0.9 - background))


def ball(
    shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Numbers:  # fmt: skip
    """Slices in HU: air, and a ball of 60 HU around `centre` (slice, row, column, in voxels), radius in mm."""
    places = np.indices(shape) + 0.5
    away = (places - np.array(centre)[:, None, None, None]) * np.array(spacing)[:, None, None, None]
    return np.where(np.sqrt((away**2).sum(axis=0)) <= radius, 60.0, -1000.0)
