"""OpenCV, and nothing else of it anywhere: picture files in and out, and the peer of `edge bench kernels`.

For files that a user names on his own command line (JPEG, PNG); pixel data of received DICOM objects is decoded by
`edge.infer.codecs`. Raises `BadObject`, never cv2's own errors.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import BadObject


def decode_gray(data: bytes) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """A JPEG or PNG file as gray (rows, columns): 16-bit PNG stays uint16, all else is uint8.

    Raises
    ------
    BadObject
        If it is no picture that OpenCV knows.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise BadObject("the file is no picture that can be read", hint="give a JPEG, PNG or DICOM file")
    return np.ascontiguousarray(image)


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """A (rows, columns) or (rows, columns, 3: red, green, blue) uint8 image as a PNG file."""
    shown = image if image.ndim == 2 else image[:, :, ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(shown))
    if not done:
        raise BadObject("the image cannot be written as PNG", hint="give 8-bit pixels")
    return data.tobytes()


def version() -> str:
    """Of OpenCV."""
    return str(cv2.__version__)


def use_one_thread() -> None:
    """For a fair comparison; holds for the process."""
    cv2.setNumThreads(1)


def window_and_resize(
    in_shape: tuple[int, int],
    out_shape: tuple[int, int],
    clip: tuple[int, int],
    gain: list[float],
    offset: list[float],
) -> Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.float32]]:
    """OpenCV's best exact chain on uint16: clip, INTER_AREA, gain and offset per channel; all buffers reused."""
    clipped = np.empty(in_shape, np.uint16)
    out = np.empty((1, len(gain), *out_shape), np.float32)

    def chain(frame: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
        cv2.min(frame, clip[1], dst=clipped)
        cv2.max(clipped, clip[0], dst=clipped)
        return _normalised(cv2.resize(clipped, out_shape[::-1], interpolation=cv2.INTER_AREA), gain, offset, out)

    return chain


def table_and_resize(
    table: npt.NDArray[np.float32], out_shape: tuple[int, int], gain: list[float], offset: list[float]
) -> Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.float32]]:
    """The same through a table of 65536 entries: cv2.LUT where it takes uint16 (OpenCV 5), else NumPy."""
    out = np.empty((1, len(gain), *out_shape), np.float32)
    wide = int(cv2.__version__.split(".")[0]) >= 5

    def chain(frame: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
        shown = cv2.LUT(frame, table) if wide else table[frame]
        return _normalised(cv2.resize(shown, out_shape[::-1], interpolation=cv2.INTER_AREA), gain, offset, out)

    return chain


def _normalised(
    small: npt.NDArray[np.generic], gain: list[float], offset: list[float], out: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    for channel, (a, b) in enumerate(zip(gain, offset, strict=True)):
        cv2.addWeighted(small, a, small, 0, b, dst=out[0, channel], dtype=cv2.CV_32F)
    return out


def windows_and_resize(
    in_shape: tuple[int, int, int], out_shape: tuple[int, int], ends: list[tuple[float, float]]
) -> Callable[[npt.NDArray[np.int16]], npt.NDArray[np.float32]]:
    """Slices through windows as channels: clip, scale and INTER_AREA in float32, for exact narrow windows."""
    wide, clipped = (np.empty(in_shape[1:], np.float32) for _ in range(2))
    out = np.empty((in_shape[0], len(ends), *out_shape), np.float32)

    def chain(volume: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        for number, stored in enumerate(volume):
            wide[...] = stored
            for channel, (low, high) in enumerate(ends):
                cv2.min(wide, high, dst=clipped)
                cv2.max(clipped, low, dst=clipped)
                small = cv2.resize(clipped, out_shape[::-1], interpolation=cv2.INTER_AREA)
                scale = 1 / (high - low)
                cv2.addWeighted(small, scale, small, 0, -low * scale, dst=out[number, channel])
        return out

    return chain


def clahe(
    clip_limit: float, tiles: tuple[int, int], shape: tuple[int, ...]
) -> Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.uint16]]:
    """CLAHE with all 65536 bins of uint16."""
    made, out = cv2.createCLAHE(clip_limit, tiles[::-1]), np.empty(shape, np.uint16)

    def run(frame: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        made.apply(frame, out)
        return out

    return run


def component_areas(threshold: float) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int32]]:
    """Boxes, areas and centroids of what lies above; the areas are returned."""

    def run(heat: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        above = cv2.compare(heat, threshold, cv2.CMP_GT)
        statistics = cv2.connectedComponentsWithStats(above, connectivity=8)[2]
        return np.asarray(statistics[1:, cv2.CC_STAT_AREA])

    return run
