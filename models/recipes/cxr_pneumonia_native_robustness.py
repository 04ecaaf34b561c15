"""What the native network does with other proportions and with planted opacities. Validation patients only.

Their images with true proportions are squashed (as the manifest says), letterboxed and cropped: three tensors of one
picture, one decision each. And into the healthy ones an opacity is planted, drawn otherwise than in training (one
round soft disc at full contrast), and it is asked where the map peaks and whether the outline holds its centre.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import cxr_pneumonia_native_split as split
import images
import measures
import numpy as np

from edge.infer import attention
from edge.infer.runtime import Session
from edge.opencv import decode_gray
from edge.packages import cam
from edge.packages.registry import Registry
from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor

MODES = ("squash", "letterbox", "centre-crop")
PLACES = {"image left": (0.48, 0.28), "image right": (0.48, 0.72), "upper": (0.32, 0.30), "lower": (0.64, 0.70)}
"""(row, column) of the planted centres, as shares of the frame."""
RADIUS, CONTRAST = 0.11, 0.55


class Network:
    """The shipped package, called directly."""

    def __init__(self, name: str) -> None:
        package = Registry().resolve(name)
        self._output = package.manifest.outputs[0]
        self.threshold = self._output.classes[0].threshold
        self._session = Session(cam.expose(package.read("model.onnx"), package.manifest), backends=("cpu",))

    def look(self, frame: np.ndarray, plan: ResamplePlan) -> tuple[float, np.ndarray]:
        """Score and map of one gray frame."""
        tensor = frame_to_tensor(frame, GrayscaleTransform.full_range(bits_stored=8), plan)
        answer = self._session.run({"image": tensor})
        return float(answer["score"].ravel()[0]), np.asarray(answer[self._output.cam_tensor][0, 0], np.float64)


def measure(name: str) -> dict[str, Any]:
    """Everything the card states, as plain data."""
    network = Network(name)
    held = images.held_back(images.persons_to_learn_from(), split.SEED, split.VALIDATION_SHARE)
    chosen = [image for image in images.read("cxr256_aspect", "train") if image.patient in held]
    frames = [decode_gray(image.jpeg) for image in chosen]
    truth = np.array([image.pneumonia for image in chosen])
    healthy = [frame for frame, ill in zip(frames, truth, strict=True) if not ill]
    return {"proportions": _proportions(network, frames, truth), "planted": _planted(network, healthy)}


def _proportions(network: Network, frames: list[np.ndarray], truth: np.ndarray) -> dict[str, Any]:
    scores = {
        mode: np.array([network.look(frame, ResamplePlan(frame.shape, (144, 144), mode=mode))[0] for frame in frames])
        for mode in MODES
    }
    plain = scores["squash"] >= network.threshold
    rows = {
        mode: {
            "auc": asdict(measures.auc(found, truth)),
            "accuracy": asdict(measures.accuracy(found, truth, network.threshold)),
            "changed": asdict(measures.wilson(int(((found >= network.threshold) != plain).sum()), len(found))),
        }
        for mode, found in scores.items()
    }
    return {"images": len(frames), "modes": rows}


def _planted(network: Network, healthy: list[np.ndarray]) -> dict[str, Any]:
    peaks = held = called = tried = 0
    for frame in healthy:
        plan = ResamplePlan(frame.shape, (144, 144))
        for row, column in PLACES.values():
            score, heat = network.look(planted(frame, row, column), plan)
            at = (np.array(np.unravel_index(heat.argmax(), heat.shape)) + 0.5) / heat.shape
            peaks += bool(np.hypot(at[0] - row, at[1] - column) <= RADIUS)
            points = np.array(next(iter(attention.outlines(heat, plan)), ()), np.float32)
            held += bool(len(points)) and _inside(points, column * frame.shape[1], row * frame.shape[0])
            called += score >= network.threshold
            tried += 1
    return {
        "images": len(healthy),
        "peak_inside": asdict(measures.wilson(peaks, tried)),
        "outline_holds_centre": asdict(measures.wilson(held, tried)),
        "called_present": asdict(measures.wilson(called, tried)),
    }


def planted(frame: np.ndarray, row: float, column: float) -> np.ndarray:
    """`frame` with a soft round opacity around (row, column), in shares of its size."""
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    distance = np.hypot(y / frame.shape[0] - row, x / frame.shape[1] - column) / RADIUS
    share = CONTRAST * np.clip(1.6 * (1 - distance), 0, 1)
    return np.rint(frame + share * np.maximum(0, 220.0 - frame)).astype(np.uint8)


def _inside(points: np.ndarray, column: float, row: float) -> bool:
    """Whether an odd number of the polygon's sides lies to the right."""
    after = np.roll(points, -1, axis=0)
    across = (points[:, 1] > row) != (after[:, 1] > row)
    slope = (after[:, 0] - points[:, 0]) / np.where(across, after[:, 1] - points[:, 1], 1)
    return bool((across & (column < points[:, 0] + slope * (row - points[:, 1]))).sum() % 2)
