"""A generated frontal chest radiograph of a small child who does not exist: numbers, no photograph.

Comes in: a size and a seed. Goes out: stored pixel values, MONOCHROME2 (bone bright, air dark), the same for the same
seed. It is a projection: the thickness of each tissue along the ray times its attenuation, in arbitrary units, with
quantum noise. It looks like a chest to a person and to a network; it has no diagnostic meaning.

Coordinates: x from -1 (left edge of the image, the patient's right) to 1, y from -1 (top) to 1, of the shorter side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]

BITS_STORED = 12
_VERTEBRAE = 15
_RIBS = 10


@dataclass(frozen=True, slots=True)
class _Grid:
    x: Plane
    y: Plane


def chest(rows: int = 1400, columns: int = 1200, seed: int = 4) -> npt.NDArray[np.uint16]:
    """The phantom's stored values, (rows, columns), both even, 0..4095."""
    attenuation = _doubled(_projection(rows // 2, columns // 2))
    noise = np.random.default_rng(seed).standard_normal((rows, columns), np.float32)
    exposed = attenuation + noise * (0.004 + 0.008 * attenuation)
    display = np.clip((exposed - 0.03) / 1.10, 0.0, 1.0) ** 0.8
    values: npt.NDArray[np.uint16] = np.rint(display * ((1 << BITS_STORED) - 1)).astype(np.uint16)
    return values


def _projection(rows: int, columns: int) -> Plane:
    """What the rays lose on their way, without noise, inside the collimated field."""
    grid = _grid(rows, columns)
    half = _Grid(grid.x[:, columns // 2 :], grid.y[:, columns // 2 :])
    bones = _spine(half) + _ribs(half) + _clavicles(half) + _shoulder_blades(half)
    mirrored = np.concatenate((bones[:, ::-1], bones), axis=1)
    field = _edge(0.97 - np.abs(grid.x), 0.01) * _edge(1.13 - np.abs(grid.y), 0.01)
    return np.asarray((_soft_tissue(grid) + mirrored) * field)


def _doubled(plane: Plane) -> Plane:
    """`plane` at twice its size, linear in between."""
    for _ in range(2):
        after = np.concatenate((plane[1:], plane[-1:]))
        plane = np.stack((plane, 0.5 * (plane + after)), axis=1).reshape(-1, plane.shape[1]).T
    return plane


def _grid(rows: int, columns: int) -> _Grid:
    short = min(rows, columns)
    y, x = np.meshgrid(
        (np.arange(rows, dtype=np.float32) + 0.5 - rows / 2) / (short / 2),
        (np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) / (short / 2),
        indexing="ij",
    )
    return _Grid(x, y)


def _soft_tissue(grid: _Grid) -> Plane:
    """Trunk, shoulders and neck, less the air of lungs and trachea, and the heart between them."""
    trunk = 0.66 * _dome(grid, 0.0, 0.35, 0.86, 1.75)
    shoulders = 0.50 * _dome(grid, 0.0, -0.45, 1.12, 0.52)
    neck = 0.44 * _dome(grid, 0.0, -1.15, 0.30, 0.75)
    body = np.maximum(np.maximum(trunk, neck), shoulders)
    heart = 0.34 * _dome(grid, 0.13, 0.20, 0.31, 0.35, -0.6)
    mediastinum = 0.22 * _dome(grid, 0.03, -0.30, 0.17, 0.55)
    centre = np.maximum(heart, mediastinum)
    lungs = _lungs(grid)
    air = 0.44 * lungs * (1.0 - 0.75 * np.clip(centre / 0.30, 0.0, 1.0))
    trachea = 0.09 * _edge(0.040 - np.abs(grid.x + 0.01), 0.014) * _edge(-0.28 - grid.y, 0.05) * (body > 0.1)
    return np.asarray(body - np.minimum(air, body * 0.84) + centre * 0.7 - trachea + _vessels(grid) * lungs)


def _lungs(grid: _Grid) -> Plane:
    """How much lung the ray crosses, 0..1; below, the diaphragm's two domes."""
    right = _dome(grid, -0.43, 0.02, 0.37, 0.84, 0.10)
    left = _dome(grid, 0.43, 0.02, 0.36, 0.84, -0.10)
    right *= _edge(0.47 + 0.9 * (grid.x + 0.42) ** 2 - grid.y, 0.03)
    left *= _edge(0.53 + 0.9 * (grid.x - 0.46) ** 2 - grid.y, 0.03)
    return np.asarray(np.sqrt(np.maximum(right, left)))


def _vessels(grid: _Grid) -> Plane:
    """Branches that leave the hila and thin out."""
    total = np.zeros_like(grid.x)
    for side in (-1, 1):
        dx, dy = (grid.x - side * 0.15) * side, grid.y - 0.02
        radius = np.hypot(dx, dy) + 1e-6
        angle = np.arctan2(dy, dx)
        for turn, width in ((-1.1, 0.05), (-0.7, 0.06), (-0.25, 0.07), (0.15, 0.07), (0.55, 0.07), (0.95, 0.06)):
            bend = turn + 0.25 * np.sin(4.0 * radius + turn * 3.0)
            across = np.abs(angle - bend) * radius
            thick = width * np.exp(-2.6 * radius) * 0.45
            fades = np.exp(-2.2 * radius) * (1.0 - np.exp(-((radius / 0.09) ** 2)))
            total += 0.09 * np.exp(-((across / (thick + 0.004)) ** 2)) * fades
    return total


def _spine(half: _Grid) -> Plane:
    """A column of vertebral bodies with discs between them."""
    phase = (half.y + 1.3) / (2.6 / _VERTEBRAE)
    phase -= np.floor(phase) + 0.5
    body = _edge(0.085 + 0.012 * half.y - half.x, 0.02)
    bodies = 0.6 + 0.4 * _edge(0.38 - np.abs(phase), 0.06)
    pedicles = np.exp(-(((half.x - 0.055) / 0.016) ** 2) - (phase / 0.2) ** 2)
    return np.asarray(0.17 * body * bodies + 0.05 * pedicles, np.float32)


def _ribs(half: _Grid) -> Plane:
    """Arcs: behind they run down and outwards, in front they come back fainter."""
    total = np.zeros_like(half.x)
    for number in range(_RIBS):
        top = -0.86 + 0.155 * number
        reach = 0.52 + 0.30 * np.sin(np.pi * (number + 1.5) / (_RIBS + 3))
        share = np.clip(half.x / reach, 0.0, 1.0)
        ends = _edge(reach - half.x, 0.012)
        fall = top - 0.05 + 0.10 * share + 0.34 * share**2.2
        total += 0.085 * _band(half.y - fall, 0.032) * ends * _edge(half.x - 0.06, 0.02)
        if number < _RIBS - 3:
            rise = top + 0.39 + 0.22 * np.sqrt(1.0 - share**2)
            total += 0.032 * _band(half.y - rise, 0.036) * ends * _edge(half.x - 0.26, 0.10)
    return total


def _clavicles(half: _Grid) -> Plane:
    line = -0.70 - 0.16 * half.x + 0.07 * np.sin(np.pi * np.clip(half.x / 0.7, 0.0, 1.0) * 1.6)
    return np.asarray(0.11 * _band(half.y - line, 0.030) * _edge(half.x - 0.10, 0.02) * _edge(0.74 - half.x, 0.03))


def _shoulder_blades(half: _Grid) -> Plane:
    """A faint plate at the outer border of the lung, and the joint above it."""
    blade = 0.06 * _dome(half, 0.72, -0.42, 0.13, 0.34, -0.35)
    joint = 0.10 * _dome(half, 0.86, -0.72, 0.13, 0.12)
    return np.asarray(np.maximum(blade, joint))


def _dome(grid: _Grid, x: float, y: float, width: float, height: float, tilt: float = 0.0) -> Plane:
    """Thickness of an ellipsoid seen from the front: 1 in its middle, 0 at and outside its outline."""
    cosine, sine = np.cos(tilt), np.sin(tilt)
    across = (cosine * (grid.x - x) + sine * (grid.y - y)) / width
    down = (-sine * (grid.x - x) + cosine * (grid.y - y)) / height
    return np.asarray(np.sqrt(np.clip(1.0 - across**2 - down**2, 0.0, 1.0)), np.float32)


def _band(distance: Plane, width: float) -> Plane:
    """A bone in cross section: dense at its two edges, paler within."""
    inside = _edge(width - np.abs(distance), width * 0.22)
    return np.asarray(inside * (0.65 + 0.35 * (distance / width) ** 2), np.float32)


def _edge(distance: Plane, softness: float) -> Plane:
    """0 outside, 1 inside, smooth between."""
    t = np.clip(distance / softness * 0.5 + 0.5, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)
