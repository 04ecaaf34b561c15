"""The converting child: Keras to ONNX. The only importer of TensorFlow, Keras and tf2onnx; imports nothing of ours.

In: `request.json`, the vendor's file and `in.npz` in a private folder. Out: `model.onnx`, `out.npz` (what the
original answers to the same inputs) and `facts.json`. Runs only inside `edge.packages.locked`, and only after the
file's own configuration was read and found free of code.

Three routes of tf2onnx and Keras end with exit status 0 and a graph that nothing can load; `from_function` with
`training=False` is the one that works for every kind of model, so it is the only one used. The parent compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_OPSET = 17


def main(folder: Path) -> None:
    request = json.loads((folder / "request.json").read_text())
    call, signature, loader = _load(folder / request["file"], request["loaders"])
    inputs = _inputs(folder, signature, request)
    outputs = _convert(call, signature, folder / "model.onnx")
    answers = {f"o{n}_{i}": value for i, row in enumerate(inputs) for n, value in enumerate(_ask(call, row))}
    np.savez(folder / "in.npz", **{f"i{n}_{i}": value for i, row in enumerate(inputs) for n, value in enumerate(row)})
    np.savez(folder / "out.npz", **answers)
    facts = {"loader": loader, "inputs": list(signature), "outputs": outputs, "count": len(inputs), "opset": _OPSET}
    (folder / "facts.json").write_text(json.dumps(facts))


def _load(path: Path, loaders: list[str]) -> tuple[Any, dict[str, tuple[list[int], str]], str]:
    """The callable network, its inputs (name -> fixed shape, dtype), and the loader that could read it."""
    failures = []
    for loader in loaders:
        try:
            return (*_LOADERS[loader](path), loader)
        except Exception as error:  # noqa: BLE001 - Keras raises anything for a file it cannot read
            lines = str(error).strip().splitlines()
            failures.append(f"{loader}: {type(error).__name__} {lines[0][:120] if lines else ''}".strip())
    raise SystemExit("no Keras can load it: " + "; ".join(failures))


def _keras(path: Path) -> tuple[Any, dict[str, tuple[list[int], str]]]:
    import keras

    return _wrap(keras.models.load_model(path, compile=False, safe_mode=True))


def _tf_keras(path: Path) -> tuple[Any, dict[str, tuple[list[int], str]]]:
    import tf_keras

    return _wrap(tf_keras.models.load_model(path, compile=False))


def _saved_model(path: Path) -> tuple[Any, dict[str, tuple[list[int], str]]]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    specs = function.structured_input_signature[1]
    names = sorted(specs)
    ours = ["input"] if len(names) == 1 else names
    shapes = {
        shown: (_fixed(specs[name].shape), specs[name].dtype.name) for shown, name in zip(ours, names, strict=True)
    }

    def call(*tensors: Any) -> list[Any]:
        answer = function(**dict(zip(names, tensors, strict=True)))
        return [answer[key] for key in sorted(answer)]

    call.keep = loaded  # type: ignore[attr-defined]
    return call, shapes


_LOADERS = {"keras": _keras, "tf_keras": _tf_keras, "saved_model": _saved_model}


def _wrap(model: Any) -> tuple[Any, dict[str, tuple[list[int], str]]]:
    tensors = model.inputs
    names = ["input"] if len(tensors) == 1 else [f"input_{n}" for n in range(len(tensors))]
    shapes = {
        name: (_fixed(tensor.shape), np.dtype(getattr(tensor.dtype, "name", tensor.dtype)).name)
        for name, tensor in zip(names, tensors, strict=True)
    }

    def call(*values: Any) -> list[Any]:
        answer = model(values[0] if len(values) == 1 else list(values), training=False)
        if isinstance(answer, dict):
            return [answer[key] for key in sorted(answer)]
        return list(answer) if isinstance(answer, list | tuple) else [answer]

    return call, shapes


def _fixed(shape: Any) -> list[int]:
    """The shape with a batch of 1. An open size elsewhere cannot be guessed."""
    sizes = [None if size is None else int(size) for size in shape]
    if None in sizes[1:]:
        raise SystemExit(f"its input has an open size {sizes}: fix the size and save it again")
    return [1, *(size for size in sizes[1:] if size is not None)]


def _convert(call: Any, signature: dict[str, tuple[list[int], str]], path: Path) -> list[str]:
    import tensorflow as tf
    import tf2onnx

    specs = [tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in signature.items()]
    probe = call(*[tf.zeros(shape, dtype) for shape, dtype in signature.values()])
    names = ["output"] if len(probe) == 1 else [f"output_{n}" for n in range(len(probe))]

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def function(*tensors: Any) -> dict[str, Any]:
        return dict(zip(names, call(*tensors), strict=True))

    tf2onnx.convert.from_function(function, input_signature=specs, opset=_OPSET, output_path=str(path))
    return names


def _inputs(folder: Path, signature: dict[str, tuple[list[int], str]], request: dict[str, Any]) -> list[list[Any]]:
    """Given images first (they fit only a network with one input), then random numbers."""
    rows = []
    shapes = list(signature.values())
    images = folder / "images.npz"
    if images.exists() and len(shapes) == 1:
        with np.load(images, allow_pickle=False) as stored:
            rows = [[_image(stored[key], shapes[0][0])] for key in stored.files]
    random = np.random.default_rng(request["seed"])
    for _ in range(request["random"]):
        rows.append([random.random(shape, dtype=np.float32).astype(dtype) for shape, dtype in shapes])
    return rows


def _image(pixels: Any, shape: list[int]) -> Any:
    """A grey image in 0..1 by the nearest pixel: the comparison needs real values, not a faithful picture."""
    height, width, channels = shape[1:] if len(shape) == 4 else (*shape[1:3], 1)
    rows = np.arange(height) * pixels.shape[0] // height
    columns = np.arange(width) * pixels.shape[1] // width
    grey = pixels[np.ix_(rows, columns)].astype(np.float32) / np.iinfo(pixels.dtype).max
    return np.repeat(grey[None, :, :, None], channels, axis=3).reshape(shape)


def _ask(call: Any, row: list[Any]) -> list[Any]:
    import tensorflow as tf

    return [np.asarray(value) for value in call(*[tf.constant(value) for value in row])]
