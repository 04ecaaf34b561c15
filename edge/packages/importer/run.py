"""`edge models import`: a vendor's file to a draft package folder, compared with the original.

    sniff -> describe (child) -> examine -> convert (child) -> graph rules -> run in ONNX Runtime (child) -> compare

In: a file, a folder to make, pictures to compare on. Out: `Imported`. Invariant: no folder is made unless the
converted graph was loaded, was run, and agrees with the original within `TOLERANCE` on every given input.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import ImportRefused, PackageError, RuntimeFailure
from edge.opencv import decode_gray
from edge.packages import graph as graphs
from edge.packages import locked, trial
from edge.packages.importer import config, draft
from edge.packages.importer.sniff import Kind, sniff

TOLERANCE = 1e-4
_RANDOM_INPUTS = 8
_SEED = 20000101
_DESCRIBE = locked.Bounds(memory_mib=4096, cpu_seconds=60, wall_seconds=60)
_CONVERT = locked.Bounds(memory_mib=24576, cpu_seconds=900, wall_seconds=900)
_NEEDED = ("tensorflow", "keras", "tf2onnx", "h5py")
_LOADERS = {Kind.SAVED_MODEL: ["saved_model"]}
# Operations of a SavedModel that touch files or run Python; a network needs none of them. Every SavedModel has
# RestoreV2 and SaveV2 for its own weights.
_SAVED_MODEL_FORBIDDEN = (b"PyFunc", b"EagerPyFunc", b"WriteFile", b"ReadFile", b"LoadLibrary", b"ShellCommand",
                          b"MatchingFiles", b"PrintV2", b"DecodeRaw", b"TensorArrayUnpack\0")  # fmt: skip

Tensor = npt.NDArray[np.generic]
Image = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """The draft. `loader` is what could read the original: keras, tf_keras, saved_model or none (ONNX)."""

    package: Path
    max_abs_difference: float
    missing: tuple[str, ...]
    loader: str
    compared_images: int


@dataclass(frozen=True, slots=True)
class _Converted:
    graph: bytes
    inputs: tuple[Tensor, ...]
    answers: tuple[dict[str, Tensor], ...] | None
    loader: str
    written_by: str


def import_model(
    source: Path, out: Path, pictures: Sequence[bytes] = (), progress: Progress = lambda _text: None
) -> Imported:
    """Convert `source`, compare, and write the draft into the new folder `out`.

    Raises
    ------
    ImportRefused
        If the file is no model, may hold code, cannot be converted, or answers differently afterwards.
    EnvironmentFailure
        If the parts of the `keras` extra are not installed.
    """
    kind = sniff(source)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ImportRefused("the output folder is not empty", which=str(out), hint="give a new folder with --out")
    images = [decode_gray(picture) for picture in pictures]
    progress(f"{source.name}: {kind}")
    converted = _onnx(source) if kind is Kind.ONNX else _keras(source, kind, images, progress)
    checked = _check_graph(converted.graph, source.name)
    inputs = converted.inputs or _comparison_inputs(checked, images)
    progress("comparing in ONNX Runtime")
    before = _run(converted.graph, checked, inputs, source.name).outputs
    data = _with_fixed_sizes(converted.graph, checked, before[0])
    checked = _check_graph(data, source.name)
    after = _run(data, checked, inputs, source.name).outputs
    difference = _compare(after, converted.answers or before, source.name)
    seen = draft.Seen(
        draft.name_from(source.stem),
        checked,
        "NHWC" if kind is not Kind.ONNX else draft.layout_of(checked.inputs[0]),
        draft.activation_of(checked),
        difference,
        converted.written_by,
    )
    _write(out, seen, data, checked)
    return Imported(out, difference, tuple(draft.missing(seen)), converted.loader, len(images))


def _onnx(source: Path) -> _Converted:
    return _Converted(source.read_bytes(), (), None, "none", "an exporter to ONNX")


def _keras(source: Path, kind: Kind, images: Sequence[Image], progress: Progress) -> _Converted:
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    with tempfile.TemporaryDirectory(prefix="edge-import-") as name:
        folder = Path(name)
        target = folder / ("model" + {Kind.KERAS_H5: ".h5", Kind.KERAS_ZIP: ".keras"}.get(kind, ""))
        _copy(source, target, kind)
        description = _describe(folder, target, kind, source.name, absent)
        if absent:
            raise _not_installed(absent, source.name)
        progress("converting (TensorFlow, a few seconds to minutes)")
        loaders = _LOADERS.get(kind) or (["keras"] if description.written_by.startswith("3") else ["keras", "tf_keras"])
        request = {"file": target.name, "loaders": loaders, "random": _RANDOM_INPUTS, "seed": _SEED}
        (folder / "request.json").write_text(json.dumps(request))
        if images:
            numbered = {f"i{n:05d}": image for n, image in enumerate(images)}
            np.savez(folder / "images.npz", **numbered)  # type: ignore[arg-type]
        ending = locked.run("edge.packages.importer.convert", folder, _CONVERT)
        if not ending.fine:
            raise ImportRefused(
                f"this Keras model cannot be converted: {ending.describe()[:300]}",
                which=source.name,
                hint="export it to ONNX where it was trained, and import that",
            )
        return _converted(folder, description.written_by or kind)


def _not_installed(absent: list[str], which: str) -> Exception:
    from edge.errors import EnvironmentFailure

    return EnvironmentFailure(
        f"converting Keras models needs {', '.join(absent)}",
        which=which,
        hint="pip install 'edge-imaging[keras]' (2.5 GB), best in a virtual environment of its own",
    )


def _copy(source: Path, target: Path, kind: Kind) -> None:
    if kind is not Kind.SAVED_MODEL:
        shutil.copyfile(source, target)
        return
    for path in source.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ImportRefused(
                "the SavedModel holds a link or a device", which=source.name, hint="copy it without links"
            )
    shutil.copytree(source, target)


def _describe(folder: Path, target: Path, kind: Kind, which: str, absent: list[str]) -> config.Description:
    """What the file says about itself; raises before anything is loaded if that is not harmless."""
    if kind is Kind.SAVED_MODEL:
        _check_saved_model((target / "saved_model.pb").read_bytes(), which)
        return config.Description("", (), "", 0)
    if kind is Kind.KERAS_H5 and "h5py" in absent:
        raise _not_installed(absent, which)
    (folder / "request.json").write_text(json.dumps({"file": target.name, "kind": kind.value}))
    ending = locked.run("edge.packages.importer.describe", folder, _DESCRIBE)
    if not ending.fine:
        raise ImportRefused(
            f"this Keras file is damaged: {ending.describe()[:200]}", which=which, hint="fetch or save it again"
        )
    facts = json.loads((folder / "description.json").read_text())
    description = config.examine(facts["config"], facts["version"], which)
    for shape in description.input_shapes:
        _check_shape(shape, which)
    if len(description.input_shapes) > 1:
        raise _many_inputs(len(description.input_shapes), which)
    return description


def _check_saved_model(data: bytes, which: str) -> None:
    found = [name.decode() for name in _SAVED_MODEL_FORBIDDEN if name in data]
    if found:
        raise ImportRefused(
            f"this SavedModel uses {found[0]}, which reaches outside the network", which=which, hint="export it to ONNX"
        )


def _check_shape(shape: Sequence[int | None], which: str) -> None:
    """`shape` is without the batch."""
    if len(shape) == 1:
        raise ImportRefused(
            f"this is a tabular model: its input is {shape[0]} numbers, not an image",
            which=which,
            hint="give an image model",
        )
    if len(shape) != 3:
        raise ImportRefused(
            f"this model's input has {len(shape)} axes {list(shape)}, not rows, columns and channels",
            which=which,
            hint="give a model that takes one image",
        )


def _many_inputs(count: int, which: str) -> ImportRefused:
    return ImportRefused(
        f"this model has {count} inputs; packages take one image so far",
        which=which,
        hint="give a model with one input",
    )


def _converted(folder: Path, written_by: str) -> _Converted:
    facts = json.loads((folder / "facts.json").read_text())
    with np.load(folder / "in.npz", allow_pickle=False) as stored:
        inputs = tuple(stored[f"i0_{n}"] for n in range(facts["count"]))
    with np.load(folder / "out.npz", allow_pickle=False) as stored:
        answers = tuple(
            {name: stored[f"o{k}_{n}"] for k, name in enumerate(facts["outputs"])} for n in range(facts["count"])
        )
    graph = (folder / "model.onnx").read_bytes()
    return _Converted(graph, inputs, answers, facts["loader"], f"Keras {written_by}")


def _check_graph(data: bytes, which: str) -> graphs.Graph:
    try:
        checked = graphs.inspect(data)
    except PackageError as error:
        raise ImportRefused(f"this model becomes no usable graph: {error.what}", which=which, hint=error.hint) from None
    if len(checked.inputs) != 1:
        raise _many_inputs(len(checked.inputs), which)
    shape = checked.inputs[0].shape
    _check_shape(shape[1:], which)
    if shape[0] not in (1, None) or None in shape[1:]:
        raise ImportRefused(
            f"this graph's input has open sizes {list(shape)}",
            which=which,
            hint="export it with fixed rows, columns and channels",
        )
    return checked


def _random_inputs(checked: graphs.Graph) -> tuple[Tensor, ...]:
    random = np.random.default_rng(_SEED)
    shape = _sizes(checked.inputs[0])
    return tuple(random.random(shape, dtype=np.float32) for _ in range(_RANDOM_INPUTS))


def _comparison_inputs(checked: graphs.Graph, images: Sequence[Image]) -> tuple[Tensor, ...]:
    """For a graph that is its own original: the given images by the nearest pixel, then random numbers."""
    shape = _sizes(checked.inputs[0])
    channels_first = draft.layout_of(checked.inputs[0]) == "NCHW"
    rows, columns = shape[2:] if channels_first else shape[1:3]
    tensors: list[Tensor] = []
    for image in images:
        down, across = np.arange(rows) * image.shape[0] // rows, np.arange(columns) * image.shape[1] // columns
        grey = image[np.ix_(down, across)].astype(np.float32) / np.iinfo(image.dtype).max
        tensors.append(np.broadcast_to(grey if channels_first else grey[:, :, None], shape[1:])[None].copy())
    return (*tensors, *_random_inputs(checked))


def _run(data: bytes, checked: graphs.Graph, inputs: Sequence[Tensor], which: str) -> trial.Trial:
    try:
        return trial.run(data, [{checked.inputs[0].name: tensor} for tensor in inputs], memory_mib=8192, seconds=300)
    except RuntimeFailure as error:
        raise ImportRefused(f"the converted graph cannot be run: {error.what}", which=which, hint=error.hint) from None


def _with_fixed_sizes(data: bytes, checked: graphs.Graph, answers: dict[str, Tensor]) -> bytes:
    """A batch of 1, and the output sizes that were seen, declared in the graph."""
    source = checked.inputs[0]
    shapes = {name: tuple(int(size) for size in value.shape) for name, value in answers.items()}
    return graphs.with_shapes(data, {source.name: _sizes(source), **shapes})


def _sizes(tensor: graphs.Tensor) -> tuple[int, ...]:
    return (1, *(size or 1 for size in tensor.shape[1:]))


def _compare(ours: tuple[dict[str, Tensor], ...], theirs: tuple[dict[str, Tensor], ...], which: str) -> float:
    """The largest difference, when all answers are finite. An ONNX file is its own original."""
    largest = 0.0
    for number, answers in enumerate(ours):
        if not all(np.isfinite(value).all() for value in answers.values()):
            raise ImportRefused(
                "the converted graph answers with NaN or infinity", which=which, hint="check its weights"
            )
        for name, value in theirs[number].items():
            difference = np.abs(answers[name].astype(np.float64) - value.astype(np.float64))
            largest = max(largest, float(difference.max(initial=0.0)))
    if not largest <= TOLERANCE:
        raise ImportRefused(
            f"the converted graph answers differently from the original (by up to {largest:.3g})",
            which=which,
            hint="export it to ONNX where it was trained, and import that",
        )
    return largest


def _write(out: Path, seen: draft.Seen, data: bytes, checked: graphs.Graph) -> None:
    """Members and the draft manifest; the self-test is made of random, so synthetic, tensors."""
    tensors = _random_inputs(checked)
    answers = trial.run(data, [{checked.inputs[0].name: tensor} for tensor in tensors], memory_mib=8192, seconds=300)
    members = {"model.onnx": data, "MODEL_CARD.md": draft.card(seen).encode()}
    cases: list[dict[str, object]] = []
    for number, (tensor, answer) in enumerate(zip(tensors, answers.outputs, strict=True)):
        buffer = io.BytesIO()
        np.save(buffer, tensor, allow_pickle=False)
        name = f"selftest/{number:02d}.npy"
        members[name] = buffer.getvalue()
        flat = np.concatenate([answer[output.name].ravel() for output in checked.outputs])
        cases.append({"input": name, "expected": [round(float(value), 7) for value in flat]})
    declared = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} for name, content in members.items()
    }
    for name, content in members.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (out / "model.toml").write_text(draft.manifest(seen, declared, cases))
