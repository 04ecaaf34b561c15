"""Shape of the compiled modules `kernels._frame_<level>`; there is no module of this very name at run time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Resampler:
    """The taps of one plan, ready for the loop."""

    rows: int
    columns: int
    def __init__(
        self,
        y_start: NDArray[np.int32],
        y_extent: NDArray[np.int32],
        y_weights: NDArray[np.float32],
        x_start: NDArray[np.int32],
        x_weights: NDArray[np.float32],
        width: int,
    ) -> None: ...
    def clip(
        self,
        frame: NDArray[np.generic],
        samples: int,
        base: int,
        low: float,
        high: float,
        scale: Sequence[float],
        offset: Sequence[float],
        out: NDArray[np.float32],
        begin: int,
        end: int,
    ) -> None: ...
    def table(
        self,
        frame: NDArray[np.generic],
        samples: int,
        table: NDArray[np.float32],
        bias: int,
        scale: Sequence[float],
        offset: Sequence[float],
        out: NDArray[np.float32],
        begin: int,
        end: int,
    ) -> None: ...
