"""Shape of the compiled modules `kernels._enhance_<level>`; there is no module of this very name at run time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

tables: int
"""How many tables a histogram is counted in."""

def extent(frame: NDArray[Any]) -> tuple[int, int]: ...
def histogram(frame: NDArray[Any], low: int, counts: NDArray[np.uint32]) -> None: ...
def look_up(frame: NDArray[Any], table: NDArray[Any], low: int, out: NDArray[Any], begin: int, end: int) -> None: ...

class Clahe:
    """The geometry of tiles and cells, ready for the loop."""

    def __init__(
        self,
        y_edges: NDArray[np.int32],
        x_edges: NDArray[np.int32],
        down: NDArray[np.float32],
        across: NDArray[np.float32],
        tile_rows: int,
        tile_columns: int,
    ) -> None: ...
    def run(
        self,
        frame: NDArray[Any],
        out: NDArray[Any],
        low: int,
        range: int,
        shift: int,
        limit: int,
        top: int,
        begin: int,
        end: int,
    ) -> None: ...
