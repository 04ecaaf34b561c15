"""How good is a shipped classifier on the original test patients, with an honest threshold?

    python models/recipes/evaluate.py cxr-pneumonia --scorer direct   --out models/recipes/cxr_pneumonia.direct.json
    python models/recipes/evaluate.py cxr-pneumonia --scorer product  --out models/recipes/cxr_pneumonia.product.json

The test patients are split into two halves by a seed. The threshold is chosen on one half and judged on the other,
then the other way round; beside them stands the threshold that the training patients would give, judged on all
test patients, because the network has seen the training patients and that threshold is too low.

A scorer is a function from a JPEG file to the network's score. `direct` calls the kernels and the runtime in this
process; `product` pushes a DICOM object to a running box and reads the report that comes back.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import images
import measures
import numpy as np
import scorers

from edge.packages.registry import Registry

SEED = 20180222
WANTED_SENSITIVITY = 0.90

Scorer = Callable[[bytes], float]
SCORERS: dict[str, Callable[[str], AbstractContextManager[Scorer]]] = {
    "direct": scorers.direct,
    "product": scorers.product,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """One image's truth and score."""

    patient: str
    pneumonia: bool
    score: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("--scorer", choices=sorted(SCORERS), default="direct")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--no-train", action="store_true", help="leave the training patients out (product: 10 x faster)"
    )
    arguments = parser.parse_args()
    shipped = Registry().resolve(arguments.package).manifest.outputs[0].classes[0].threshold
    with SCORERS[arguments.scorer](arguments.package) as scorer:
        test = score_all(images.read("cxr224", "test"), scorer)
        train = [] if arguments.no_train else score_all(images.read("cxr224", "train"), scorer)
    report = {"package": arguments.package, "scorer": arguments.scorer, **evaluate(test, train)}
    report["shipped"] = _judged(test, shipped)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["crossed"], indent=1))
    return 0


def score_all(labelled: Iterable[images.LabelledImage], scorer: Scorer) -> list[Scored]:
    """The score of every image, progress on stderr."""
    rows = []
    for number, image in enumerate(labelled, 1):
        rows.append(Scored(image.patient, image.pneumonia, scorer(image.jpeg)))
        if number % 50 == 0:
            print(f"\r{number} images", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def evaluate(test: list[Scored], train: list[Scored]) -> dict[str, object]:
    """Everything that the model card states, as plain data."""
    first, second = images.halves([row.patient for row in test], SEED)
    half_a = [row for row in test if row.patient in first]
    half_b = [row for row in test if row.patient in second]
    scores, truth = _arrays(test)
    report: dict[str, object] = {
        "seed": SEED,
        "wanted_sensitivity": WANTED_SENSITIVITY,
        "images": len(test),
        "patients": len(first) + len(second),
        "auc": asdict(measures.auc(scores, truth)),
        "at_one_half": _judged(test, 0.5),
        "crossed": [
            {"calibrated_on": "A", "judged_on": "B", **_judged(half_b, _threshold(half_a))},
            {"calibrated_on": "B", "judged_on": "A", **_judged(half_a, _threshold(half_b))},
        ],
    }
    if train:
        scores, truth = _arrays(train)
        report["train_auc"] = asdict(measures.auc(scores, truth))
        report["train_calibrated"] = _judged(test, _threshold(train))
        report["train_calibrated_youden"] = _judged(test, measures.youden(scores, truth))
    return report


def _threshold(rows: list[Scored]) -> float:
    return measures.threshold_for(*_arrays(rows), WANTED_SENSITIVITY)


def _judged(rows: list[Scored], threshold: float) -> dict[str, object]:
    scores, truth = _arrays(rows)
    return {
        "threshold": threshold,
        "images": len(rows),
        "patients": len({row.patient for row in rows}),
        "auc": asdict(measures.auc(scores, truth)),
        "accuracy": asdict(measures.accuracy(scores, truth, threshold)),
        "sensitivity": asdict(measures.sensitivity(scores, truth, threshold)),
        "specificity": asdict(measures.specificity(scores, truth, threshold)),
    }


def _arrays(rows: list[Scored]) -> tuple[measures.Scores, measures.Truth]:
    return np.array([row.score for row in rows]), np.array([row.pneumonia for row in rows])


if __name__ == "__main__":
    sys.exit(main())
