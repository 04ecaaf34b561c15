"""PyTorch as a peer of `edge bench infer`: eager, as most hospitals' research code runs. The only door of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Numbers = npt.NDArray[np.float32]


def version() -> str:
    """What is measured."""
    return f"torch {torch.__version__} eager"


def compiled(nodes: Sequence[Any], weights: Mapping[str, Numbers], threads: int) -> Callable[[Numbers], Numbers]:
    """A function from the input to the last tensor of a list of operators (edge.bench.networks)."""
    torch.set_num_threads(threads)
    held = {name: torch.from_numpy(value) for name, value in weights.items()}

    def run(image: Numbers) -> Numbers:
        with torch.inference_mode():
            tensors = {**held, "image": torch.from_numpy(image)}
            for node in nodes:
                tensors[node.outputs[0]] = _step(node, [tensors[name] for name in node.inputs])
            found: Numbers = tensors[nodes[-1].outputs[0]].numpy()
            return found

    return run


def _step(node: Any, given: list[Any]) -> Any:
    stated = node.attributes
    match node.operator:
        case "Conv":
            return functional.conv2d(*given, stride=stated["strides"], padding=stated["pads"][:2])
        case "BatchNormalization":
            scale, bias, mean, variance = given[1:]
            return functional.batch_norm(given[0], mean, variance, scale, bias)
        case "Relu":
            return functional.relu(given[0])
        case "MaxPool":
            return functional.max_pool2d(given[0], stated["kernel_shape"], stated["strides"], stated["pads"][:2])
        case "AveragePool":
            return functional.avg_pool2d(given[0], stated["kernel_shape"], stated["strides"])
        case "GlobalAveragePool":
            return functional.adaptive_avg_pool2d(given[0], 1)
        case "Add":
            return given[0] + given[1]
        case "Concat":
            return torch.cat(given, dim=stated["axis"])
        case "Flatten":
            return given[0].flatten(1)
        case "Gemm":
            return functional.linear(given[0], given[1])
        case "Sigmoid":
            return torch.sigmoid(given[0])
    raise ValueError(node.operator)
