"""Shape of the compiled modules `kernels._volume_<level>`; there is no module of this very name at run time."""

import numpy as np
from numpy.typing import NDArray

lanes: int
"""Floats in a vector of this level; 0 for plain C."""
window: int
"""Samples that one window holds."""
groups: int
"""Windows per block of `lanes` outputs."""
words: bool
"""Whether pairs are chosen by numbers of 16-bit words, else of bytes."""

_Axis = tuple[NDArray[np.int32], NDArray[np.float32]]

class Interpolator:
    """The taps of one grid, ready for the loop."""

    def __init__(
        self,
        z: _Axis,
        y: _Axis,
        x: _Axis,
        used: NDArray[np.int32],
        at: NDArray[np.int32],
        base: NDArray[np.int32],
        control: NDArray[np.uint8],
        windows: bool,
    ) -> None: ...
    def run(
        self,
        volume: NDArray[np.generic],
        type: tuple[str, str, bool, bool],
        base: int,
        gain: float,
        shift: float,
        out: NDArray[np.float32],
        stream: bool,
        begin: int,
        end: int,
    ) -> None: ...
