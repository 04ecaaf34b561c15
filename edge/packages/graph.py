"""What an ONNX graph may hold: the only importer of onnx.

In: the bytes of a graph, and the manifest. Out: what the graph declares, or a `PackageError` that names the fault.
Invariant: a graph that passes reaches no file, no custom operator and no loop without a fixed bound, and has
exactly the tensors, shapes and opset that the manifest states. Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx

from edge.errors import PackageError
from edge.packages.manifest import Manifest

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_MIN_IR, _MAX_IR = 3, 13
_MIN_OPSET, _MAX_OPSET = 7, 24
_MAX_TRIPS = 10_000
_MAX_GRAPH = 2 << 30
_MAX_NODES = 100_000
_MAX_DECLARED = 4 << 30
_HINT = "export the graph again with standard operators, weights inside and fixed shapes"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A declared input or output. A dimension is None where the graph leaves it open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What the graph declares about itself. `last_operators`: what makes each output, in order of `outputs`."""

    opset: int
    ir_version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[str, ...]
    last_operators: tuple[str, ...]
    initializer_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    """One operator: what it reads, what it makes, and its attributes that are numbers or lists of numbers."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Projection:
    """An output to be appended: `tensor` = `weights` (classes, channels) times `features`, at every place.

    `features` is (batch, channels, rows, columns), or with `channels_last` (batch, rows, columns, channels).
    """

    tensor: str
    features: str
    channels_last: bool
    weights: npt.NDArray[Any]


class Content:
    """The top level of a graph, to be followed from its outputs back; constants are read when asked for."""

    def __init__(self, data: bytes) -> None:
        """Raises PackageError if `data` is no ONNX graph."""
        model = _parse(data)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers: dict[str, Node] = {}
        for proto in model.graph.node:
            if proto.op_type == "Constant" and proto.attribute and proto.attribute[0].name == "value":
                self._constants[proto.output[0]] = proto.attribute[0].t
                continue
            node = Node(proto.op_type, tuple(proto.input), tuple(proto.output), _plain_attributes(proto))
            self._makers.update(dict.fromkeys(node.outputs, node))

    def maker(self, tensor: str) -> Node | None:
        """What makes `tensor`; None for an input, a constant or an unknown name."""
        return self._makers.get(tensor)

    def constant(self, tensor: str) -> npt.NDArray[Any] | None:
        """The value of a constant of the graph, or None if it is none."""
        found = self._constants.get(tensor)
        return None if found is None else onnx.numpy_helper.to_array(found)


def inspect(data: bytes) -> Graph:
    """The graph in `data`, checked against everything that does not need a manifest.

    Raises
    ------
    PackageError
        If it is no ONNX graph, or breaks one of the rules in the module's first lines.
    """
    model = _parse(data)
    _check_versions(model)
    initializer_bytes = _check_content(model)
    try:
        onnx.checker.check_model(model, full_check=False)
    except Exception as error:  # noqa: BLE001 - the checker raises several kinds, and protobuf's own
        first = str(error).strip().splitlines()
        raise _refusal(
            f"the ONNX checker refuses the graph: {first[0][:200] if first else 'no reason given'}"
        ) from None
    operators = tuple(sorted({node.op_type for node in _nodes(model.graph)}))
    return Graph(
        opset=_opset(model),
        ir_version=model.ir_version,
        inputs=_declared_inputs(model),
        outputs=tuple(_tensor(value) for value in model.graph.output),
        operators=operators,
        last_operators=_makers(model),
        initializer_bytes=initializer_bytes,
    )


def check(data: bytes, manifest: Manifest) -> Graph:
    """As `inspect`, and the graph's tensors, shapes and opset must be those of the manifest.

    Raises
    ------
    PackageError
        Naming the first difference.
    """
    graph = inspect(data)
    if graph.opset != manifest.runtime.opset:
        raise _refusal(f"the graph needs opset {graph.opset}, the manifest says {manifest.runtime.opset}")
    declared = manifest.input_shapes()
    found = {tensor.name: tensor for tensor in graph.inputs}
    if declared.keys() != found.keys():
        raise _refusal(f"the graph's inputs are {sorted(found)}, the manifest's {sorted(declared)}")
    for name, shape in declared.items():
        if found[name].shape != shape or found[name].dtype != "float32":
            raise _refusal(f"input {name} is {found[name].dtype} {found[name].shape}, not as the manifest says")
    _check_outputs(graph, manifest)
    return graph


def with_shapes(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The graph with these inputs and outputs declared with these sizes, so that no open size is left.

    Exporters leave the batch open; a package runs one unit at a time and says so.
    """
    model = _parse(data)
    for value in (*model.graph.input, *model.graph.output):
        shape = shapes.get(value.name)
        if shape is None:
            continue
        value.type.tensor_type.ClearField("shape")
        for size in shape:
            value.type.tensor_type.shape.dim.add().dim_value = size
    del model.graph.value_info[:]
    return bytes(model.SerializeToString(deterministic=True))


