"""The float64 oracle: the same functions written as the standard and the definition of each filter say, slowly.

Nothing here is shared with the fast path, so that a mistake there cannot hide here; tests hold both together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def window(
    stored: NDArray[Any],
    center: float,
    width: float,
    function: str = "LINEAR",
    slope: float = 1.0,
    intercept: float = 0.0,
    invert: bool = False,
) -> Float64:
    """Stored values to 0..1 by PS3.3 C.11.1 (rescale), C.11.2.1.2 and C.11.2.1.3 (window), case by case."""
    x = np.asarray(stored, np.float64) * slope + intercept
    if function == "LINEAR":
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
        y = (x - (center - 0.5)) / max(width - 1, 1e-300) + 0.5
    elif function == "LINEAR_EXACT":
        low, high = center - width / 2, center + width / 2
        y = (x - center) / width + 0.5
    else:
        low, high = -np.inf, np.inf
        with np.errstate(over="ignore"):  # exp of a large number is inf, and 1 / inf is the right answer
            y = 1 / (1 + np.exp(-4 * (x - center) / width))
    y = np.where(x <= low, 0.0, np.where(x > high, 1.0, y))
    return 1 - y if invert else y


def full_range(
    stored: NDArray[Any],
    bits_stored: int,
    signed: bool = False,
    slope: float = 1.0,
    intercept: float = 0.0,
    invert: bool = False,
) -> Float64:
    """Stored values to 0..1 over everything that BitsStored can hold, through the rescale."""
    least = -(2 ** (bits_stored - 1)) if signed else 0
    ends = [v * slope + intercept for v in (least, least + 2**bits_stored - 1)]
    x = np.asarray(stored, np.float64) * slope + intercept
    y = np.clip((x - min(ends)) / (max(ends) - min(ends)), 0, 1)
    return 1 - y if invert else y


def weights(n_in: int, n_out: int, kind: str, start: float = 0.0, length: float | None = None) -> Float64:
    """Dense (n_out, n_in) matrix of one axis; outputs divide [start, start + length) of the input evenly."""
    step = (n_in if length is None else length) / n_out
    matrix = np.zeros((n_out, n_in))
    for o in range(n_out):
        left, right, centre = start + o * step, start + (o + 1) * step, start + (o + 0.5) * step
        if kind == "linear":
            position = min(max(centre - 0.5, 0.0), n_in - 1.0)
            below = min(int(position), max(n_in - 2, 0))
            matrix[o, below] += 1 - (position - below)
            matrix[o, min(below + 1, n_in - 1)] += position - below
            continue
        for i in range(n_in):
            if kind == "area":
                matrix[o, i] = max(0.0, min(i + 1, right) - max(i, left))
            else:
                matrix[o, i] = max(0.0, 1 - abs(i + 0.5 - centre) / max(step, 1.0))
        matrix[o] /= matrix[o].sum()
    return matrix


def resize(image: Float64, out_shape: tuple[int, int], kind: str = "area", box: tuple[float, ...] = ()) -> Float64:
    """(rows, columns) to `out_shape`; `box` is (top, left, height, width) of the source, the whole by default."""
    rows, columns = image.shape
    top, left, height, width = box or (0.0, 0.0, float(rows), float(columns))
    down = weights(rows, out_shape[0], kind, top, height)
    across = weights(columns, out_shape[1], kind, left, width)
    return down @ image @ across.T


def boxes(
    in_shape: tuple[int, int], out_shape: tuple[int, int], mode: str, pixel_aspect_ratio: float = 1.0
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(top, left, height, width) of the source that is shown, and of the tensor that shows it."""
    source, target = (0.0, 0.0, float(in_shape[0]), float(in_shape[1])), (0, 0, out_shape[0], out_shape[1])
    tall, wide = in_shape[0] * pixel_aspect_ratio, float(in_shape[1])
    if mode == "letterbox":
        zoom = min(out_shape[0] / tall, out_shape[1] / wide)
        # To the nearest whole pixel, halves down.
        height, width = (max(1, int(np.ceil(length * zoom - 0.5 - 1e-9))) for length in (tall, wide))
        target = ((out_shape[0] - height) // 2, (out_shape[1] - width) // 2, height, width)
    elif mode == "centre-crop":
        zoom = max(out_shape[0] / tall, out_shape[1] / wide)
        height_in, width_in = out_shape[0] / zoom / pixel_aspect_ratio, out_shape[1] / zoom
        source = ((in_shape[0] - height_in) / 2, (in_shape[1] - width_in) / 2, height_in, width_in)
    return source, target


def frame_to_tensor(
    shown: Float64,
    out_shape: tuple[int, int],
    kind: str = "area",
    mode: str = "squash",
    pixel_aspect_ratio: float = 1.0,
    mean: float | list[float] = 0.0,
    std: float | list[float] = 1.0,
    scale: float = 1.0,
    channels: int = 1,
    layout: str = "NCHW",
    pad_value: float = 0.0,
) -> Float64:
    """Display values (rows, columns) or (rows, columns, 3) to the tensor that `kernels.frame_to_tensor` must give."""
    planes = [shown] if shown.ndim == 2 else [shown[..., c] for c in range(3)]
    if len(planes) == 3 and channels == 1:
        planes = [0.299 * planes[0] + 0.587 * planes[1] + 0.114 * planes[2]]
    source, (top, left, height, width) = boxes(shown.shape[:2], out_shape, mode, pixel_aspect_ratio)
    tensor = np.full((1, channels, *out_shape), float(pad_value))
    for c in range(channels):
        inside = resize(planes[c % len(planes)], (height, width), kind, source)
        tensor[0, c, top : top + height, left : left + width] = inside
    per_channel = (1, channels, 1, 1)
    means = np.broadcast_to(np.asarray(mean, np.float64), channels).reshape(per_channel)
    stds = np.broadcast_to(np.asarray(std, np.float64), channels).reshape(per_channel)
    tensor = (tensor * scale - means) / stds
    return tensor if layout == "NCHW" else tensor.transpose(0, 2, 3, 1)


def multiwindow(
    volume: NDArray[Any], windows: list[dict[str, Any]], out_shape: tuple[int, int], **options: Any
) -> Float64:
    """Slices through windows (arguments of `window`), each resized on its own, as channels."""
    tensors = [
        [frame_to_tensor(window(each, **arguments), out_shape, **options)[0, 0] for arguments in windows]
        for each in volume
    ]
    return np.array(tensors, np.float64).reshape(len(volume), len(windows), *out_shape)


def ybr_to_rgb(ybr: NDArray[Any]) -> Float64:
    """(..., 3) of YBR_FULL to RGB of 0..255 by the inverse of the equations in PS3.3 C.7.6.3.1.2, rounded."""
    forward = np.array(
        [[0.299, 0.587, 0.114], [-0.299 / 1.772, -0.587 / 1.772, 0.5], [0.5, -0.587 / 1.402, -0.114 / 1.402]]
    )
    shifted = np.asarray(ybr, np.float64) - [0, 128, 128]
    return np.clip(np.floor(shifted @ np.linalg.inv(forward).T + 0.5 + 1e-9), 0, 255)


def ybr_422_to_ybr(stored: NDArray[Any]) -> NDArray[Any]:
    """(rows, columns, 2) of Y Y Cb Cr for two pixels to (rows, columns, 3): the chrominance serves both."""
    rows, columns, _ = stored.shape
    pairs = stored.reshape(rows, columns // 2, 4)
    y, chroma = pairs[..., :2].reshape(rows, columns, 1), np.repeat(pairs[..., 2:], 2, axis=1)
    return np.concatenate([y, chroma], axis=2)


def palette_to_rgb(indices: NDArray[Any], entries: NDArray[Any], first: int, bits: int) -> Float64:
    """Indices to 0..1 per channel, clamped at both ends of the palette (C.7.6.3.1.5)."""
    at = np.clip(np.asarray(indices, np.int64) - first, 0, len(entries) - 1)
    shown: Float64 = np.asarray(entries, np.float64)[at] / (2**bits - 1)
    return shown
