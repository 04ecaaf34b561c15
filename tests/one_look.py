"""A package's whole look at images, in this process: what room and worker do, without either."""

from __future__ import annotations

import datetime
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import package_maker
from infer_box import EXPLICIT_VR_LITTLE_ENDIAN, encoded
from onnx import TensorProto, helper, numpy_helper
from pydicom.dataset import Dataset

from edge.infer.evaluate import evaluate
from edge.infer.header import read_header
from edge.infer.masks import Masks
from edge.infer.pipeline import Verdict, look
from edge.infer.postprocess import mask_bytes
from edge.infer.protocol import Answer, Marked
from edge.infer.runtime import Session
from edge.packages import cam, graph
from edge.packages.package import GRAPH, Package

TODAY = datetime.date(2026, 3, 1)


def model(nodes: list[Any], constants: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> bytes:
    """An ONNX graph; shapes by name, a None leaves a size open; an output (shape, type) may be of another type."""
    sides = [
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, stated in tensors.items()
            for shape, kind in [stated if isinstance(stated[0], tuple) else (stated, TensorProto.FLOAT)]
        ]
        for tensors in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "test", sides[0], sides[1], held)
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def package(folder: Path, network: bytes, **changes: Any) -> Package:
    """A package around `network`, whose graph is checked against its manifest; its self-test is of zeros."""
    stated = package_maker.plain_manifest(**changes)
    shapes = [each["shape"] for key in ("inputs", "volumes") for each in stated.get(key, ())]
    shapes += [[1, len(each["columns"])] for each in stated.get("tables", ())]
    names = [each["tensor"] for key in ("inputs", "volumes", "tables") for each in stated.get(key, ())]
    members = {"model.onnx": network, "MODEL_CARD.md": b"# test\n", "LICENSE": b"A licence.\n"}
    for name, shape in zip(names, shapes, strict=True):
        members[f"selftest/{name}.npy"] = package_maker.npy(np.zeros(shape, np.float32))
    others = {name: f"selftest/{name}.npy" for name in names[1:]}
    case = {"input": f"selftest/{names[0]}.npy", "expected": [0.0], "others": others}
    stated["selftest"] = {"tolerance": 0.1, "cases": [case]}
    made = package_maker.make(folder, members, **stated)
    graph.check(network, made.manifest)
    return made


def seen(package: Package, *images: Dataset) -> Verdict:
    """What comes of looking at `images`."""
    blobs = [encoded(image) for image in images]
    datasets = [read_header(blob, EXPLICIT_VR_LITTLE_ENDIAN).dataset for blob in blobs]
    session = Session(cam.expose(package.read(GRAPH), package.manifest), backends=("cpu",))

    def run(chosen: tuple[int, ...]) -> tuple[Answer, str]:
        size = mask_bytes(package.manifest, [datasets[image] for image in chosen])
        memory = os.memfd_create("masks")
        try:
            os.ftruncate(memory, size + 1)
            answer = evaluate(
                [(io.BytesIO(blobs[image]), EXPLICIT_VR_LITTLE_ENDIAN) for image in chosen], package.manifest,
                session, max_frame_bytes=1 << 26, masks=Masks(memory, 0, size + 1),
            )  # fmt: skip
            read = tuple(
                Marked(each.segment, each.shot, each.offset, each.size, os.pread(memory, each.size, each.offset))
                for each in answer.masks
            )
        finally:
            os.close(memory)
        return Answer(
            answer.reason, answer.error, answer.outputs, answer.milliseconds, answer.maps, read, answer.alignments
        ), "CPUExecutionProvider"

    return look(package.manifest, datasets, TODAY, run)


def code(meaning: str, scheme: str = "99EDGETEST") -> dict[str, str]:
    return {"value": meaning.upper()[:16], "scheme": scheme, "meaning": meaning}


def finding_class(index: int = 0, name: str = "thing", threshold: float = 0.5) -> dict[str, Any]:
    return {
        "index": index, "name": name, "code": code(name), "threshold": threshold,
        "calibrated": False, "rule_out": False, "urgent": False,
    }  # fmt: skip


def frame_input(shape: tuple[int, ...] = (1, 1, 8, 8), **changes: Any) -> dict[str, Any]:
    """An input of whole frames: stored value / 255, squashed."""
    return {
        "tensor": "input", "shape": list(shape), "dtype": "float32", "layout": "NCHW",
        "preprocess": {
            "polarity": "as-stored", "window": {"kind": "full-range"},
            "resize": {"mode": "squash", "filter": "area"}, "channels": "one",
        },
        **changes,
    }  # fmt: skip


__all__ = ["TensorProto", "code", "finding_class", "frame_input", "helper", "model", "onnx", "package", "seen"]