def assemble(
    nodes: Iterable[Node], constants: Mapping[str, npt.NDArray[Any]], *, source: tuple[str, tuple[int, ...]],
    result: tuple[str, tuple[int, ...]], opset: int = 17,
) -> bytes:  # fmt: skip
    """A graph of these nodes, from the tensor `source` (name, shape) to the tensor `result`."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (source, result)]
    made = [onnx.helper.make_node(n.operator, n.inputs, n.outputs, **n.attributes) for n in nodes]
    held = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(made, "edge", ends[:1], ends[1:], held)
    imports = [onnx.helper.make_opsetid("", opset)]
    return bytes(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())


def with_projections(data: bytes, projections: tuple[Projection, ...]) -> bytes:
    """The graph with one more output for each of `projections`; every other output is computed as before.

    Raises
    ------
    PackageError
        If a name is taken already, or the result is no valid graph.
    """
    model = _parse(data)
    for projection in projections:
        _append(model.graph, projection)
    try:
        onnx.checker.check_model(model, full_check=False)
    except Exception:  # noqa: BLE001 - as in `inspect`
        raise _refusal("an output cannot be appended to the graph") from None
    return bytes(model.SerializeToString(deterministic=True))


def _append(graph: onnx.GraphProto, projection: Projection) -> None:
    weights, name = projection.weights, projection.tensor
    classes, channels = weights.shape
    constant, turned = f"{name}.weights", f"{name}.features"
    taken = {each for node in graph.node for each in node.output} | {tensor.name for tensor in graph.initializer}
    if taken & {name, constant, turned}:
        raise _refusal(f"the graph has a tensor called {name} already")
    features = projection.features
    if projection.channels_last:
        graph.node.append(onnx.helper.make_node("Transpose", [features], [turned], perm=[0, 3, 1, 2]))
        features = turned
    kernel = weights.reshape(classes, channels, 1, 1)
    graph.initializer.append(onnx.numpy_helper.from_array(kernel, constant))
    graph.node.append(onnx.helper.make_node("Conv", [features, constant], [name], kernel_shape=[1, 1]))
    kind = onnx.helper.np_dtype_to_tensor_dtype(weights.dtype)
    graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [1, classes, None, None]))


def _plain_attributes(node: onnx.NodeProto) -> Mapping[str, object]:
    kinds = (onnx.AttributeProto.INT, onnx.AttributeProto.INTS, onnx.AttributeProto.FLOAT)
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute if each.type in kinds}


def _check_outputs(graph: Graph, manifest: Manifest) -> None:
    found = {tensor.name: tensor for tensor in graph.outputs}
    if set(manifest.output_tensors()) != found.keys():
        raise _refusal(f"the graph's outputs are {sorted(found)}, not those of the manifest")
    for output in manifest.outputs:
        if output.boxes is None:
            for name in output.tensors():
                _check_fixed(found[name])
            _check_width(found[output.tensor], output.highest_index, manifest)


def _check_fixed(tensor: Tensor) -> None:
    """A detector's outputs alone may have as many rows as it finds boxes."""
    if None in tensor.shape or tensor.dtype != "float32":
        raise _refusal(f"output {tensor.name} must be float32 with a fixed shape, not {tensor.dtype} {tensor.shape}")


def _check_width(tensor: Tensor, highest: int, manifest: Manifest) -> None:
    """Every class, segment and quantity has its place in the output."""
    axis, axes = manifest.class_axis
    if axes and len(tensor.shape) != axes:
        raise _refusal(f"output {tensor.name} must have {axes} axes: batch, channels and those of space")
    width = (tensor.shape[axis] if tensor.shape else 1) or 0
    if highest >= width:
        raise _refusal(f"output {tensor.name} has {width} numbers, the manifest names one beyond them")


