"""OpenVINO as a peer of `edge bench infer`, in float32 as the graph states. The only door of openvino."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import openvino

Numbers = npt.NDArray[np.float32]


def version() -> str:
    """What is measured."""
    return f"openvino {openvino.__version__.partition('-')[0]} f32"


def compiled(graph: bytes, threads: int) -> Callable[[Numbers], Numbers]:
    """A function from the input to the output of an ONNX graph."""
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    model = core.compile_model(core.read_model(graph), "CPU", options)

    def run(image: Numbers) -> Numbers:
        found: Numbers = model([image])[0]
        return found

    return run
