"""Small valid packages and graphs for tests of edge.packages: one convolution-free classifier, made here."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge.packages.package import Package
from edge.packages.writer import write_folder

SHAPE = (1, 8, 8, 1)


def model_of(
    nodes: list[onnx.NodeProto],
    initializers: tuple[onnx.TensorProto, ...] = (),
    shape: tuple[Any, ...] = SHAPE,
    out_shape: tuple[Any, ...] = (1, 1),
    opset: int = 17,
    domains: tuple[str, ...] = (),
) -> bytes:
    """A graph from `input` to `output`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, out_shape)],
        list(initializers),
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def mean_model(shape: tuple[Any, ...] = SHAPE, opset: int = 17) -> bytes:
    """output = sigmoid(mean of the input)."""
    axes = [1, 2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Sigmoid", ["column"], ["output"]),
    ]
    return model_of(nodes, (helper.make_tensor("one", TensorProto.INT64, [1], [1]),), shape, (shape[0], 1), opset)


def npy(tensor: Any) -> bytes:
    """`tensor` as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, tensor, allow_pickle=False)
    return buffer.getvalue()


def plain_manifest(**changes: Any) -> dict[str, Any]:
    """A valid manifest for `mean_model`, with top-level keys replaced."""
    code = {"value": "T-1", "scheme": "99EDGETEST", "meaning": "Brightness"}
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": "brightness",
        "version": "1.0.0",
        "vendor": "A test",
        "licence": "Apache-2.0",
        "status": "demonstration",
        "purpose": "Tests of packages.",
        "population": "Invented tensors.",
        "task": "classify",
        "scope": "image",
        "algorithm": {"name": "mean", "version": "1.0.0", "manufacturer": "A test"},
        "applicability": {"Modality": {"absent": "refuse", "any_of": ["DX"]}},
        "inputs": [
            {
                "tensor": "input",
                "shape": list(SHAPE),
                "dtype": "float32",
                "layout": "NHWC",
                "preprocess": {
                    "polarity": "as-displayed",
                    "window": {"kind": "voi"},
                    "resize": {"mode": "squash", "filter": "area"},
                    "channels": "one",
                },
            }
        ],
        "outputs": [
            {
                "tensor": "output",
                "activation": "none",
                "classes": [
                    {
                        "index": 0,
                        "name": "bright",
                        "code": code,
                        "threshold": 0.6,
                        "calibrated": False,
                        "rule_out": False,
                        "urgent": False,
                    }
                ],
            }
        ],
        "limits": {"memory_mib": 256, "seconds": 1.0},
        "runtime": {"opset": 17, "backends": ["cpu"]},
        "selftest": {"tolerance": 1e-5, "cases": [{"input": "selftest/zero.npy", "expected": [0.5]}]},
    }
    return {**manifest, **changes}


def plain_members(**changes: bytes | None) -> dict[str, bytes]:
    """The members that `plain_manifest` needs; a change of None leaves that member out."""
    members: dict[str, bytes | None] = {
        "model.onnx": mean_model(),
        "MODEL_CARD.md": b"# brightness\n",
        "LICENSE": b"A licence.\n",
        "selftest/zero.npy": npy(np.zeros(SHAPE, np.float32)),
        **changes,
    }
    return {name: content for name, content in members.items() if content is not None}


def make(folder: Path, members: Mapping[str, bytes] | None = None, **changes: Any) -> Package:
    """Write a package, valid unless `members` or `changes` make it otherwise."""
    return write_folder(folder, plain_manifest(**changes), plain_members() if members is None else members)