def _refusal(what: str) -> PackageError:
    return PackageError(what, which="model.onnx", hint=_HINT)


def _parse(data: bytes) -> onnx.ModelProto:
    if len(data) > _MAX_GRAPH:
        raise _refusal("the graph is larger than 2 GiB")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # noqa: BLE001 - protobuf implementations raise different classes
        raise _refusal("this is not an ONNX graph") from None
    if not model.HasField("graph") or not model.graph.node:
        raise _refusal("this is not an ONNX graph, or an empty one")
    return model


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(versions[0]) if len(versions) == 1 else 0


def _check_versions(model: onnx.ModelProto) -> None:
    if not _MIN_IR <= model.ir_version <= _MAX_IR:
        raise _refusal(f"IR version {model.ir_version} is outside {_MIN_IR}..{_MAX_IR}")
    if not _MIN_OPSET <= _opset(model) <= _MAX_OPSET:
        raise _refusal(f"opset {_opset(model)} is outside {_MIN_OPSET}..{_MAX_OPSET}")
    foreign = sorted({entry.domain for entry in model.opset_import} - set(_DOMAINS))
    used = sorted({node.domain for node in _nodes(model.graph)} - set(_DOMAINS))
    if used:
        raise _refusal(f"the graph uses operators of the domain {used[0]!r}: only standard ONNX operators are run")
    # An exporter may import a domain and never use it; with no operator of it, nothing of it can run.
    if model.functions and foreign:
        raise _refusal("the graph defines functions of its own in a foreign domain")


def _check_content(model: onnx.ModelProto) -> int:
    for count, node in enumerate(_nodes(model.graph), 1):
        if count > _MAX_NODES:
            raise _refusal(f"the graph has more than {_MAX_NODES} nodes")
        if node.op_type == "Loop" and not _is_bounded(node, model):
            raise _refusal(f"the graph has a loop without a fixed bound of at most {_MAX_TRIPS} rounds")
    if model.functions or model.training_info:
        raise _refusal("the graph holds local functions or training information")
    total = 0
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise _refusal("the graph keeps weights in another file")
        total += _declared_bytes(tensor)
        if total > _MAX_DECLARED:
            raise _refusal("the graph declares more than 4 GiB of constants")
    return total


def _is_bounded(loop: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """Is the trip count a constant of the graph? (Scan and If end by themselves: fixed sizes, one branch.)"""
    name = loop.input[0] if loop.input else ""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in _nodes(model.graph):
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    tensor = constants.get(name)
    if tensor is None or tensor.data_type != onnx.TensorProto.INT64 or _declared_bytes(tensor) != 8:
        return False
    values = list(tensor.int64_data) or [int.from_bytes(tensor.raw_data, "little", signed=True)]
    return len(values) == 1 and 0 <= values[0] <= _MAX_TRIPS


def _declared_bytes(tensor: onnx.TensorProto) -> int:
    """What the dimensions claim, whatever the file holds: a few bytes can claim terabytes."""
    elements = 1
    for dimension in tensor.dims:
        if dimension < 0:
            raise _refusal("a constant has a negative dimension")
        elements *= dimension
    return elements * 8


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    pending = [graph]
    while pending:
        current = pending.pop()
        for node in current.node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in _nodes(graph):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _declared_inputs(model: onnx.ModelProto) -> tuple[Tensor, ...]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return tuple(_tensor(value) for value in model.graph.input if value.name not in constants)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(
        int(dimension.dim_value) if dimension.HasField("dim_value") and dimension.dim_value > 0 else None
        for dimension in kind.shape.dim
    )
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except (KeyError, ValueError, TypeError):
        dtype = "unknown"
    return Tensor(value.name, dtype, shape)


def _makers(model: onnx.ModelProto) -> tuple[str, ...]:
    """The operator behind each output, looking through Identity."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    found = []
    for value in model.graph.output:
        node = made_by.get(value.name)
        while node is not None and node.op_type in ("Identity", "Cast") and node.input:
            node = made_by.get(node.input[0])
        found.append(node.op_type if node is not None else "")
    return tuple(found)
