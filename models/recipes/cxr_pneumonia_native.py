"""Makes models/cxr-pneumonia-native from what cxr_pneumonia_native_train.py wrote.

    python models/recipes/cxr_pneumonia_native.py --graph native.onnx --scores native.json
    python models/recipes/evaluate.py cxr-pneumonia-native --scorer product --no-train --out .../...product.json
    python models/recipes/cxr_pneumonia_native.py --robustness      (looks at validation patients only)
    python models/recipes/cxr_pneumonia_native.py                   (manifest and card again, from what was measured)

The threshold is the highest that finds 90 % of the pneumonia images of the validation patients. The rule was fixed
before any test image was looked at; no test image has a part in the network or in the threshold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cxr_pneumonia
import cxr_pneumonia_native_card as card
import cxr_pneumonia_native_robustness as robustness
import images
import measures
import numpy as np

from edge.packages.package import load_folder
from edge.packages.writer import write_folder

HERE = Path(__file__).resolve().parent
NAME = "cxr-pneumonia-native"
TARGET = HERE.parent / NAME
FACTS = ("train", "direct", "product", "robustness")
WANTED_SENSITIVITY = 0.90


def manifest(threshold: float, cases: list[dict[str, object]]) -> dict[str, object]:
    """Everything in model.toml but the members: as cxr-pneumonia, where nothing else is said."""
    stated = cxr_pneumonia.manifest(threshold, cases)
    (source,), (output,) = stated["inputs"], stated["outputs"]
    return {
        **stated,
        "name": NAME,
        "licence": "Apache-2.0",
        "purpose": "Shows the whole way from push to report with a network of its own, and where it looked: pneumonia"
        " on a frontal chest X-ray of a child. Not validated for any clinical use.",
        "algorithm": {"name": "CXR pneumonia (native)", "version": "1.0.0", "manufacturer": "The Edge authors"},
        "inputs": [
            {
                **source,
                "tensor": "image",
                "shape": [1, 1, 144, 144],
                "layout": "NCHW",
                "preprocess": {**source["preprocess"], "channels": "one"},
            }
        ],
        "outputs": [{**output, "tensor": "score", "cam": "auto"}],
        "limits": {"memory_mib": 512, "seconds": 10.0},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", type=Path, help="a new graph; without it the one that is there is kept")
    parser.add_argument("--scores", type=Path, help="what the validation patients got from it")
    parser.add_argument("--robustness", action="store_true", help="measure proportions and planted opacities again")
    arguments = parser.parse_args()
    if arguments.graph:
        graph = arguments.graph.read_bytes()
        path("train").write_text(arguments.scores.read_text())
    else:
        graph = load_folder(TARGET).read("model.onnx")
    write(graph)
    if arguments.robustness:
        path("robustness").write_text(json.dumps(robustness.measure(NAME), indent=1) + "\n")
        write(graph)
    return 0


def path(fact: str) -> Path:
    return HERE / f"cxr_pneumonia_native.{fact}.json"


def known() -> dict[str, dict[str, Any]]:
    """What was measured so far, by name."""
    return {name: json.loads(path(name).read_text()) for name in FACTS if path(name).exists()}


def threshold_of(train: dict[str, Any]) -> float:
    scores, truth = np.array(train["scores"]), np.array(train["truth"], bool)
    return measures.threshold_for(scores, truth, WANTED_SENSITIVITY)


def write(graph: bytes) -> None:
    """The package folder, from the graph and what was measured."""
    facts = known()
    threshold = threshold_of(facts["train"])
    tensors = [np.ascontiguousarray(full[:, None, :144, :144, 0]) for full in cxr_pneumonia.synthetic_inputs()]
    cases, members = cxr_pneumonia.selftest(graph, tensors, source="image", output="score")
    members |= {
        "model.onnx": graph,
        "LICENSE": (HERE.parents[1] / "LICENSE").read_bytes(),
        "attribution.txt": (images.data_folder() / "cxr" / "ATTRIBUTION.txt").read_bytes(),
        "MODEL_CARD.md": card.text(facts, threshold).encode(),
    }
    shutil.rmtree(TARGET, ignore_errors=True)
    write_folder(TARGET, manifest(threshold, cases), members)


if __name__ == "__main__":
    sys.exit(main())
