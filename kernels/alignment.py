"""How an aligned frame lies on the stored one, as a value: `Alignment`, and with the resize `Placement`.

A region that a model found in its tensor must land on the image that is stored. So each step that moves pixels is
recorded as a map of coordinates, and the maps are composed, never guessed backwards from the pixels.

Coordinates are (column, row), corner origin, as in `kernels.resample`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import arguments
from kernels.resample import ResamplePlan

Points = NDArray[np.float64]
Matrix = tuple[float, float, float, float, float, float]

_TURNED_TYPES = tuple(np.dtype(kind) for kind in (np.uint8, np.uint16, np.int16, np.float32, np.float64))
_MOST_SIDE = 32766  # OpenCV counts the samples of a frame that it turns in 16 bits
_STRIP = 64


@dataclass(frozen=True)
class Alignment:
    """An affine map from the coordinates of an aligned frame to those of the stored frame.

    Parameters
    ----------
    in_shape, out_shape : (rows, columns)
        Of the stored and of the aligned frame.
    matrix : six numbers (a, b, c, d, e, f)
        Stored column = a x + b y + c, stored row = d x + e y + f of the aligned (x, y) = (column, row).

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """

    in_shape: tuple[int, int]
    out_shape: tuple[int, int]
    matrix: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("in_shape", "out_shape"):
            shape = tuple(int(n) for n in getattr(self, name))
            if len(shape) != 2 or min(shape) < 1:
                raise ValueError(f"{name}: {shape} is not (rows, columns), each at least 1")
            object.__setattr__(self, name, shape)
        matrix = tuple(float(n) for n in self.matrix)
        if len(matrix) != 6 or not all(isfinite(n) for n in matrix):
            raise ValueError("matrix: needs six finite numbers")
        if not 1e-6 < abs(_determinant(matrix)) < 1e6:
            raise ValueError("matrix: cannot be inverted")
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def by_axes(cls, in_shape: tuple[int, int], x_axis: tuple[int, int], y_axis: tuple[int, int]) -> Self:
        """Quarter turns and mirrors: where in the stored frame the aligned columns (x) and rows (y) go on to.

        `x_axis` and `y_axis` are (1, 0), (-1, 0), (0, 1) or (0, -1) as (columns, rows), at right angles.
        """
        rows, columns = in_shape
        (a, d), (b, e) = x_axis, y_axis
        if sorted(map(abs, (a, d))) != [0, 1] or abs(a * e - b * d) != 1:
            raise ValueError(f"x_axis: {x_axis} with y_axis {y_axis} is no quarter turn or mirror")
        origin = (columns if a + b < 0 else 0, rows if d + e < 0 else 0)
        return cls(in_shape, (columns, rows) if d else (rows, columns), (a, b, origin[0], d, e, origin[1]))

    def then(self, later: Alignment) -> Alignment:
        """`later` aligns what this one made; the whole, from the stored frame to what `later` makes."""
        if later.in_shape != self.out_shape:
            raise ValueError(f"later: takes {later.in_shape}, not the aligned {self.out_shape}")
        a, b, c, d, e, f = self.matrix
        g, h, i, j, k, m = later.matrix
        whole = (a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f)
        return Alignment(self.in_shape, later.out_shape, whole)

    @property
    def is_view(self) -> bool:
        """Whether the aligned frame is the stored one's own memory in another order, or a part of it."""
        a, b, c, d, e, f = self.matrix
        axes = sorted(map(abs, (a, d))) == [0.0, 1.0] == sorted(map(abs, (b, e)))
        return axes and c.is_integer() and f.is_integer() and self._is_inside()

    @property
    def is_transposed(self) -> bool:
        """Whether stored rows became columns: the pixel aspect ratio is then the other way round."""
        return abs(self.matrix[3]) > abs(self.matrix[0])

    def to_stored(self, points: ArrayLike) -> Points:
        """Aligned to stored coordinates; (..., 2) of (column, row)."""
        a, b, c, d, e, f = self.matrix
        stored: Points = _pairs(points) @ np.array([[a, d], [b, e]]) + [c, f]
        return stored

    def to_aligned(self, points: ArrayLike) -> Points:
        """Stored to aligned coordinates; (..., 2) of (column, row)."""
        a, b, c, d, e, f = self.matrix
        inverse = np.array([[e, -d], [-b, a]]) / _determinant(self.matrix)
        aligned: Points = (_pairs(points) - [c, f]) @ inverse
        return aligned

    def apply(self, frame: NDArray[Any], *, out: NDArray[Any] | None = None, num_threads: int = 1) -> NDArray[Any]:
        """The aligned frame: a view where nothing has to be computed, else bilinear; beyond the frame its edge repeats.

        Parameters
        ----------
        frame : (rows, columns) or (rows, columns, 3)
            Of `in_shape`, any strides, read-only. Where it must be computed: uint8, uint16, int16, float32, float64.
        out : of the aligned shape and the frame's type, C-contiguous, optional
            Overwritten and returned, also where a view would do.
        num_threads : int
            At most this many threads share what is computed; the result does not depend on it, bit for bit.

        Raises
        ------
        ValueError
            An argument, named in the message, does not fit.
        """
        image = np.asarray(frame)
        if image.shape[:2] != self.in_shape or image.ndim not in (2, 3):
            raise ValueError(f"frame: shape {image.shape} is not the alignment's in_shape {self.in_shape}")
        arguments.threads(num_threads)
        shape = (*self.out_shape, *image.shape[2:])
        if self.is_view:
            seen = self._view(image)
            if out is None:
                return seen
            shown = arguments.output(out, shape, image.dtype, image)
            shown[...] = seen
            return shown
        if image.dtype.newbyteorder("=") not in _TURNED_TYPES or max(*self.in_shape, *self.out_shape) > _MOST_SIDE:
            raise ValueError(f"frame: {image.dtype} of {self.in_shape} cannot be turned by a fraction")
        native = np.ascontiguousarray(image, image.dtype.newbyteorder("="))
        shown = arguments.output(out, shape, native.dtype, image)
        self._turn(native, shown, num_threads)
        return shown

    def _is_inside(self) -> bool:
        corners = self.to_stored([[0, 0], self.out_shape[::-1]])
        return bool((corners >= 0).all() and (corners <= self.in_shape[::-1]).all())

    def _view(self, image: NDArray[Any]) -> NDArray[Any]:
        a, b, c, d, e, f = (int(n) for n in self.matrix)
        rows, columns = self.out_shape
        if not d:
            return image[_steps(f, e, rows), _steps(c, a, columns)]
        return image[_steps(f, d, columns), _steps(c, b, rows)].swapaxes(0, 1)

    def _turn(self, image: NDArray[Any], shown: NDArray[Any], num_threads: int) -> None:
        from kernels import _opencv

        a, b, c, d, e, f = self.matrix

        def strip(begin: int) -> None:
            x, y = 0.5, begin + 0.5  # of indices, which count from the centre of a sample
            matrix = np.array([[a, b, a * x + b * y + c - 0.5], [d, e, d * x + e * y + f - 0.5]])
            _opencv.turned(image, matrix, shown[begin : begin + _STRIP])

        begins = range(0, self.out_shape[0], _STRIP)
        with ThreadPoolExecutor(min(num_threads, len(begins))) as pool:
            list(pool.map(strip, begins))


