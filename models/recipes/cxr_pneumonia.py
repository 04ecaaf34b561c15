"""Makes models/cxr-pneumonia from a public Keras classifier.

    python models/recipes/cxr_pneumonia.py --keras FILE.h5 --licence LICENSE.txt     (needs edge-imaging[keras])
    python models/recipes/cxr_pneumonia.py                                           (manifest and card only)

The second form keeps the graph and the self-test that are there and writes the manifest and the card again, with
what `evaluate.py` measured. Source: github.com/AM1CODES/Pneumonia-Detection-using-chest-X-Ray at a78ee93b859a, MIT.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import cxr_pneumonia_card as card
import images
import numpy as np

from edge.packages import trial
from edge.packages.package import load_folder
from edge.packages.writer import write_folder

HERE = Path(__file__).resolve().parent
NAME = "cxr-pneumonia"
TARGET = HERE.parent / NAME
EVALUATIONS = ("direct", "product")

_AGE_YEARS = {"min": 1.0, "max": 17.99}
_DX_CR = ["1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"]
_FRONTAL_CODES = [
    "399348003",
    "272479007",
    "399033003",
    "R-10206",
    "R-10214",
    "R-40888",
    "R-10202",
]  # AP, PA, frontal: SCT, SRT

APPLICABILITY: dict[str, dict[str, object]] = {
    "SOPClassUID": {"absent": "refuse", "any_of": _DX_CR},
    "Modality": {"absent": "refuse", "any_of": ["CR", "DX"]},
    "BodyPartExamined": {"absent": "refuse", "any_of": ["CHEST", "THORAX", "TORAX", "LUNG"]},
    "ViewPosition": {"absent": "accept", "any_of": ["AP", "PA"]},
    "ViewCodeSequence": {"absent": "accept", "any_of": _FRONTAL_CODES},
    "ImageLaterality": {"absent": "accept", "any_of": ["U", "B"]},
    "PatientAge": {"absent": "refuse", **_AGE_YEARS},
    "PatientSpeciesDescription": {"absent": "accept", "any_of": ["HUMAN", "HOMO SAPIENS"]},
    "PatientSexNeutered": {"absent": "accept", "none_of": ["ALTERED", "UNALTERED"]},
    "PresentationIntentType": {"absent": "accept", "any_of": ["FOR PRESENTATION"]},
    "PhotometricInterpretation": {"absent": "refuse", "any_of": ["MONOCHROME1", "MONOCHROME2"]},
    "NumberOfFrames": {"absent": "accept", "min": 1.0, "max": 1.0},
    "BitsStored": {"absent": "refuse", "min": 8.0, "max": 16.0},
    "Rows": {"absent": "refuse", "min": 224.0},
    "Columns": {"absent": "refuse", "min": 224.0},
}


def manifest(threshold: float, cases: list[dict[str, object]]) -> dict[str, Any]:
    """Everything in model.toml but the members."""
    pneumonia = {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"}
    return {
        "schema": 1,
        "name": NAME,
        "version": "1.0.0",
        "vendor": "The Edge authors",
        "licence": "MIT",
        "status": "demonstration",
        "purpose": "Shows the whole way from push to report with a public network: pneumonia on a frontal chest X-ray"
        " of a child. Not validated for any clinical use.",
        "population": "Children with a frontal chest X-ray. Trained and tested on children of 1 to 5 years at one"
        " hospital only (Guangzhou); nothing is known about others.",
        "task": "classify",
        "scope": "image",
        "algorithm": {"name": "CXR pneumonia (AM1CODES)", "version": "1.0.0", "manufacturer": "The Edge authors"},
        "applicability": APPLICABILITY,
        "inputs": [
            {
                "tensor": "input",
                "shape": [1, 150, 150, 3],
                "dtype": "float32",
                "layout": "NHWC",
                "preprocess": {
                    "polarity": "as-displayed",
                    "window": {"kind": "voi"},
                    "resize": {"mode": "squash", "filter": "area"},
                    "channels": "repeat",
                    "scale": 1.0,
                    "mean": [0.0],
                    "std": [1.0],
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
                        "name": "pneumonia",
                        "code": pneumonia,
                        "threshold": threshold,
                        "calibrated": False,
                        "rule_out": False,
                        "urgent": False,
                    }
                ],
            }
        ],
        "limits": {"memory_mib": 1024, "seconds": 20.0},
        "runtime": {"opset": 17, "backends": ["cpu"]},
        "selftest": {"tolerance": 1e-4, "cases": cases},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras", type=Path, help="the .h5 file; without it the graph that is there is kept")
    parser.add_argument("--licence", type=Path, help="the licence of the .h5 file")
    arguments = parser.parse_args()
    imported: dict[str, Any] = {}
    if arguments.keras:
        graph, imported = import_graph(arguments.keras)
        licence = arguments.licence.read_bytes()
    else:
        package = load_folder(TARGET)
        graph, licence = package.read("model.onnx"), package.read("LICENSE")
    write(graph, licence, imported)
    return 0


def import_graph(source: Path) -> tuple[bytes, dict[str, Any]]:
    """The graph that `edge models import` makes, compared with Keras on real images."""
    from edge.packages.importer.run import import_model

    pictures = [image.jpeg for image in images.read("cxr224", "test")][:40]
    with tempfile.TemporaryDirectory() as name:
        result = import_model(source, Path(name) / "draft", pictures)
        graph = (result.package / "model.onnx").read_bytes()
    print(f"largest difference to Keras: {result.max_abs_difference:.3g}", file=sys.stderr)
    return graph, {"max_abs_difference": result.max_abs_difference, "images": len(pictures), "loader": result.loader}


def write(graph: bytes, licence: bytes, imported: dict[str, Any]) -> None:
    """The package folder, from the graph and what was measured."""
    evaluations = {}
    for name in EVALUATIONS:
        path = HERE / f"cxr_pneumonia.{name}.json"
        if path.exists():
            evaluations[name] = json.loads(path.read_text())
    facts = HERE / "cxr_pneumonia.import.json"
    if imported:
        facts.write_text(json.dumps(imported, indent=1) + "\n")
    known = json.loads(facts.read_text()) if facts.exists() else {}
    threshold = card.shipped_threshold(evaluations)
    tensors = synthetic_inputs()
    cases, members = selftest(graph, tensors)
    members |= {"model.onnx": graph, "LICENSE": licence}
    members["MODEL_CARD.md"] = card.text(evaluations, known, threshold).encode()
    shutil.rmtree(TARGET, ignore_errors=True)
    write_folder(TARGET, manifest(threshold, cases), members)


def synthetic_inputs() -> list[np.ndarray]:
    """Ten tensors without any patient: flat fields, ramps, a checker board, discs, seeded coarse noise."""
    rows, columns = np.mgrid[0:150, 0:150].astype(np.float32) / 149
    radius = np.hypot(rows - 0.5, columns - 0.5)
    coarse = np.random.default_rng(1).integers(0, 256, (3, 30, 30)).astype(np.float32) / 255
    noise = np.kron(coarse, np.ones((1, 5, 5), np.float32))
    planes = [
        np.zeros_like(rows),
        np.full_like(rows, 0.5),
        np.ones_like(rows),
        rows,
        columns,
        ((rows * 10).astype(int) + (columns * 10).astype(int)) % 2 * np.float32(1),
        (radius < 0.3).astype(np.float32),
        np.clip(1 - 2 * radius, 0, 1),
        noise[0],
        0.3 + 0.4 * noise[1] * noise[2],
    ]
    return [np.repeat(plane.astype(np.float32)[None, :, :, None], 3, axis=3) for plane in planes]


def selftest(
    graph: bytes, tensors: list[np.ndarray], *, source: str = "input", output: str = "output"
) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """What the graph answers to them, to be compared on every box."""
    answers = trial.run(graph, [{source: tensor} for tensor in tensors]).outputs
    cases, members = [], {}
    for number, (tensor, answer) in enumerate(zip(tensors, answers, strict=True)):
        name = f"selftest/{number:02d}.npy"
        buffer = io.BytesIO()
        np.save(buffer, tensor, allow_pickle=False)
        members[name] = buffer.getvalue()
        cases.append({"input": name, "expected": [round(float(v), 7) for v in answer[output].ravel()]})
    return cases, members


if __name__ == "__main__":
    sys.exit(main())
