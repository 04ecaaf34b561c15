"""What `edge bench kernels` measures: each kernel on the images it was made for, beside peers that compute the same.

A peer that computes something else (another grid, no antialiasing, resize before the window) is no peer, however fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import kernels
from edge import opencv
from edge.bench import peers
from kernels import GrayscaleTransform, ResamplePlan, VolumeGrid

Array = NDArray[Any]
Run = Callable[[Any], Any]

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Contest:
    """One task ready to be run: everything prepared, every output reused where the library can.

    `read` and `written`: bytes that cannot be avoided, for the limit that memory sets. `calls`: how many at once, for
    short tasks. `tolerance`: how far a peer's answer may be from ours, in shares of its range.
    """

    sources: Sequence[Any]
    ours: Run
    peers: Mapping[str, Run]
    read: int
    written: int
    calls: int = 1
    tolerance: float = 5e-4


@dataclass(frozen=True)
class Radiograph:
    """A kind of image and what a model wants of it."""

    shape: tuple[int, int]
    bits: int
    images: int
    out_shape: tuple[int, int]
    channels: int
    center: int
    width: int
    function: Literal["LINEAR", "SIGMOID"] = "LINEAR"
    filter: Literal["area", "triangle"] = "area"
    invert: bool = False
    calls: int = 1

    def contest(self) -> Contest:
        """Images, our chain and all peers'."""
        written = 4 * self.channels * self.out_shape[0] * self.out_shape[1]
        sources = [phantom(self.shape, self.bits, seed) for seed in range(self.images)]
        return Contest(sources, self._ours(), self._peers(), sources[0].nbytes, written, self.calls)

    def _ours(self) -> Run:
        transform = GrayscaleTransform.window(self.center, self.width, self.function, invert=self.invert)
        plan = ResamplePlan(self.shape, self.out_shape, self.filter)
        out = np.empty((1, self.channels, *self.out_shape), np.float32)
        mean, std = _MEAN[: self.channels], _STD[: self.channels]
        return lambda image: kernels.frame_to_tensor(
            image, transform, plan, mean=mean, std=std, channels=self.channels, out=out
        )

    def _peers(self) -> dict[str, Run]:
        low, high = self.center - self.width // 2, self.center + self.width // 2 - 1
        mean, std = np.array(_MEAN[: self.channels]), np.array(_STD[: self.channels])
        sign, shift = (-1, high) if self.invert else (1, -low)
        gain, offset = sign / (high - low) / std, (shift / (high - low) - mean) / std
        if self.filter == "triangle":
            return peers.torch_triangle(self.out_shape, (low, high), list(gain), list(offset))
        if self.function == "LINEAR":
            chain = opencv.window_and_resize(self.shape, self.out_shape, (low, high), list(gain), list(offset))
            return {"OpenCV min, max, INTER_AREA, addWeighted": chain}
        table = GrayscaleTransform.window(self.center, self.width, self.function, invert=self.invert).lut
        assert table is not None
        chain = opencv.table_and_resize(table, self.out_shape, list(1 / std), list(-mean / std))
        return {"OpenCV LUT, INTER_AREA, addWeighted": chain}


_DX = Radiograph((3000, 3000), 14, 4, (512, 512), 1, 7500, 9000, invert=True)


