"""Makes models/example-detect, example-segment and example-measure: one package of each task beside classification.

Their networks are computed, not trained: a contrast filter, a soft threshold, a mean. They look at generated pictures
(`examples_pictures.py`) and at nothing else, and prove that boxes, masks and numbers find their way through the box.

    python models/recipes/examples.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from examples_pictures import GENERATED, ball, disc
from onnx import TensorProto, helper, numpy_helper

from edge.packages.trial import run
from edge.packages.writer import write_folder

MODELS = Path(__file__).resolve().parents[1]
SIDE = 64
"""Rows and columns of the tensors of example-detect and example-measure."""

RADIUS = 5
"""Pixels of the tensor: what example-detect looks for."""

TILE = (8, 16, 16)
OPSET = 17

_CARD = """# {name} 1.0.0

**An example. It finds nothing in patients, and refuses every image that was not generated for it**
(ManufacturerModelName must be {generated}).

It proves that a package of task `{task}` and scope `{scope}` works from push to report, on generated data alone.

- **Looks for:** {what}
- **The network:** {network} Nothing was trained and nothing was measured on real images: there is no accuracy to state.
- **Made by:** `models/recipes/examples.py`, from nothing; the pictures are drawn by `examples_pictures.py`.
- **Licence:** Apache-2.0.
"""


def detector() -> bytes:
    """A disc against its surroundings, every 2 pixels: (1, 1, 64, 64) to boxes (1, 625, 5) with a score each."""
    reach = 2 * RADIUS - 2
    offsets = np.arange(-reach, reach) + 0.5
    distance = np.hypot(offsets[:, None], offsets)
    inside, around = distance <= RADIUS, (distance > RADIUS) & (distance <= reach)
    kernel = (inside / inside.sum() - around / around.sum()).astype(np.float32)
    count = (SIDE - len(kernel)) // 2 + 1
    centres = (np.arange(count) * 2 + reach) / SIDE
    rows, columns = np.meshgrid(centres, centres, indexing="ij")
    size = np.full(count * count, 2 * RADIUS / SIDE)
    boxes = np.stack([columns.ravel(), rows.ravel(), size, size], axis=1)[None].astype(np.float32)
    constants = {
        "kernel": kernel[None, None], "bias": np.array([-0.5], np.float32), "steep": np.array(12, np.float32),
        "boxes": boxes, "column": np.array([1, count * count, 1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["contrast"], strides=[2, 2]),
        helper.make_node("Mul", ["contrast", "steep"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Reshape", ["scores", "column"], ["listed"]),
        helper.make_node("Concat", ["boxes", "listed"], ["rows"], axis=2),
    ]
    return graph(nodes, constants, {"image": (1, 1, SIDE, SIDE)}, {"rows": (1, count * count, 5)})


def segmenter() -> bytes:
    """How dense each voxel is among its 27 neighbours: (1, 1, 8, 16, 16) to logits of the same size."""
    constants = {"half": np.array(0.5, np.float32), "steep": np.array(20, np.float32)}
    nodes = [
        helper.make_node("AveragePool", ["volume"], ["smooth"], kernel_shape=[3, 3, 3], pads=[1] * 6),
        helper.make_node("Sub", ["smooth", "half"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logits"]),
    ]
    return graph(nodes, constants, {"volume": (1, 1, *TILE)}, {"logits": (1, 1, *TILE)})


def meter() -> bytes:
    """The diameter of a disc in mm: from its share of the picture, and from rows, columns and spacing in a table."""
    constants = {
        "scale": np.array(4 / np.pi, np.float32), "low": np.array(0.25, np.float32), "gain": np.array(2, np.float32),
        "zero": np.array(0, np.float32), "one": np.array(1, np.float32),
        "pixels": np.array([0, 1], np.int64), "spacing": np.array([2], np.int64),
        "shape": np.array([1, 1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["image", "low"], ["above"]),
        helper.make_node("Mul", ["above", "gain"], ["steep"]),
        helper.make_node("Clip", ["steep", "zero", "one"], ["disc"]),
        helper.make_node("ReduceMean", ["disc"], ["share"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Gather", ["table", "pixels"], ["size"], axis=1),
        helper.make_node("ReduceProd", ["size"], ["area"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["share", "area"], ["covered"]),
        helper.make_node("Mul", ["covered", "scale"], ["square"]),
        helper.make_node("Sqrt", ["square"], ["across"]),
        helper.make_node("Gather", ["table", "spacing"], ["millimetres"], axis=1),
        helper.make_node("Reshape", ["across", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "millimetres"], ["diameter"]),
    ]
    return graph(nodes, constants, {"image": (1, 1, SIDE, SIDE), "table": (1, 3)}, {"diameter": (1, 1)})


def graph(nodes: list[Any], constants: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> bytes:
    """An ONNX graph of these nodes."""
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "example", sides[0], sides[1], held)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def code(value: str, meaning: str, scheme: str = "99EDGE") -> dict[str, str]:
    """A code as a manifest has it."""
    return {"value": value, "scheme": scheme, "meaning": meaning}


def frame_input() -> dict[str, Any]:
    """One input of a whole gray frame, squashed to 64 x 64."""
    return {
        "tensor": "image", "shape": [1, 1, SIDE, SIDE], "dtype": "float32", "layout": "NCHW",
        "preprocess": {
            "polarity": "as-displayed", "window": {"kind": "full-range"},
            "resize": {"mode": "squash", "filter": "area"}, "channels": "one",
        },
    }  # fmt: skip


def manifest(task: str, scope: str, purpose: str, **changes: Any) -> dict[str, Any]:
    """What the three packages have in common."""
    name = f"example-{task}"
    modality = "CT" if task == "segment" else "DX"
    return {
        "schema": 1, "name": name, "version": "1.0.0", "vendor": "Edge maintainers", "licence": "Apache-2.0",
        "status": "demonstration", "purpose": purpose, "population": "Generated pictures; no patient",
        "task": task, "scope": scope,
        "algorithm": {"name": name, "version": "1.0.0", "manufacturer": "Edge maintainers"},
        "applicability": {
            "Modality": {"absent": "refuse", "any_of": [modality]},
            "ManufacturerModelName": {"absent": "refuse", "any_of": [GENERATED]},
        },
        "limits": {"memory_mib": 256, "seconds": 30.0}, "runtime": {"opset": OPSET, "backends": ["cpu"]},
        **changes,
    }  # fmt: skip


def example_detect() -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """Manifest, graph and the input tensors of its self-test."""
    found = {
        "index": 0, "name": "disc", "code": code("EDGE-EX-DISC", "Bright disc"), "threshold": 0.5,
        "calibrated": False, "rule_out": False, "urgent": False,
    }  # fmt: skip
    boxes = {"format": "cxcywh", "units": "normalised", "nms": {"iou": 0.2, "max": 20}}
    outputs = [{"tensor": "rows", "activation": "none", "classes": [found], "boxes": boxes}]
    stated = manifest("detect", "image", "Finds bright discs in generated pictures, to show how boxes are reported",
                      inputs=[frame_input()], outputs=outputs)  # fmt: skip
    return stated, detector(), {"image": disc(SIDE, SIDE, (20, 40), RADIUS)[None, None]}


def example_segment() -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """See example_detect."""
    segment = {
        "index": 0, "name": "ball", "code": code("EDGE-EX-BALL", "Dense ball"),
        "category": code("85756007", "Tissue", "SCT"), "type": code("EDGE-EX-BALL", "Dense ball"),
        "threshold": 0.5, "min_pixels": 4,
    }  # fmt: skip
    seen = {
        "tensor": "volume", "shape": [1, 1, *TILE], "dtype": "float32", "layout": "NCDHW", "axes": "patient",
        "fit": "tile", "low": -1000.0, "high": 200.0, "spacing": [2.0, 2.0, 2.0], "overlap": 0.5,
    }  # fmt: skip
    outputs = [{"tensor": "logits", "activation": "sigmoid", "segments": [segment]}]
    stated = manifest("segment", "series", "Marks a dense ball in generated slices, to show how masks are reported",
                      volumes=[seen], outputs=outputs)  # fmt: skip
    dense = (ball(TILE, (4, 8, 6), 4) + 1000) / 1200
    return stated, segmenter(), {"volume": np.clip(dense, 0, 1)[None, None]}


def example_measure() -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """See example_detect."""
    quantity = {
        "index": 0, "name": "diameter", "code": code("81827009", "Diameter", "SCT"),
        "unit": code("mm", "millimeter", "UCUM"), "min": 0.0, "max": 500.0,
        "finding": code("EDGE-EX-DISC", "Bright disc"),
    }  # fmt: skip
    columns = [{"keyword": "Rows"}, {"keyword": "Columns"}, {"keyword": "PixelSpacing", "min": 0.01, "max": 10.0}]
    outputs = [{"tensor": "diameter", "activation": "none", "quantities": [quantity]}]
    stated = manifest("measure", "image", "Measures a bright disc in generated pictures, to show how numbers are told",
                      inputs=[frame_input()], tables=[{"tensor": "table", "columns": columns}],
                      outputs=outputs)  # fmt: skip
    picture = disc(SIDE, SIDE, (32, 32), 20)
    return stated, meter(), {"image": picture[None, None], "table": np.array([[64, 64, 0.5]])}


WORDS = {
    "detect": ("bright discs of a twelfth of the picture's width, each with a box.",
               "one convolution with the contrast of a disc against its surroundings, then a sigmoid."),
    "segment": ("what is denser than its surroundings by the mean of 27 voxels, in slices of a series.",
                "a mean filter and a steep sigmoid, on overlapping tiles of the volume."),
    "measure": ("the diameter of one bright disc in mm, of pictures whose spacing is stated.",
                "the bright share of the picture, times its size, from a table of attributes."),
}  # fmt: skip


def write(stated: dict[str, Any], network: bytes, tensors: dict[str, Any], folder: Path) -> None:
    """The package, with the answer of its graph to its own self-test as what it promises."""
    exact = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    answer = run(network, [exact]).outputs[0]
    flat = np.concatenate([np.asarray(array, np.float32).ravel() for array in answer.values()])
    names = {name: f"selftest/{name}.npy" for name in exact}
    first, *others = exact
    case = {"input": names[first], "answer": "selftest/answer.npy", "others": {name: names[name] for name in others}}
    task = stated["task"]
    what, net = WORDS[task]
    card = _CARD.format(name=stated["name"], task=task, scope=stated["scope"], what=what, network=net,
                        generated=GENERATED)  # fmt: skip
    members = {
        "model.onnx": network, "MODEL_CARD.md": card.encode(), "LICENSE": (MODELS.parent / "LICENSE").read_bytes(),
        "selftest/answer.npy": npy(flat), **{names[name]: npy(tensor) for name, tensor in exact.items()},
    }  # fmt: skip
    write_folder(folder / stated["name"], {**stated, "selftest": {"tolerance": 1e-4, "cases": [case]}}, members)


def npy(array: Any) -> bytes:
    """`array` as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def main(folder: Path = MODELS) -> None:
    """Write all three."""
    for make in (example_detect, example_segment, example_measure):
        write(*make(), folder)


if __name__ == "__main__":
    main()
