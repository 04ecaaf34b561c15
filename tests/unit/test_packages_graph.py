"""A graph that passes reaches no file, no custom operator, no endless loop, and is what the manifest says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from package_maker import SHAPE, make, mean_model, model_of, npy, plain_members

from edge.errors import PackageError, RuntimeFailure
from edge.packages import graph, trial
from edge.packages.check import check
from edge.packages.manifest import Manifest

MEAN = helper.make_node("ReduceMean", ["input"], ["output"], keepdims=0)


def external(location: str) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.dims.append(1024)
    for key, value in (("location", location), ("length", "4096")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model_of([helper.make_node("Identity", ["w"], ["output"])], (tensor,), out_shape=(1024,))


def looping(trips: int | None) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["co"]), helper.make_node("Identity", ["x"], ["xo"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE),
        ],
        [
            helper.make_tensor_value_info("co", TensorProto.BOOL, []),
            helper.make_tensor_value_info("xo", TensorProto.FLOAT, SHAPE),
        ],
    )
    start = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    constants = (start,) if trips is None else (start, helper.make_tensor("n", TensorProto.INT64, [], [trips]))
    loop = helper.make_node("Loop", ["" if trips is None else "n", "yes", "input"], ["output"], body=body)
    return model_of([loop], constants, out_shape=SHAPE)


def huge_constant() -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, raw_data=b"\0" * 4)
    tensor.dims.extend([1 << 20, 1 << 20])
    return model_of([helper.make_node("Identity", ["w"], ["output"])], (tensor,))


def custom_operator() -> bytes:
    return model_of([helper.make_node("Evil", ["input"], ["output"], domain="com.evil")], domains=("com.evil",))


def contrib_operator() -> bytes:
    return model_of(
        [helper.make_node("Gelu", ["input"], ["output"], domain="com.microsoft")], domains=("com.microsoft",)
    )


def local_function() -> bytes:
    model = onnx.load_from_string(mean_model())
    model.functions.append(
        helper.make_function(
            "", "Mine", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
    )
    return model.SerializeToString()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"hello, this is no graph at all",
    "cut off": lambda: mean_model()[:40],
    "external absolute": lambda: external("/etc/passwd"),
    "external parent": lambda: external("../secret"),
    "endless loop": lambda: looping(None),
    "nearly endless loop": lambda: looping(1 << 40),
    "custom operator": custom_operator,
    "vendor operator": contrib_operator,
    "unknown operator": lambda: model_of([helper.make_node("NoSuchThing", ["input"], ["output"])]),
    "4 TiB of constants": huge_constant,
    "local function": local_function,
    "old opset": lambda: model_of([MEAN], opset=3),
    "future opset": lambda: model_of([MEAN], opset=99),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused_at_once(name: str) -> None:
    data = HOSTILE[name]()
    started = time.monotonic()
    with pytest.raises(PackageError):
        graph.inspect(data)
    assert time.monotonic() - started < 1


def test_a_loop_with_a_fixed_bound_is_fine() -> None:
    assert graph.inspect(looping(5)).outputs[0].shape == SHAPE


def test_what_a_graph_declares() -> None:
    found = graph.inspect(mean_model())
    assert found.opset == 17
    assert found.inputs == (graph.Tensor("input", "float32", SHAPE),)
    assert found.last_operators == ("Sigmoid",)


def test_an_open_batch_can_be_fixed() -> None:
    data = mean_model(("N", 8, 8, 1))
    assert graph.inspect(data).inputs[0].shape[0] is None
    fixed = graph.inspect(graph.with_shapes(data, {"input": SHAPE, "output": (1, 1)}))
    assert (fixed.inputs[0].shape, fixed.outputs[0].shape) == (SHAPE, (1, 1))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (mean_model((1, 9, 9, 1)), "input"),
        (mean_model(opset=16), "opset"),
        (model_of([MEAN], out_shape=("N", 1)), "fixed shape"),
    ],
)
def test_the_graph_must_be_what_the_manifest_says(tmp_path: Path, data: bytes, named: str) -> None:
    manifest: Manifest = make(tmp_path / "p").manifest
    with pytest.raises(PackageError, match=named):
        graph.check(data, manifest)


def test_a_class_beyond_the_scores_is_refused(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    outputs = package.manifest.outputs
    entry = {
        "index": 7,
        "name": "none",
        "code": {"value": "X", "scheme": "99EDGETEST", "meaning": "x"},
        "threshold": 0.5,
        "calibrated": False,
        "rule_out": False,
        "urgent": False,
    }
    beyond = make(tmp_path / "q", outputs=[{"tensor": outputs[0].tensor, "activation": "none", "classes": [entry]}])
    assert [problem.where for problem in check(beyond)] == ["model.onnx"]


def test_a_good_package_is_fit(tmp_path: Path) -> None:
    assert check(make(tmp_path / "p")) == []


def test_a_wrong_answer_is_found(tmp_path: Path) -> None:
    selftest = {"tolerance": 1e-5, "cases": [{"input": "selftest/zero.npy", "expected": [0.51]}]}
    assert "off by 0.01" in check(make(tmp_path / "p", selftest=selftest))[0].what


def test_nan_is_no_answer(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["m"], keepdims=0),
        helper.make_node("Log", ["m"], ["l"]),
        helper.make_node("Mul", ["l", "zero"], ["n"]),
        helper.make_node("Reshape", ["n", "s"], ["output"]),
    ]
    constants = (
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("s", TensorProto.INT64, [2], [1, 1]),
    )
    members = plain_members(**{"model.onnx": model_of(nodes, constants)})
    assert "NaN" in check(make(tmp_path / "p", members))[0].what


def test_a_misspelt_keyword_is_found(tmp_path: Path) -> None:
    rules = {"PatientsAge": {"absent": "refuse", "min": 1.0}}
    assert check(make(tmp_path / "p", applicability=rules))[0].where == "applicability.PatientsAge"


@pytest.mark.parametrize("content", [b"no array", npy(np.zeros((1, 2), np.float32)), npy(np.zeros(SHAPE))])
def test_a_selftest_input_must_fit(tmp_path: Path, content: bytes) -> None:
    members = plain_members(**{"selftest/zero.npy": content})
    assert check(make(tmp_path / "p", members))[0].where == "selftest/zero.npy"


def test_a_graph_that_eats_memory_costs_one_run_only() -> None:
    fill = helper.make_node("ConstantOfShape", ["s"], ["big"])
    nodes = [
        fill,
        helper.make_node("ReduceMean", ["big"], ["m"], keepdims=0),
        helper.make_node("Add", ["m", "input"], ["output"]),
    ]
    data = model_of(nodes, (helper.make_tensor("s", TensorProto.INT64, [2], [1 << 15, 1 << 16]),), out_shape=SHAPE)
    with pytest.raises(RuntimeFailure):
        trial.run(data, [{"input": np.zeros(SHAPE, np.float32)}], memory_mib=512, seconds=10)


def test_a_graph_that_never_ends_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(RuntimeFailure):
        trial.run(looping(None), [{"input": np.zeros(SHAPE, np.float32)}], seconds=1)
    assert time.monotonic() - started < 12
