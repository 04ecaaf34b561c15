"""`volume_resample`: a stored volume on a grid of millimetres, in HU; `VolumeGrid` says where each voxel came from.

Trilinear, as SimpleITK's and MONAI's: the centre of the first voxel stays where it was, and nothing is averaged when
shrinking (do that to the model's taste beforehand). With `orientation` the axes are those of the patient.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import arguments
from kernels.dispatch import compiled

if TYPE_CHECKING:
    from kernels._volume import Interpolator

Triple = tuple[float, float, float]

_LETTERS = {np.dtype(kind): np.dtype(kind).char for kind in (np.uint8, np.uint16, np.int16, np.float32)}
_COMPILED = compiled("_volume")
_VOXELS_PER_THREAD = 1 << 20
_STREAMED_BYTES = 1 << 24
_TOLERANCE = 0.01


@dataclass(frozen=True)
class VolumeGrid:
    """How a stored volume becomes a grid of even spacing.

    Parameters
    ----------
    shape : (slices, rows, columns)
        Of the stored volume, each at least 1.
    spacing : (between slices, between rows, between columns)
        Of the stored volume, in mm: distance of slice positions, then PixelSpacing.
    new_spacing : three floats
        Of the resampled volume, along its own axes, in mm.
    orientation : six floats, optional
        ImageOrientationPatient (PS3.3 C.7.6.2.1.1). Then the resampled axes run to the patient's head, back and left
        (the stored axis nearest to each is taken; no rotation), else they are the stored ones. Slices must follow
        the normal, the cross product of the two directions; pass `volume[::-1]` when they run against it.

    Raises
    ------
    ValueError
        An argument, named in the message, is out of its range.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    new_spacing: Triple
    orientation: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"volume: shape {shape} is not (slices, rows, columns), each at least 1")
        object.__setattr__(self, "shape", shape)
        for name in ("spacing", "new_spacing"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != 3 or not all(0 < v < np.inf for v in values):
                raise ValueError(f"{name}: {values} is not three lengths above 0")
            object.__setattr__(self, name, values)
        if self.orientation is not None:
            object.__setattr__(self, "orientation", _cosines(self.orientation))

    @property
    def axes(self) -> tuple[int, int, int]:
        """The stored axis (0 slices, 1 rows, 2 columns) behind each resampled axis."""
        directions = self._directions()
        z, y, x = max(permutations(range(3)), key=lambda order: sum(abs(directions[s, o]) for o, s in enumerate(order)))
        return z, y, x

    @property
    def flipped(self) -> tuple[bool, bool, bool]:
        """Whether each resampled axis runs against its stored axis."""
        directions = self._directions()
        first, second, third = (bool(directions[s, o] < 0) for o, s in enumerate(self.axes))
        return first, second, third

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Of the resampled volume: the nearest whole number of new voxels, at least 1; halves go down."""
        z, y, x = (
            max(1, ceil(self.shape[s] * self.spacing[s] / new - 0.5 - 1e-9))
            for s, new in zip(self.axes, self.new_spacing, strict=True)
        )
        return z, y, x

    def to_stored(self, points: ArrayLike) -> NDArray[np.float64]:
        """Resampled to stored voxel coordinates; (..., 3) of (column, row, slice), corner origin."""
        array = _points(points)
        stored = np.empty_like(array)
        for axis, (s, flip, new) in enumerate(zip(self.axes, self.flipped, self.new_spacing, strict=True)):
            centre = (array[..., 2 - axis] - 0.5) * (new / self.spacing[s]) + 0.5
            stored[..., 2 - s] = self.shape[s] - centre if flip else centre
        return stored

    def to_resampled(self, points: ArrayLike) -> NDArray[np.float64]:
        """Stored to resampled voxel coordinates; (..., 3) of (column, row, slice), corner origin."""
        array = _points(points)
        moved = np.empty_like(array)
        for axis, (s, flip, new) in enumerate(zip(self.axes, self.flipped, self.new_spacing, strict=True)):
            centre = self.shape[s] - array[..., 2 - s] if flip else array[..., 2 - s]
            moved[..., 2 - axis] = (centre - 0.5) * (self.spacing[s] / new) + 0.5
        return moved

    def _directions(self) -> NDArray[np.float64]:
        """[stored axis, resampled axis]: cosines between them."""
        if self.orientation is None:
            return np.eye(3)
        along_row, along_column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        stored = np.stack([np.cross(along_row, along_column), along_column, along_row])
        return stored[:, ::-1]  # the patient's x is left, y back, z head: the resampled axes backwards


def volume_resample(
    volume: NDArray[Any],
    spacing: Triple,
    new_spacing: Triple,
    *,
    orientation: tuple[float, ...] | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
    out: NDArray[np.float32] | None = None,
    num_threads: int = 1,
) -> NDArray[np.float32]:
    """A stored volume (slices, rows, columns) to slope * value + intercept on an even grid, trilinear.

    Parameters
    ----------
    volume : (slices, rows, columns)
        Stored values of any numeric type, any strides, read-only; uint8, uint16, int16 and float32 are read fastest,
        others as float32. NaN reaches at most the next stored voxel.
    spacing, new_spacing, orientation
        See `VolumeGrid`; beyond the outermost voxel centres the edge is repeated.
    slope, intercept : float
        RescaleSlope and RescaleIntercept: with those of a CT image the result is in HU.
    out : float32, C-contiguous, `VolumeGrid(...).out_shape`, optional
        Overwritten and returned; without it a new array is made, which costs more than the computation.
    num_threads : int
        At most this many threads share a large volume; the result does not depend on it, bit for bit.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads: {num_threads} must be at least 1")
    if not isfinite(slope) or slope == 0:
        raise ValueError(f"slope: {slope} must be finite and not 0")
    if not isfinite(intercept):
        raise ValueError(f"intercept: {intercept} must be finite")
    array = np.asarray(volume)
    if array.dtype.kind not in "buif":
        raise ValueError(f"volume: {array.dtype} is not a numeric type")
    grid = VolumeGrid(array.shape, spacing, new_spacing, orientation)
    resampled = _output(out, grid.out_shape)
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    elif array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32)
    _compute(array.transpose(grid.axes), grid, slope, intercept, resampled, num_threads)
    return resampled


