"""imagecodecs, and nothing else of it anywhere: one compressed frame to one array, by transfer syntax.

Raises whatever the codec raises: the caller is the worker process, and turns anything into a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _jpeg(data: bytes) -> Array:
    return np.asarray(imagecodecs.jpeg8_decode(data))


def _jpeg_ls(data: bytes) -> Array:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_2000(data: bytes) -> Array:
    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))


def _high_throughput_jpeg_2000(data: bytes) -> Array:
    return np.asarray(imagecodecs.htj2k_decode(data))


def _jpeg_xl(data: bytes) -> Array:
    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))


DECODERS: Mapping[str, Callable[[bytes], Array]] = MappingProxyType(
    {
        "1.2.840.10008.1.2.4.50": _jpeg,  # baseline
        "1.2.840.10008.1.2.4.51": _jpeg,  # extended, 8 and 12 bits
        "1.2.840.10008.1.2.4.53": _jpeg,  # spectral selection, retired
        "1.2.840.10008.1.2.4.55": _jpeg,  # full progression, retired
        "1.2.840.10008.1.2.4.57": _jpeg,  # lossless
        "1.2.840.10008.1.2.4.70": _jpeg,  # lossless, first-order prediction
        "1.2.840.10008.1.2.4.80": _jpeg_ls,
        "1.2.840.10008.1.2.4.81": _jpeg_ls,
        "1.2.840.10008.1.2.4.90": _jpeg_2000,
        "1.2.840.10008.1.2.4.91": _jpeg_2000,
        "1.2.840.10008.1.2.4.92": _jpeg_2000,
        "1.2.840.10008.1.2.4.93": _jpeg_2000,
        "1.2.840.10008.1.2.4.110": _jpeg_xl,
        "1.2.840.10008.1.2.4.111": _jpeg_xl,
        "1.2.840.10008.1.2.4.112": _jpeg_xl,
        "1.2.840.10008.1.2.4.201": _high_throughput_jpeg_2000,
        "1.2.840.10008.1.2.4.202": _high_throughput_jpeg_2000,
        # OpenJPH wraps around where lossy samples overflow; OpenJPEG clamps them
        "1.2.840.10008.1.2.4.203": _jpeg_2000,
    }
)
"""A frame's codestream to (rows, columns) or (rows, columns, samples), by Transfer Syntax UID."""
