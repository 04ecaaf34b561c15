"""Is a Keras configuration free of code, and what does it say about the network?

In: the configuration text that the vendor's file holds. Out: what can be known without loading, or
`ImportRefused`. Invariant: nothing that could name, hold or import code passes: only known layers of Keras itself,
no Lambda, no registered class, no function. `tf_keras` would run a Lambda's pickled bytecode without asking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.errors import ImportRefused

_MAX_DEPTH = 60
_HINT_CLASS = "export the model to ONNX yourself, or replace that layer by a standard one and save again"

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
AveragePooling2D AveragePooling3D BatchNormalization BatchNormalizationV1 BatchNormalizationV2 Bidirectional
CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution2D
Convolution2DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
EinsumDense Embedding Flatten Functional GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GroupNormalization Identity InputLayer InputSpec LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPool2D
MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum Model MultiHeadAttention Multiply Normalization PReLU Permute
RMSNormalization RandomBrightness RandomColorJitter RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation
RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
SeparableConv2D Sequential SimpleRNN SimpleRNNCell SlicingOpLambda Softmax SpatialDropout1D SpatialDropout2D
SpatialDropout3D Subtract SyncBatchNormalization TFOpLambda ThresholdedReLU TimeDistributed UnitNormalization
UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OTHERS = """
Constant GlorotNormal GlorotNormalV2 GlorotUniform GlorotUniformV2 HeNormal HeNormalV2 HeUniform HeUniformV2
IdentityInitializer LecunNormal LecunNormalV2 LecunUniform LecunUniformV2 Ones Orthogonal OrthogonalInitializer
RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros L1 L2 L1L2 OrthogonalRegularizer MaxNorm MinMaxNorm
NonNeg UnitNorm DTypePolicy Policy FloatDTypePolicy SeedGenerator __tuple__ __keras_tensor__ __tensor__ __numpy__
__typespec__ __slice__ TensorShape
"""
_KNOWN = frozenset((_LAYERS + _OTHERS).split())
_MODULE = re.compile(
    r"(?:tf_)?keras(\.(layers|initializers|regularizers|constraints|models|dtype_policies|activations|random)(\.\w+)*"
    r"|\.src\.(layers|models|engine|initializers|regularizers|constraints|dtype_policies|random|mixed_precision)(\.\w+)*)?"
    r"|tensorflow\.python(\.\w+)*|builtins"
)
_OPERATION_MODULE = re.compile(r"keras\.src\.ops\.(numpy|nn|core|math|image|linalg|operation)")
_OPERATION = re.compile(r"[A-Z][A-Za-z0-9]*")
_TF_FUNCTION = re.compile(
    r"(math|nn|linalg|keras\.activations|__operators__|compat\.v1\.nn|compat\.v1\.transpose)\.\w+"
    r"|cast|reshape|concat|stack|unstack|split|squeeze|expand_dims|transpose|shape|tile|pad|slice|strided_slice"
    r"|identity|stop_gradient|zeros_like|ones_like|convert_to_tensor|clip_by_value|reverse|where|image\.resize"
    r"|keras\.backend\.(mean|sum|max|min|concatenate|reshape|expand_dims|softmax|sigmoid|relu|cast|squeeze|transpose)"
)


@dataclass(frozen=True, slots=True)
class Description:
    """What a configuration says. `input_shapes` without the batch; an open size is None."""

    written_by: str
    input_shapes: tuple[tuple[int | None, ...], ...]
    last_activation: str
    layers: int


def examine(text: str | None, version: str, which: str) -> Description:
    """The description in `text`.

    Raises
    ------
    ImportRefused
        If there is none, it cannot be read, or something in it is not known to be free of code.
    """
    if not text:
        raise ImportRefused(
            "this file holds weights without the network they belong to, or no Keras model at all",
            which=which,
            hint="save the whole model with model.save()",
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ImportRefused(
            "the network's description in the file is no JSON", which=which, hint="save it again"
        ) from None
    if not isinstance(config, dict):
        raise ImportRefused(
            "the network's description in the file is no Keras model", which=which, hint="save it again"
        )
    config.pop("compile_config", None)
    entries = list(_entries(config, which))
    for entry in entries:
        _check(entry, which)
    return Description(version, _input_shapes(entries), _last_activation(entries), len(entries))


def _entries(value: Any, which: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every object that Keras would turn into an instance, in order."""
    if depth > _MAX_DEPTH:
        raise ImportRefused("the network's description is nested too deep", which=which, hint="save it again")
    if isinstance(value, dict):
        if "class_name" in value or "registered_name" in value:
            yield value
        for item in value.values():
            yield from _entries(item, which, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _entries(item, which, depth + 1)


def _check(entry: dict[str, Any], which: str) -> None:
    name, module, registered = entry.get("class_name"), entry.get("module"), entry.get("registered_name")
    if not isinstance(name, str):
        raise _refusal("an object without a class name", which)
    if name in ("Lambda", "__lambda__") or name.endswith(">Lambda"):
        raise _refusal("a Lambda layer, which is Python code", which)
    if name == "function" or registered == "function":
        raise _refusal("a Python function", which)
    if registered is not None and (">" in str(registered) or registered != name):
        raise _refusal("a class that its author registered", which)
    if module is not None and _OPERATION_MODULE.fullmatch(str(module)):
        if not _OPERATION.fullmatch(name):
            raise _refusal("an operation that is not known", which)
        return
    if name not in _KNOWN:
        raise _refusal("a layer that Keras does not have", which, name)
    if module is not None and not _MODULE.fullmatch(str(module)):
        raise _refusal("a class from a module outside Keras", which)
    if name in ("TFOpLambda", "SlicingOpLambda"):
        _check_function(entry, which)


def _check_function(entry: dict[str, Any], which: str) -> None:
    config = entry.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    if not isinstance(function, str) or not _TF_FUNCTION.fullmatch(function):
        raise _refusal("a TensorFlow function outside the list of plain arithmetic", which)


def _refusal(what: str, which: str, name: str = "") -> ImportRefused:
    shown = f" ({name})" if name and re.fullmatch(r"[A-Za-z0-9_>]{1,60}", name) else ""
    return ImportRefused(
        f"this is a Keras model with {what}{shown}, refused before loading", which=which, hint=_HINT_CLASS
    )


def _input_shapes(entries: list[dict[str, Any]]) -> tuple[tuple[int | None, ...], ...]:
    """Shapes of the input layers; of the first layer that states one where there are none (older Sequential)."""
    stated = [(entry.get("class_name"), _shape(entry)) for entry in entries]
    inputs = [shape for name, shape in stated if name == "InputLayer" and shape is not None]
    if not inputs:
        inputs = [shape for _, shape in stated if shape is not None][:1]
    top = [entry for entry in entries if isinstance(entry.get("config"), dict) and "input_layers" in entry["config"]]
    count = _input_count(top[0]["config"]["input_layers"]) if top and top[0] is entries[0] else 1
    return tuple(inputs[:count])


def _input_count(stated: Any) -> int:
    """`[["input", 0, 0], ...]` for several, in Keras 3 `["input", 0, 0]` for one."""
    if not isinstance(stated, list) or not stated:
        return 1
    return 1 if isinstance(stated[0], str) else len(stated)


def _shape(entry: dict[str, Any]) -> tuple[int | None, ...] | None:
    config = entry.get("config")
    if not isinstance(config, dict):
        return None
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if isinstance(shape, dict):
        shape = shape.get("items")
    if not isinstance(shape, list) or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return tuple(shape[1:])


def _last_activation(entries: list[dict[str, Any]]) -> str:
    found = ""
    for entry in entries:
        config = entry.get("config")
        if isinstance(config, dict) and isinstance(config.get("activation"), str):
            found = config["activation"]
        elif entry.get("class_name") == "Softmax":
            found = "softmax"
    return found