@dataclass(frozen=True)
class Placement:
    """Where each tensor coordinate lies on the stored frame: an alignment, then a resize of what it made."""

    alignment: Alignment
    plan: ResamplePlan

    def __post_init__(self) -> None:
        if self.plan.in_shape != self.alignment.out_shape:
            raise ValueError(f"plan: takes {self.plan.in_shape}, not the aligned {self.alignment.out_shape}")

    @classmethod
    def of_plan(cls, plan: ResamplePlan) -> Self:
        """A resize of the stored frame itself."""
        return cls(Alignment(plan.in_shape, plan.in_shape), plan)

    @property
    def in_shape(self) -> tuple[int, int]:
        """(rows, columns) of the stored frame."""
        return self.alignment.in_shape

    @property
    def out_shape(self) -> tuple[int, int]:
        """(rows, columns) of the tensor."""
        return self.plan.out_shape

    def to_stored(self, points: ArrayLike) -> Points:
        """Tensor coordinates to stored pixel coordinates; (..., 2) of (column, row)."""
        return self.alignment.to_stored(self.plan.to_stored(points))

    def to_tensor(self, points: ArrayLike) -> Points:
        """Stored pixel coordinates to tensor coordinates; (..., 2) of (column, row)."""
        return self.plan.to_tensor(self.alignment.to_aligned(points))


def _steps(edge: int, step: int, count: int) -> slice:
    """`count` samples from the corner coordinate `edge` on, forwards or backwards."""
    if step > 0:
        return slice(edge, edge + count)
    end = edge - count - 1
    return slice(edge - 1, end if end >= 0 else None, -1)


def _determinant(matrix: tuple[float, ...]) -> float:
    a, b, _, d, e, _ = matrix
    return a * e - b * d


def _pairs(points: ArrayLike) -> Points:
    array = np.asarray(points, dtype=np.float64)
    if array.shape[-1:] != (2,):
        raise ValueError(f"points: shape {array.shape} does not end in 2 (column, row)")
    return array