def _compute(
    view: NDArray[Any],
    grid: VolumeGrid,
    slope: float,
    intercept: float,
    out: NDArray[np.float32],
    num_threads: int,
) -> None:
    """Run the compiled loop on all rows of `out`, in as many parts as threads pay."""
    mirrored = view.strides[2] == -view.itemsize
    source = view[:, :, ::-1] if mirrored else view
    loop = interpolator(grid, mirrored)
    base = 0
    letter = _LETTERS.get(view.dtype, "")
    kind = (letter, *arguments.sample_type(view.dtype), view.flags.aligned)
    if letter and letter != "f":  # around 0 HU float32 keeps most digits
        limits = np.iinfo(view.dtype)
        base = round(min(max(-intercept / slope, limits.min), limits.max))
    stream, shift = out.nbytes >= _STREAMED_BYTES, slope * base + intercept
    rows = out.shape[1]
    parts = max(1, min(num_threads, rows, out.size // _VOXELS_PER_THREAD))
    edges = [rows * i // parts for i in range(parts + 1)]
    if parts == 1:
        loop.run(source, kind, base, slope, shift, out, stream, 0, rows)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(lambda begin, end: loop.run(source, kind, base, slope, shift, out, stream, begin, end),
                      edges[:-1], edges[1:]))  # fmt: skip


@lru_cache(maxsize=16)
def interpolator(grid: VolumeGrid, mirrored: bool) -> Interpolator:
    """The compiled loop of a grid with its taps; `mirrored`: the columns are read backwards."""
    flips = list(grid.flipped)
    flips[2] ^= mirrored
    z, y, x = (
        _taps(grid.shape[s], n, new / grid.spacing[s], flip)
        for s, n, new, flip in zip(grid.axes, grid.out_shape, grid.new_spacing, flips, strict=True)
    )
    used = np.unique(np.concatenate([y[0], np.minimum(y[0] + 1, grid.shape[grid.axes[1]] - 1)])).astype(np.int32)
    among_used = np.searchsorted(used, y[0]).astype(np.int32)
    at = _blocks(len(x[0]), _COMPILED.lanes)
    base, control, fits = _windows(x[0], at, grid.shape[grid.axes[2]])
    loop: Interpolator = _COMPILED.Interpolator(z, (among_used, y[1]), x, used, at, base, control, fits)
    return loop


def _taps(n_in: int, n_out: int, step: float, flip: bool) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Start and weight of the sample after it, for outputs `step` apart from the first (or last) sample on."""
    position = np.minimum(np.arange(n_out) * step, n_in - 1)
    if flip:
        position = n_in - 1 - position
    start = np.minimum(np.floor(position), max(n_in - 2, 0))
    return start.astype(np.int32), (position - start).astype(np.float32)


def _blocks(outputs: int, lanes: int) -> NDArray[np.int32]:
    """First outputs of blocks of `lanes`, the last overlapping the one before; none where a row is shorter."""
    count = -(-outputs // lanes) if 0 < lanes <= outputs else 0
    return np.minimum(np.arange(count) * lanes, outputs - lanes).astype(np.int32)


def _windows(
    start: NDArray[np.int32], at: NDArray[np.int32], width: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8], bool]:
    """Where the windows of each block begin, the bytes that pair up its samples, and whether windows reach at all."""
    if len(at) == 0 or width < _COMPILED.window:
        return np.empty(0, np.int32), np.empty(0, np.uint8), False
    first = start[at[:, None] + np.arange(_COMPILED.lanes)].reshape(len(at) * _COMPILED.groups, -1)
    base = np.minimum(first.min(axis=1), width - _COMPILED.window)
    index = first - base[:, None]
    if index.max() > _COMPILED.window - 2:
        return np.empty(0, np.int32), np.empty(0, np.uint8), False
    pair = index[:, :, None] + [0, 1]
    if _COMPILED.words:
        control = pair.astype(np.uint16).view(np.uint8)
    else:
        control = (2 * pair[..., None] + [0, 1]).astype(np.uint8)
    return base.astype(np.int32), np.ascontiguousarray(control).reshape(-1), True


def _output(out: NDArray[np.float32] | None, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        raise ValueError(f"out: must be a float32 array of shape {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: must be C-contiguous, aligned and writable")
    return out


def _cosines(orientation: tuple[float, ...]) -> tuple[float, ...]:
    values = tuple(float(v) for v in orientation)
    rows, columns = np.array(values[:3]), np.array(values[3:])
    if len(values) != 6 or not np.isfinite(values).all():
        raise ValueError(f"orientation: {len(values)} values are not the six of ImageOrientationPatient")
    off = (abs(rows @ rows - 1), abs(columns @ columns - 1), abs(rows @ columns))
    if max(off) > _TOLERANCE:
        raise ValueError("orientation: the two directions must be of length 1 and at right angles")
    return values


def _points(points: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(points, dtype=np.float64)
    if array.shape[-1:] != (3,):
        raise ValueError(f"points: shape {array.shape} does not end in 3 (column, row, slice)")
    return array
