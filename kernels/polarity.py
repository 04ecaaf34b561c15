"""`polarity`: does the picture look inverted for its header? One number that a rule can bound.

Around what was imaged there is mostly air, and air is black as displayed. So in a picture shown the right way the
corners are darker than the rest; a wrong PhotometricInterpretation turns that round. Only the order of the gray
values counts, so the window does not matter, and the number of an inverted picture is exactly the other's negative.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.align import align
from kernels.frame import frame_to_tensor
from kernels.grayscale import GrayscaleTransform
from kernels.resample import ResamplePlan

_PLACES = 192
_CORNER = 8


def polarity(frame: NDArray[Any], transform: GrayscaleTransform, *, num_threads: int = 1) -> float:
    """From 1 (every corner darker than the rest) to -1 (brighter: looks inverted); about 0 says nothing.

    The share of pairs (a place, a place in a corner) of which the first is brighter, less the share of which it is
    darker: Cliff's delta, on a picture of at most 192 x 192 places, the corners an eighth of each side. What lies
    outside the collimated field (`kernels.collimation`) is left out, for a shutter is black in either polarity.

    Parameters
    ----------
    frame : (rows, columns) or (rows, columns, 3)
        As for `frame_to_tensor`.
    transform : GrayscaleTransform
        How the header has it displayed.
    num_threads : int
        As for `frame_to_tensor`.

    Raises
    ------
    ValueError
        An argument, named in the message, does not fit.
    """
    field = align(frame, crop=True).frame
    rows, columns = field.shape[:2]
    shrink = max(1.0, max(rows, columns) / _PLACES)
    plan = ResamplePlan((rows, columns), (ceil(rows / shrink), ceil(columns / shrink)))
    picture = frame_to_tensor(field, transform, plan, num_threads=num_threads)[0, 0]
    corners = np.zeros(picture.shape, np.bool_)
    height, width = (max(1, length // _CORNER) for length in picture.shape)
    for down in (slice(height), slice(-height, None)):
        for across in (slice(width), slice(-width, None)):
            corners[down, across] = True
    return _delta(picture[~corners], picture[corners])


def _delta(inside: NDArray[np.float32], corner: NDArray[np.float32]) -> float:
    """P(inside > corner) - P(inside < corner)."""
    if not inside.size:
        return 0.0
    ranked = np.sort(corner)
    darker = np.searchsorted(ranked, inside, side="left").mean(dtype=np.float64)
    not_brighter = np.searchsorted(ranked, inside, side="right").mean(dtype=np.float64)
    return float(darker + not_brighter) / ranked.size - 1.0
