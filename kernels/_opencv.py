"""OpenCV, and nothing else of it anywhere in kernels: filters and the turning of frames, where it is the fastest.

Imported when one of these is first called: `import kernels` needs NumPy alone. OpenCV keeps its number of threads for
the whole process, so its own pool is switched off here, once; `num_threads` of the callers means our threads.
Everything is checked by the callers; the GIL is released.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

Array = NDArray[Any]


def median(frame: Array, size: int, shown: Array) -> None:
    """Edges repeat; sizes above 5 are for uint8 only."""
    cv2.medianBlur(frame, size, dst=shown)


def bilateral(frame: Array, diameter: int, sigma_value: float, sigma_space: float, shown: Array) -> None:
    """float32; the frame is mirrored at its edges, without repeating the outermost samples."""
    cv2.bilateralFilter(frame, diameter, sigma_value, sigma_space, dst=shown)


def non_local_means(frame: Array, strength: float, patch: int, search: int, shown: Array) -> None:
    """uint8 by squared, uint16 by absolute differences: all that OpenCV has."""
    norm = cv2.NORM_L2 if frame.dtype == np.uint8 else cv2.NORM_L1
    cv2.fastNlMeansDenoising(frame, [strength], shown, patch, search, norm)


def turned(frame: Array, to_frame: NDArray[np.float64], shown: Array) -> None:
    """`shown` at (column, row) is `frame` at to_frame @ (column, row, 1), by indices; bilinear, edges repeat."""
    cv2.warpAffine(
        frame, to_frame, shown.shape[1::-1], dst=shown, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
