"""The map that is appended is exact, changes no score, and is refused where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import package_maker
import pytest
from onnx import helper, numpy_helper
from package_maker import model_of, npy, plain_members

from edge.errors import PackageError
from edge.infer.runtime import Session
from edge.packages import cam, graph
from edge.packages.check import check
from edge.packages.manifest import Manifest

CHANNELS, CLASSES = 5, 3
FIRST = (1, 1, 16, 16)
LAST = (1, 16, 16, 1)


def constants(**arrays: np.ndarray) -> tuple[onnx.TensorProto, ...]:
    return tuple(numpy_helper.from_array(array, name) for name, array in arrays.items())


def weights(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def channels_first(head: str = "Gemm", activation: str = "Sigmoid", pool: str = "GlobalAveragePool") -> bytes:
    """Convolution, ReLU, average, linear: as torch exports it."""
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["raw"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["raw"], ["features"]),
    ]
    if pool == "GlobalAveragePool":
        nodes += [helper.make_node(pool, ["features"], ["m"]), helper.make_node("Flatten", ["m"], ["mean"])]
    elif pool == "ReduceMean":
        nodes.append(helper.make_node(pool, ["features"], ["mean"], axes=[-1, -2], keepdims=0))
    else:
        nodes.append(helper.make_node(pool, ["features"], ["mean"]))
    nodes += _linear(head, activation)
    given = constants(kernel=weights(CHANNELS, 1, 3, 3), bias=weights(CLASSES, seed=5))
    channels = CHANNELS if pool != "Flatten" else CHANNELS * FIRST[2] * FIRST[3]
    return model_of(nodes, given + _weights(head, channels), FIRST, (1, CLASSES))


def channels_last() -> bytes:
    """Transposed convolution result, mean over rows and columns, MatMul, Add, Softmax: as tf2onnx writes it."""
    nodes = [
        helper.make_node("Transpose", ["input"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["turned", "kernel"], ["raw"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["raw"], ["seen"]),
        helper.make_node("Transpose", ["seen"], ["features"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1, 2], keepdims=0),
        *_linear("MatMul", "Softmax"),
    ]
    given = constants(kernel=weights(CHANNELS, 1, 3, 3), bias=weights(CLASSES, seed=5))
    return model_of(nodes, given + _weights("MatMul", CHANNELS), LAST, (1, CLASSES))


def truly_last() -> bytes:
    """Features that are made channels last, so that the map needs a transposition of its own."""
    nodes = [
        helper.make_node("MatMul", ["input", "kernel"], ["raw"]),
        helper.make_node("Relu", ["raw"], ["features"]),
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1, 2], keepdims=0),
        *_linear("MatMul", "Sigmoid"),
    ]
    given = constants(kernel=weights(1, CHANNELS), bias=weights(CLASSES, seed=5))
    return model_of(nodes, given + _weights("MatMul", CHANNELS), LAST, (1, CLASSES))


def _linear(head: str, activation: str) -> list[onnx.NodeProto]:
    if head == "Gemm":
        nodes = [helper.make_node("Gemm", ["mean", "linear", "bias"], ["logit"], transB=1, alpha=0.5, beta=2.0)]
    elif head == "MatMul":
        nodes = [
            helper.make_node("MatMul", ["mean", "linear"], ["product"]),
            helper.make_node("Add", ["bias", "product"], ["logit"]),
        ]
    else:
        nodes = [helper.make_node(head, ["mean"], ["logit"])]
    return [*nodes, helper.make_node(activation, ["logit"], ["output"])]


def _weights(head: str, channels: int) -> tuple[onnx.TensorProto, ...]:
    shape = (CLASSES, channels) if head == "Gemm" else (channels, CLASSES)
    return constants(linear=weights(*shape, seed=4))


def manifest(folder: Path, model: bytes, indices: tuple[int, ...] = (2, 0), **changes: Any) -> Manifest:
    plain = package_maker.plain_manifest()
    layout = "NHWC" if graph.inspect(model).inputs[0].shape[3] == 1 else "NCHW"
    shape = FIRST if layout == "NCHW" else LAST
    code = plain["outputs"][0]["classes"][0]
    classes = [{**code, "index": index, "name": f"class-{index}"} for index in indices]
    answer = Session(model, backends=("cpu",)).run({"input": np.zeros(shape, np.float32)})["output"]
    members = plain_members(**{"model.onnx": model, "selftest/zero.npy": npy(np.zeros(shape, np.float32))})
    case = {"input": "selftest/zero.npy", "expected": [float(value) for value in answer.ravel()]}
    return package_maker.make(
        folder,
        members,
        inputs=[{**plain["inputs"][0], "shape": list(shape), "layout": layout}],
        outputs=[{**plain["outputs"][0], "classes": classes, "cam": "auto"}],
        selftest={"tolerance": 1e-5, "cases": [case]},
        **changes,
    ).manifest


MODELS = {
    "torch": channels_first(),
    "torch mean": channels_first(pool="ReduceMean"),
    "torch softmax": channels_first(activation="Softmax"),
    "keras": channels_last(),
    "keras features": truly_last(),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_mean_of_the_map_is_the_logit_and_the_scores_stay(tmp_path: Path, name: str) -> None:
    model = MODELS[name]
    head = cam.find_head(graph.Content(model), "output")
    logits = onnx.load_from_string(model)
    logits.graph.output.append(helper.make_tensor_value_info("logit", onnx.TensorProto.FLOAT, None))
    shape = LAST if name.startswith("keras") else FIRST
    picture = {"input": np.random.default_rng(9).random(shape, np.float32)}
    before = Session(logits.SerializeToString(), backends=("cpu",)).run(picture)
    stated = manifest(tmp_path / "p", model)
    after = Session(cam.expose(model, stated), backends=("cpu",)).run(picture)
    assert np.array_equal(after["output"], Session(model, backends=("cpu",)).run(picture)["output"])
    maps = after[stated.outputs[0].cam_tensor]
    assert maps.shape == (1, 2, 16, 16)
    wanted = before["logit"][0, [2, 0]]
    assert maps[0].mean((1, 2)) + head.bias[[2, 0]] == pytest.approx(wanted, abs=1e-5)


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    stated = manifest(tmp_path / "p", MODELS["torch"])
    assert cam.expose(MODELS["torch"], stated) == cam.expose(MODELS["torch"], stated)


def test_a_package_that_asks_for_none_keeps_its_graph(tmp_path: Path) -> None:
    package = package_maker.make(tmp_path / "p")
    model = package.read("model.onnx")
    assert cam.expose(model, package.manifest) is model


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (channels_first(pool="Flatten"), "reads Relu, not a global average"),
        (channels_first(pool="GlobalMaxPool", head="Flatten"), "GlobalMaxPool"),
        (package_maker.mean_model(), "ReduceMean"),
    ],
)
def test_a_graph_without_a_pooled_linear_head_is_refused(model: bytes, named: str) -> None:
    with pytest.raises(PackageError, match=named) as caught:
        cam.find_head(graph.Content(model), "output")
    assert "global average pooling" in caught.value.what
    assert "leave cam out" in caught.value.hint


def test_check_says_so_before_a_hospital_sees_it(tmp_path: Path) -> None:
    flat = channels_first(pool="Flatten")
    manifest(tmp_path / "p", flat)
    from edge.packages.package import load_folder

    assert ["class-activation map" in problem.what for problem in check(load_folder(tmp_path / "p"))] == [True]
    manifest(tmp_path / "q", MODELS["torch"])
    assert check(load_folder(tmp_path / "q")) == []


def test_a_map_needs_a_classifier_with_one_input(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="classifier with one input"):
        manifest(tmp_path / "p", MODELS["torch"], task="measure")


def test_a_tensor_of_that_name_is_never_replaced(tmp_path: Path) -> None:
    stated = manifest(tmp_path / "p", MODELS["torch"])
    exposed = cam.expose(MODELS["torch"], stated)
    with pytest.raises(PackageError, match="already"):
        cam.expose(exposed, stated)