@dataclass(frozen=True)
class Windows:
    """CT slices through three windows."""

    shape: tuple[int, int, int] = (100, 512, 512)
    out_shape: tuple[int, int] = (224, 224)
    windows: tuple[tuple[int, int], ...] = ((-600, 1500), (40, 400), (480, 2500))

    def contest(self) -> Contest:
        """One volume; the peer goes slice by slice and window by window."""
        volume = np.stack([phantom(self.shape[1:], 11, seed).astype(np.int16) - 1000 for seed in range(4)])
        volume = np.ascontiguousarray(np.tile(volume, (self.shape[0] // 4, 1, 1)))
        transforms = [GrayscaleTransform.window(*window, signed=True) for window in self.windows]
        plan = ResamplePlan(self.shape[1:], self.out_shape)
        out = np.empty((len(volume), len(transforms), *self.out_shape), np.float32)

        def ours(slices: Array) -> Array:
            return kernels.multiwindow_to_tensor(slices, transforms, plan, out=out)

        ends = [(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2) for center, width in self.windows]
        theirs = {"OpenCV float32 a slice and window": opencv.windows_and_resize(self.shape, self.out_shape, ends)}
        return Contest([volume], ours, theirs, volume.nbytes, out.nbytes)


@dataclass(frozen=True)
class Volume:
    """A CT volume to even spacing."""

    shape: tuple[int, int, int] = (300, 512, 512)
    spacing: tuple[float, float, float] = (1.5, 0.7, 0.7)

    def contest(self) -> Contest:
        """One volume of int16."""
        slices = np.stack([phantom(self.shape[1:], 11, seed).astype(np.int16) for seed in range(5)])
        volume = np.ascontiguousarray(np.tile(slices, (self.shape[0] // 5, 1, 1)))
        grid = VolumeGrid(self.shape, self.spacing, (1.0, 1.0, 1.0))
        out = np.empty(grid.out_shape, np.float32)

        def ours(stored: Array) -> Array:
            return kernels.volume_resample(stored, self.spacing, (1.0, 1.0, 1.0), out=out)

        theirs = peers.simpleitk_resample(volume, grid)
        return Contest([volume], ours, theirs, volume.nbytes, out.nbytes)


@dataclass(frozen=True)
class Contrast:
    """A kernel that takes a frame of 16 bits to a frame of 16 bits."""

    method: Literal["clahe", "equalize"]
    side: int
    images: int = 3
    calls: int = 1

    def contest(self) -> Contest:
        """Frames of all 16 bits, as OpenCV and scikit-image have it."""
        sources = [phantom((self.side, self.side), 16, seed) for seed in range(self.images)]
        out = np.empty_like(sources[0])
        if self.method == "clahe":
            theirs: dict[str, Run] = {"OpenCV CLAHE, 65536 bins": opencv.clahe(2.0, (8, 8), out.shape)}
            # with 65536 bins ours is the same within one value; the default of 1024 is what is measured, and as a small
            # tile has fewer samples than OpenCV has bins, the clip limit means another thing there
            return Contest(sources, lambda image: kernels.clahe(image, out=out), theirs, out.nbytes * 2, out.nbytes,
                           self.calls, tolerance=0.1)  # fmt: skip
        theirs = peers.skimage_equalize()
        return Contest(sources, lambda image: kernels.equalize_histogram(image, out=out), theirs, out.nbytes * 2,
                       out.nbytes, self.calls, tolerance=2e-2)  # fmt: skip


@dataclass(frozen=True)
class HeatMap:
    """A map of many blobs to boxes, areas and strongest values."""

    side: int = 512
    threshold: float = 0.5
    calls: int = 4

    def contest(self) -> Contest:
        """What is compared are the areas, largest first."""
        sources = [_blobs(self.side, seed) for seed in range(4)]

        def ours(heat: Array) -> Array:
            return np.asarray(kernels.heatmap_components(heat, self.threshold)["area"])

        theirs = {
            "OpenCV compare, connectedComponentsWithStats": opencv.component_areas(self.threshold),
            **peers.skimage_areas(self.threshold),
        }
        return Contest(sources, ours, theirs, sources[0].nbytes, 0, self.calls, tolerance=0.0)


CONTESTS: Mapping[str, Radiograph | Windows | Volume | Contrast | HeatMap] = {
    "DX 3000x3000 uint16 -> 512x512, window, inverted, area": _DX,
    "DX 3000x3000 -> 512x512, window, inverted, triangle antialias": Radiograph(
        (3000, 3000), 14, 4, (512, 512), 1, 7500, 9000, filter="triangle", invert=True
    ),
    "DX 3000x3000 -> 512x512, SIGMOID table, inverted, area": Radiograph(
        (3000, 3000), 14, 4, (512, 512), 1, 7500, 9000, "SIGMOID", invert=True
    ),
    "CR 2500x2048 uint16 -> 3x224x224, window, area": Radiograph(
        (2500, 2048), 12, 6, (224, 224), 3, 2000, 3000, calls=2
    ),
    "MR 256x256 uint16 -> 224x224, window, area": Radiograph((256, 256), 12, 16, (224, 224), 1, 2000, 3000, calls=16),
    "CT 100 slices int16, 3 windows -> 3x224x224": Windows(),
    "CT 300x512x512 int16 -> 1 mm, trilinear": Volume(),
    "CLAHE 3000x3000 uint16, 1024 bins": Contrast("clahe", 3000),
    "CLAHE 512x512 uint16, 1024 bins": Contrast("clahe", 512, calls=4),
    "histogram equalisation 3000x3000 uint16": Contrast("equalize", 3000),
    "heat map 512x512 float32 -> components": HeatMap(),
}


def phantom(shape: tuple[int, ...], bits: int, seed: int) -> NDArray[np.uint16]:
    """A synthetic radiograph: smooth shapes, edges and noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.ogrid[0 : shape[0], 0 : shape[1]]
    top = float(2**bits - 1)
    smooth: NDArray[Any] = (np.sin(columns / 170 + seed) + np.cos(rows / 230) + 2) / 4 * top * 0.8
    edges = np.where((rows // 40 + columns // 40) % 7 == 0, top * 0.1, 0)
    noise = random.standard_normal(shape, np.float32) * np.float32(top * 0.01)
    image: NDArray[np.uint16] = np.clip(smooth + edges + noise, 0, top).astype(np.uint16)
    return image


def _blobs(side: int, seed: int) -> NDArray[np.float32]:
    """About a hundred and fifty round blobs."""
    random = np.random.default_rng(seed)
    heat = np.zeros((side, side), np.float32)
    at = np.arange(side)
    for row, column, size in zip(*random.uniform(0, side, (2, 150)), random.uniform(3, 12, 150), strict=True):
        down, across = (np.exp(-(((at - centre) / size) ** 2)).astype(np.float32) for centre in (row, column))
        np.maximum(heat, np.outer(down, across), out=heat)
    return heat
