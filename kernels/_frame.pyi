"""Shape of the compiled modules `kernels._frame_<level>`; there is no module of this very name at run time."""

from array import array
from typing import Any

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

class Loop:
    """One prepared kernel."""

    def __init__(
        self,
        taps: Resampler,
        kind: str,
        samples: int,
        steps: list[tuple[Any, ...]],
        in_rows: int,
        shape: tuple[int, int, int],
        box: tuple[int, int],
        channels_last: bool,
        scale: array[float],
        offset: array[float],
        padding: array[float],
        colour: str | tuple[NDArray[np.uint16], int],
        display: tuple[str, bool] | None,
    ) -> None: ...
    def run(self, frames: NDArray[np.generic], out: NDArray[np.float32], begin: int, end: int) -> bool: ...
