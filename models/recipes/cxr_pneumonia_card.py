# ruff: noqa: E501 - a table row of Markdown is one line
"""The model card of cxr-pneumonia, filled with what was measured and nothing else."""

from __future__ import annotations

from typing import Any

import measures

Evaluations = dict[str, dict[str, Any]]

_WAYS = {
    "product": "through the product (image, DX object, C-STORE, box, report)",
    "direct": "with the box's own preprocessing and runtime, called directly",
}


def shipped_threshold(evaluations: Evaluations) -> float:
    """The threshold calibrated on half A; half B, which it never saw, judges it."""
    best = evaluations.get("product") or evaluations.get("direct")
    return float(best["crossed"][0]["threshold"]) if best else 0.5


def text(evaluations: Evaluations, imported: dict[str, Any], threshold: float) -> str:
    """The whole card, in Markdown."""
    parts = [_HEAD, _SOURCE, _conversion(imported)]
    parts += [_measured(name, evaluations[name]) for name in _WAYS if name in evaluations]
    parts += [_THRESHOLD.format(threshold=threshold), _APPLICABILITY, _LIMITS, _LEDGER]
    return "\n".join(part.strip() + "\n" for part in parts if part)


def _conversion(imported: dict[str, Any]) -> str:
    if not imported:
        return ""
    return (
        f"## Conversion\nKeras to ONNX (opset 17) by `edge models import`. Largest difference between the two on"
        f" {imported['images']} real test images and on random input: {imported['max_abs_difference']:.1e}."
    )


def _measured(name: str, report: dict[str, Any]) -> str:
    lines = [
        f"## Measured {_WAYS[name]}",
        f"{report['images']} images of {report['patients']} patients of the *original test split* (but see the"
        f" known limits), AUC {_show(report['auc'])}. The halves A and B share no patient (seed"
        f" {report['seed']}). Each threshold is the highest that finds at least"
        f" {report['wanted_sensitivity']:.0%} of the pneumonia images it was chosen on.",
        "",
        "| threshold from | value | judged on | images | AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["crossed"]:
        lines.append(_row(f"test half {row['calibrated_on']}", f"test half {row['judged_on']}", row))
    lines.append(_row("nothing (0.5)", "all test", report["at_one_half"]))
    if "train_calibrated" in report:
        lines.append(_row("training patients, same rule", "all test", report["train_calibrated"]))
        lines.append(_row("training patients, best Youden index", "all test", report["train_calibrated_youden"]))
        lines.append(
            f"\nThe network has seen the training patients (AUC {_show(report['train_auc'])} on them): thresholds from"
            " them are too low and call too many healthy children ill. They stand here as a warning, and are not used."
        )
    return "\n".join(lines)


def _row(source: str, judged: str, row: dict[str, Any]) -> str:
    figures = " | ".join(_show(row[key]) for key in ("auc", "sensitivity", "specificity"))
    return f"| {source} | {row['threshold']:.4f} | {judged} | {row['images']} | {figures} |"


def _show(estimate: dict[str, Any]) -> str:
    return str(measures.Estimate(**estimate))


_HEAD = """
# cxr-pneumonia 1.0.0

**Demonstration only. Not a medical device, not validated, not for clinical use.** It shows the way of an image
through the box with a real, public network.

- **Looks for:** pneumonia (SNOMED CT 233604007) on one frontal chest X-ray; one score, no region.
- **Meant for:** children's frontal chest X-rays. Trained and tested on children of 1 to 5 years, one hospital
  (Guangzhou), antero-posterior.
- **The score is not a probability** (uncalibrated sigmoid), and a score below the threshold rules nothing out.
"""

_SOURCE = """
## Where it comes from
`pneumonia_model.h5` of github.com/AM1CODES/Pneumonia-Detection-using-chest-X-Ray at a78ee93b859a, MIT licence,
(c) 2020 Aayush Mishra (see LICENSE). Keras 2.4: five 3x3 convolutions with pooling, two dense layers, sigmoid;
input 150 x 150 x 3, gray repeated, value / 255. Trained by its author on the original training split of: Kermany,
Zhang, Goldbaum (2018), "Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for Classification",
Mendeley Data V2, doi:10.17632/rscbjbr9sj.2, CC BY 4.0. No image of it is in this package.

## Preprocessing
As trained, as far as it can be known: the whole frame squashed to 150 x 150 without keeping proportions, white as
displayed is 1. The author's `flow_from_directory` took the nearest pixel, which depends on noise; the box averages
instead (`area`), the anti-aliased filter that is nearest to it: on 39 full-size images of training patients the
mean score difference to nearest-pixel is 0.016 (`triangle`: 0.022), and 1 decision of 39 changes.
"""

_THRESHOLD = """
## Threshold
Shipped: **{threshold:.4f}**, from test half A; half B is its honest judge (first row of the table). The second row
is the same with the halves exchanged, and shows how much such a figure moves from one sample to the next.
"""

_APPLICABILITY = """
## What it accepts, and why
| header | rule | missing | why |
|---|---|---|---|
| SOP Class, Modality | CR or DX image for presentation | refused | nothing else was ever shown to it |
| Body Part Examined | CHEST, THORAX, TORAX, LUNG | refused | nothing else in a header says what the picture shows |
| Patient's Age | 1 year up to the 18th birthday | refused | most chest X-rays are of adults, so an unstated age is not a child's; 000Y is what many anonymisers write. Above 5 years nothing was measured |
| View Position, View Code | AP or PA | accepted | many CR systems leave the view empty, and a frontal view is the rule in children; a view that is stated as lateral, oblique or anything else is refused |
| Image Laterality | unpaired or both | accepted | a side on a chest image tells of a lateral view |
| Patient Species, Sex Neutered | human, not stated | accepted | veterinary systems send DX and THORAX too |
| Presentation Intent | FOR PRESENTATION | accepted | raw detector images look different; CR does not have the attribute |
| Photometric Interpretation, Bits Stored, Number of Frames | gray, 8 to 16 bits, one frame | refused (frames: accepted) | |
| Rows, Columns | 224 or more | refused | the smallest images it was measured on; smaller ones are thumbnails |

A lateral view of a child whose header states no view at all passes these rules and gets a meaningless score.
"""

_LIMITS = """
## Known limits
- One hospital, one age group, images already chosen for quality. The same network scores much better on patients
  of the training split: never quote those figures.
- The copies of the test images that were measured are 224 x 224 (squashed by their publisher), not full size.
- 308 of the 624 original test images; the intervals above are those of this number.
- No patient key (person number with disease) of the test images stands in the training split, but 100 of the 209
  person numbers do, under another disease (144 of the 308 images). Whether these are the same children cannot be
  told; if they are, the figures flatter. Within the test images, one number is kept in one half.
- It learned from whole pictures with letters, tubes and borders on them, and may use these.
- Proportions matter: letterboxing instead of squashing changes 9 % of its decisions, a wrong polarity 44 %.
"""

_LEDGER = """
## Every look at the test split
1. An exploration over six seeds and three rules (best Youden index, 95 % and 90 % sensitivity), and a comparison of
   four resize filters (AUC 0.944 to 0.948; the filter was chosen on training patients). The 90 % rule was chosen
   after it; thresholds by that rule ran from 0.930 to 0.967 between seeds.
2. The figures above, by `models/recipes/evaluate.py`, with a seed that was fixed before its result was seen.
"""
