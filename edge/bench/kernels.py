"""`kernels.frame_to_tensor` against OpenCV's best pipeline that computes the same thing.

All candidates run in one process, in turn, on one thread, over several images so that no source is warm in the cache
from the call before. Times are CPU time of the process: the least of all rounds. `ratio` is peer / ours of those;
`ratio_range` is the middle 80 % of the ratios of paired rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

import kernels
from edge import opencv
from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor

Frame = NDArray[np.uint16]
Function = Literal["LINEAR", "SIGMOID"]


class Row(TypedDict):
    """One task: `ours` and `peer` in milliseconds, `ratio` how many times faster we are, `n` rounds."""

    task: str
    peer_name: str
    ours: float
    peer: float
    ratio: float
    ratio_range: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Task:
    """One kind of image and what a model wants of it."""

    name: str
    shape: tuple[int, int]
    bits: int
    images: int
    out_shape: tuple[int, int]
    channels: int
    center: int
    width: int
    function: Function = "LINEAR"
    invert: bool = False
    calls: int = 1


_DX = Task(
    "DX 3000x3000 uint16 -> 1x1x512x512, window, inverted, area",
    shape=(3000, 3000),
    bits=14,
    images=4,
    out_shape=(512, 512),
    channels=1,
    center=7500,
    width=9000,
    invert=True,
)
TASKS = (
    _DX,
    replace(_DX, name="DX 3000x3000 uint16 -> 1x1x512x512, SIGMOID table, inverted, area", function="SIGMOID"),
    Task("CR 2500x2048 uint16 -> 1x3x224x224, window, area", (2500, 2048), 12, 6, (224, 224), 3, 2000, 3000, calls=2),
    Task("MR 256x256 uint16 -> 1x1x224x224, window, area", (256, 256), 12, 16, (224, 224), 1, 2000, 3000, calls=16),
)
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def header() -> dict[str, str]:
    """What was measured with what: versions and the level of the kernels."""
    return {
        "kernels": kernels.build(),
        "opencv": opencv.version(),
        "numpy": np.__version__,
        "cpu": _cpu_name(),
        "clock": "CPU time of the process, least of the rounds, one thread",
    }


def run(rounds: int = 15, tasks: tuple[Task, ...] = TASKS) -> list[Row]:
    """Measure every task; about five seconds with the default."""
    opencv.use_one_thread()
    return [_measure(task, rounds) for task in tasks]


def _measure(task: Task, rounds: int) -> Row:
    images = [phantom(task.shape, task.bits, seed) for seed in range(task.images)]
    name, chain = peer(task)
    candidates = (ours(task), chain)
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for which, candidate in enumerate(candidates):
            offset = turn * task.calls + which * task.images // 2
            batch = [images[(offset + i) % task.images] for i in range(task.calls)]
            times[which].append(_milliseconds(candidate, batch))
    mine, theirs = (np.array(series[1:]) for series in times)  # the first round warms up
    low, high = np.percentile(theirs / mine, (10, 90))
    return Row(
        task=task.name,
        peer_name=name,
        ours=round(float(mine.min()), 4),
        peer=round(float(theirs.min()), 4),
        ratio=round(float(theirs.min() / mine.min()), 2),
        ratio_range=(round(float(low), 2), round(float(high), 2)),
        n=rounds,
    )


def _milliseconds(candidate: Callable[[Frame], object], batch: list[Frame]) -> float:
    start = time.process_time_ns()
    for image in batch:
        candidate(image)
    return (time.process_time_ns() - start) / 1e6 / len(batch)


def ours(task: Task) -> Callable[[Frame], NDArray[np.float32]]:
    """Our chain with everything prepared and the tensor reused, as in the worker."""
    transform = GrayscaleTransform.window(task.center, task.width, task.function, invert=task.invert)
    plan = ResamplePlan(task.shape, task.out_shape)
    mean, std = _MEAN[: task.channels], _STD[: task.channels]
    out = np.empty((1, task.channels, *task.out_shape), np.float32)
    return lambda image: frame_to_tensor(image, transform, plan, mean=mean, std=std, channels=task.channels, out=out)


def peer(task: Task) -> tuple[str, Callable[[Frame], NDArray[np.float32]]]:
    """The fastest chain of OpenCV calls in the same order: transform, INTER_AREA, normalise."""
    low, high = task.center - task.width // 2, task.center + task.width // 2 - 1
    mean, std = np.array(_MEAN[: task.channels]), np.array(_STD[: task.channels])
    sign, shift = (-1, high) if task.invert else (1, -low)
    if task.function == "LINEAR":
        gain, offset = sign / (high - low) / std, (shift / (high - low) - mean) / std
        chain = opencv.window_and_resize(task.shape, task.out_shape, (low, high), list(gain), list(offset))
        return "OpenCV min, max, INTER_AREA on uint16, addWeighted", chain
    table = GrayscaleTransform.window(task.center, task.width, task.function, invert=task.invert).lut
    assert table is not None
    chain = opencv.table_and_resize(table, task.out_shape, list(1 / std), list(-mean / std))
    return "OpenCV LUT or NumPy take, INTER_AREA on float32, addWeighted", chain


def phantom(shape: tuple[int, int], bits: int, seed: int) -> Frame:
    """A synthetic radiograph: smooth shapes, edges and noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.ogrid[0 : shape[0], 0 : shape[1]]
    top = float(2**bits - 1)
    smooth: NDArray[Any] = (np.sin(columns / 170 + seed) + np.cos(rows / 230) + 2) / 4 * top * 0.8
    edges = np.where((rows // 40 + columns // 40) % 7 == 0, top * 0.1, 0)
    noise = random.standard_normal(shape, np.float32) * np.float32(top * 0.01)
    image: Frame = np.clip(smooth + edges + noise, 0, top).astype(np.uint16)
    return image


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"
