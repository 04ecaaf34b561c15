"""Shape of the compiled modules `kernels._components_<level>`; there is no module of this very name at run time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Type = tuple[bool, str, bool]

class Components:
    """All components of one volume."""

    count: int
    def __init__(
        self,
        samples: NDArray[Any],
        type: _Type,
        is_float: bool,
        threshold: float,
        values: NDArray[Any] | None,
        value_type: _Type | None,
        labels: NDArray[np.int32] | None,
        diagonals: bool,
    ) -> None: ...
    def write(self, out: Any, flat: bool) -> None: ...

def trace(
    samples: NDArray[Any], type: _Type, threshold: float, x: int, y: int, diagonals: bool, points: NDArray[np.int32]
) -> int: ...
