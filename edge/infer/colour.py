"""Colour frames to RGB, sample beside sample (PS3.3 C.7.6.3.1.2, C.7.6.3.1.3)."""

from __future__ import annotations

import numpy as np

from edge.infer.pixels import Array, Frame, Pixels


def interleaved(flat: Array, pixels: Pixels) -> Array:
    """Samples as they lie in native pixel data to (rows, columns) or (rows, columns, 3)."""
    rows, columns = pixels.rows, pixels.columns
    if pixels.samples_per_pixel == 1:
        return flat.reshape(rows, columns)
    if pixels.is_subsampled:
        return _upsampled(flat, rows, columns)
    if pixels.planar_configuration == 1:
        return np.ascontiguousarray(flat.reshape(3, rows, columns).transpose(1, 2, 0))
    return flat.reshape(rows, columns, 3)


def to_rgb(array: Array, photometric_interpretation: str) -> Frame:
    """YBR_FULL and YBR_FULL_422 (8 bits) to RGB; anything else as it is."""
    if photometric_interpretation not in ("YBR_FULL", "YBR_FULL_422") or array.dtype != np.uint8:
        return Frame(array, photometric_interpretation)
    ybr = array.astype(np.float32)
    y, blue, red = ybr[..., 0], ybr[..., 1] - 128, ybr[..., 2] - 128
    rgb = np.stack((y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue), axis=-1)
    return Frame(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), "RGB")


def _upsampled(flat: Array, rows: int, columns: int) -> Array:
    """Y1 Y2 CB CR for each two pixels of a row to one triple a pixel."""
    groups = flat.reshape(rows, columns // 2, 4)
    full = np.empty((rows, columns, 3), flat.dtype)
    full[:, 0::2, 0], full[:, 1::2, 0] = groups[..., 0], groups[..., 1]
    for channel in (1, 2):
        full[:, 0::2, channel] = full[:, 1::2, channel] = groups[..., channel + 1]
    return full
