"""ResNet-50 and DenseNet-121 as their papers draw them, with random weights: what layers cost, not what they know.

One list of operators serves every runtime of the comparison: `onnx_of` makes a graph of it, a peer walks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.packages import graph
from edge.packages.graph import Node

SIDE, CLASSES = 224, 14
INPUT, OUTPUT = "image", "score"


@dataclass(slots=True)
class Network:
    """Operators in order, and their weights. The input is (1, 3, 224, 224), the output (1, 14) after a sigmoid."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    _generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One more operator; the name of its output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(Node(operator, inputs, (output,), attributes))
        return output

    def weight(self, *shape: int) -> str:
        """Random weights that keep the size of numbers as they pass."""
        name = f"w{len(self.weights)}"
        spread = (2.0 / max(1, int(np.prod(shape[1:])))) ** 0.5
        self.weights[name] = self._generator.normal(0, spread, shape).astype(np.float32)
        return name

    def conv(self, source: str, channels: tuple[int, int], size: int, stride: int = 1) -> str:
        """A convolution without bias, padded to keep its extent."""
        kernel = self.weight(channels[1], channels[0], size, size)
        return self.add("Conv", source, kernel, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4)

    def norm(self, source: str, channels: int, *, relu: bool = True) -> str:
        """Batch normalisation of an average layer, and a ReLU."""
        names = []
        for value in (1.0, 0.0, 0.0, 1.0):
            names.append(f"w{len(self.weights)}")
            self.weights[names[-1]] = np.full(channels, value, np.float32)
        normed = self.add("BatchNormalization", source, *names)
        return self.add("Relu", normed) if relu else normed

    def head(self, source: str, channels: int) -> Network:
        """Global average, one linear layer, sigmoid."""
        flat = self.add("Flatten", self.add("GlobalAveragePool", source))
        linear = self.add("Gemm", flat, self.weight(CLASSES, channels), transB=1)
        self.nodes.append(Node("Sigmoid", (linear,), (OUTPUT,), {}))
        return self


def resnet50() -> Network:
    """He, Zhang, Ren, Sun (2016), with the stride in the 3 x 3 layer."""
    net = Network("ResNet-50")
    out = net.norm(net.conv(INPUT, (3, 64), 7, 2), 64)
    out = net.add("MaxPool", out, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            inner = net.norm(net.conv(out, (channels, width), 1), width)
            inner = net.norm(net.conv(inner, (width, width), 3, stride), width)
            inner = net.norm(net.conv(inner, (width, 4 * width), 1), 4 * width, relu=False)
            if not block:
                out = net.norm(net.conv(out, (channels, 4 * width), 1, stride), 4 * width, relu=False)
            out, channels = net.add("Relu", net.add("Add", inner, out)), 4 * width
    return net.head(out, channels)


def densenet121() -> Network:
    """Huang, Liu, van der Maaten, Weinberger (2017), growth 32."""
    net = Network("DenseNet-121")
    out = net.norm(net.conv(INPUT, (3, 64), 7, 2), 64)
    out = net.add("MaxPool", out, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            inner = net.conv(net.norm(out, channels), (channels, 128), 1)
            inner = net.conv(net.norm(inner, 128), (128, 32), 3)
            out, channels = net.add("Concat", out, inner, axis=1), channels + 32
        if stage < 3:
            out = net.conv(net.norm(out, channels), (channels, channels // 2), 1)
            out = net.add("AveragePool", out, kernel_shape=[2, 2], strides=[2, 2])
            channels //= 2
    return net.head(net.norm(out, channels), channels)


def onnx_of(network: Network) -> bytes:
    """The network as an ONNX graph."""
    constants: Mapping[str, npt.NDArray[Any]] = network.weights
    return graph.assemble(network.nodes, constants, source=(INPUT, (1, 3, SIDE, SIDE)), result=(OUTPUT, (1, CLASSES)))


def trivial() -> bytes:
    """A graph that costs nothing, of the same input and output: what is left is what a request costs."""
    weights = {"w": np.zeros((CLASSES, 3), np.float32)}
    nodes = [
        Node("MaxPool", (INPUT,), ("few",), {"kernel_shape": [1, 1], "strides": [SIDE, SIDE]}),
        Node("Flatten", ("few",), ("flat",), {}),
        Node("Gemm", ("flat", "w"), ("none",), {"transB": 1}),
        Node("Sigmoid", ("none",), (OUTPUT,), {}),
    ]
    return graph.assemble(nodes, weights, source=(INPUT, (1, 3, SIDE, SIDE)), result=(OUTPUT, (1, CLASSES)))
