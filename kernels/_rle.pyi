"""Shape of the compiled modules `kernels._rle_<level>`; there is no module of this very name at run time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

def rle(data: NDArray[np.uint8], bounds: NDArray[np.intp], samples: int, size: int, out: Any) -> int: ...
