"""The exact class-activation map of a classifier, as one more output of its graph: no gradients, no training.

In: the bytes of a checked graph, its manifest. Out: the graph with a map for each output that says `cam = "auto"`.
Invariant: the outputs that were there are computed as before; the package on disk and its digest stay as they are.

A head of global average pooling and one linear layer is linear in the features F at each place, so its logit is the
mean of a map: logit = mean(W F) + b = W mean(F) + b. `W F` is a 1x1 convolution. A dense layer behind a Flatten
weighs every place differently and has no such map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import PackageError
from edge.packages import graph
from edge.packages.graph import Content, Node, Projection
from edge.packages.manifest import Manifest

Numbers = npt.NDArray[Any]

_SAME_NUMBERS = frozenset({"Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout"})
"""Operators that hand on the numbers of a batch of one in the same order."""
_ACTIVATIONS = frozenset({"Sigmoid", "Softmax"})
_SPATIAL = {(2, 3): False, (1, 2): True}
"""Averaged axes to: are the channels last?"""


@dataclass(frozen=True, slots=True)
class Head:
    """Global average of `features`, times `weights` (classes, channels), plus `bias` (classes,)."""

    features: str
    channels_last: bool
    weights: Numbers = field(repr=False)
    bias: Numbers = field(repr=False)


def expose(data: bytes, manifest: Manifest) -> bytes:
    """The graph with the maps that its manifest asks for; the same bytes if it asks for none.

    Raises
    ------
    PackageError
        If an output's scores are not a linear function of a global average.
    """
    wanted = [output for output in manifest.outputs if output.cam == "auto"]
    if not wanted:
        return data
    content = Content(data)
    projections = []
    for output in wanted:
        head = find_head(content, output.tensor)
        rows = [entry.index for entry in output.classes]
        if max(rows) >= len(head.weights):
            raise _refusal(output.tensor, "its linear layer has fewer scores than the manifest names")
        weights = np.ascontiguousarray(head.weights[rows])
        projections.append(Projection(output.cam_tensor, head.features, head.channels_last, weights))
    return graph.with_projections(data, tuple(projections))


def find_head(content: Content, output: str) -> Head:
    """The pooled linear head that makes `output`, followed back from it.

    Raises
    ------
    PackageError
        If there is none; the message says what was met instead.
    """
    logits, bias = _before_activation(content, output)
    linear = content.maker(logits)
    weights, own_bias = _linear(content, linear, output)
    assert linear is not None
    pool = _skip(content, linear.inputs[0], _SAME_NUMBERS)
    channels_last = _pooled(content, pool, output)
    assert pool is not None
    features, channels_last = _without_transpose(content, pool.inputs[0], channels_last)
    if {own_bias.size, bias.size} - {1, len(weights)}:
        raise _refusal(output, "what is added to its linear layer is not one number for each score")
    return Head(features, channels_last, weights, np.broadcast_to(own_bias + bias, (len(weights),)))


def _before_activation(content: Content, output: str) -> tuple[str, Numbers]:
    """The tensor of the bare product, and what was added to it."""
    tensor, bias = output, np.zeros(1, np.float32)
    while (node := content.maker(tensor)) is not None:
        if node.operator in _SAME_NUMBERS | _ACTIVATIONS:
            tensor = node.inputs[0]
        elif node.operator == "Add" and (added := _added(content, node)) is not None:
            tensor, bias = added[0], bias + added[1].ravel()
        else:
            break
    return tensor, bias


def _added(content: Content, node: Node) -> tuple[str, Numbers] | None:
    """The computed operand of an addition, and its constant one."""
    for computed, other in (node.inputs, node.inputs[::-1]):
        constant = content.constant(other)
        if constant is not None:
            return computed, constant
    return None


def _linear(content: Content, node: Node | None, output: str) -> tuple[Numbers, Numbers]:
    """Weights (classes, channels) and bias of a Gemm or MatMul with constant weights."""
    weights = None
    if node is not None and node.operator in ("Gemm", "MatMul") and not node.attributes.get("transA", 0):
        weights = content.constant(node.inputs[1])
    if node is None or weights is None or weights.ndim != 2:
        raise _refusal(output, f"it ends in {node.operator if node else 'nothing'}, not in a linear layer")
    if node.operator == "MatMul":
        return np.asarray(weights.T), np.zeros(1, weights.dtype)
    turned = weights if node.attributes.get("transB", 0) else weights.T
    bias = content.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    alpha, beta = (weights.dtype.type(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    return turned * alpha, np.zeros(1, weights.dtype) if bias is None else bias.ravel() * beta


def _skip(content: Content, tensor: str, operators: frozenset[str]) -> Node | None:
    node = content.maker(tensor)
    while node is not None and node.operator in operators:
        node = content.maker(node.inputs[0])
    return node


def _pooled(content: Content, pool: Node | None, output: str) -> bool:
    """Whether the channels of what `pool` averages come last."""
    if pool is not None and pool.operator == "GlobalAveragePool":
        return False
    if pool is not None and pool.operator == "ReduceMean":
        axes = pool.attributes.get("axes")
        if axes is None and len(pool.inputs) > 1:
            axes = content.constant(pool.inputs[1])
        found = tuple(sorted(int(axis) % 4 for axis in np.ravel(np.asarray(() if axes is None else axes))))
        if found in _SPATIAL:
            return _SPATIAL[found]
    met = pool.operator if pool is not None else "an input"
    raise _refusal(output, f"its linear layer reads {met}, not a global average of features")


def _without_transpose(content: Content, features: str, channels_last: bool) -> tuple[str, bool]:
    """The tensor behind a mere change of layout, so that it need not be changed back."""
    node = content.maker(features)
    turned = node is not None and node.operator == "Transpose" and node.attributes.get("perm") == [0, 2, 3, 1]
    if channels_last and node is not None and turned:
        return node.inputs[0], False
    return features, channels_last


def _refusal(output: str, what: str) -> PackageError:
    return PackageError(
        f'output {output} has no class-activation map: {what}; cam = "auto" needs global average pooling'
        " and one linear layer",
        which="model.onnx",
        hint="leave cam out, or train the network with global average pooling instead of a flattened layer",
    )
