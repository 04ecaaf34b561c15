# ruff: noqa: E501 - a table row of Markdown is one line
"""The model card of cxr-pneumonia-native, filled with what was measured and nothing else."""

from __future__ import annotations

from typing import Any

import cxr_pneumonia_card
import measures
import numpy as np

Facts = dict[str, dict[str, Any]]

_MODES = {
    "squash": "squashed, as the manifest says",
    "letterbox": "letterboxed",
    "centre-crop": "cropped to the middle",
}


def text(facts: Facts, threshold: float) -> str:
    """The whole card, in Markdown."""
    parts = [_HEAD, _SOURCE.format(**_train_figures(facts["train"])), _threshold(facts["train"], threshold)]
    parts += [_measured(name, facts[name]) for name in ("product", "direct") if "shipped" in facts.get(name, {})]
    if "robustness" in facts:
        parts += [_proportions(facts["robustness"]["proportions"]), _planted(facts["robustness"]["planted"])]
    parts += [_MAP, cxr_pneumonia_card._APPLICABILITY, _LIMITS, _LEDGER]
    return "\n".join(part.strip() + "\n" for part in parts)


def _train_figures(train: dict[str, Any]) -> dict[str, object]:
    scores, truth = np.array(train["scores"]), np.array(train["truth"], bool)
    return {
        "parameters": f"{train['parameters']:,}",
        "trained_on": f"{train['trained_on']:,}",
        "validated_on": len(truth),
        "auc": str(measures.auc(scores, truth)),
        "epochs": train["epochs"],
        "seed": train["seed"],
    }


def _threshold(train: dict[str, Any], threshold: float) -> str:
    scores, truth = np.array(train["scores"]), np.array(train["truth"], bool)
    return (
        f"## Threshold\nShipped: **{threshold:.4f}**, the highest that finds at least 90 % of the pneumonia images of the"
        f" validation patients (there: sensitivity {measures.sensitivity(scores, truth, threshold)}, specificity"
        f" {measures.specificity(scores, truth, threshold)}). No test image had a part in it; the rule was fixed before"
        " any was looked at."
    )


def _measured(name: str, report: dict[str, Any]) -> str:
    shipped = report["shipped"]
    lines = [
        f"## Measured {cxr_pneumonia_card._WAYS[name]}",
        f"{report['images']} images of {report['patients']} patients of the *original test split*, none of whose person"
        " numbers the network has seen. 95 % intervals (AUC: DeLong; shares: Wilson).",
        "",
        "| threshold | AUC | accuracy | sensitivity | specificity |",
        "|---|---|---|---|---|",
    ]
    for row in (shipped, report["at_one_half"]):
        figures = " | ".join(_show(row[key]) for key in ("auc", "accuracy", "sensitivity", "specificity"))
        lines.append(f"| {row['threshold']:.4f}{' (shipped)' if row is shipped else ''} | {figures} |")
    lines.append(
        "\nThe intervals overlap with those of `cxr-pneumonia` on the same images: that one of them is better is not shown."
    )
    return "\n".join(lines)


def _proportions(report: dict[str, Any]) -> str:
    lines = [
        "## Proportions",
        f"{report['images']} images of validation patients with their true proportions, each brought to 144 x 144 in three"
        " ways. A network that knew only squashed pictures changed 45 % of its decisions when letterboxed, and was no"
        " better than a coin.",
        "",
        "| picture | AUC | accuracy | decisions changed |",
        "|---|---|---|---|",
    ]
    for mode, words in _MODES.items():
        row = report["modes"][mode]
        lines.append(f"| {words} | {_show(row['auc'])} | {_show(row['accuracy'])} | {_show(row['changed'])} |")
    return "\n".join(lines)


def _planted(report: dict[str, Any]) -> str:
    return (
        "## Planted opacities\nA round soft opacity (radius 11 % of the frame) was drawn at four places into each of"
        f" {report['images']} healthy images of validation patients. The map's highest place lies inside it:"
        f" {_show(report['peak_inside'])}; the outline holds its centre: {_show(report['outline_holds_centre'])}; called"
        f" pneumonia: {_show(report['called_present'])}. Drawn otherwise than in training, but the network was taught on"
        " planted opacities: this shows that the map points, not that it finds every disease."
    )


def _show(estimate: dict[str, Any]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


_HEAD = """
# cxr-pneumonia-native 1.0.0

**Demonstration only. Not a medical device, not validated, not for clinical use.** It shows the way of an image
through the box with a network of our own, and where that network looked.

- **Looks for:** pneumonia (SNOMED CT 233604007) on one frontal chest X-ray; one score, and an attention outline where
  it calls pneumonia present.
- **Meant for:** children's frontal chest X-rays. Trained and tested on children of 1 to 5 years, one hospital
  (Guangzhou), antero-posterior.
- **The score is not a probability** (uncalibrated sigmoid), and a score below the threshold rules nothing out.
- **The outline is where the score came from**, not where a disease ends. It is never measured in millimetres. Disease
  in several places gets at most three outlines, the strongest first.
"""

_SOURCE = """
## Where it comes from
Trained for this project (`models/recipes/cxr_pneumonia_native_train.py`, {epochs} epochs on one processor core, seed
{seed}, the average of the last weights, no epoch chosen by its result). {parameters} parameters: four convolutions and
three residual ones on a grid of 18 x 18, global average pooling, one linear layer, sigmoid; input 144 x 144 x 1.

Images: Kermany, Zhang, Goldbaum (2018), "Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
Classification", Mendeley Data V2, doi:10.17632/rscbjbr9sj.2, CC BY 4.0 (attribution.txt says what was changed).
{trained_on} pictures of the original *train* split, of patients whose person number the test split does not have;
{validated_on} pictures of 12 % of these patients were kept for validation (AUC there {auc}: they resemble the training
images more than any other hospital's would; do not quote it). No image of it is in this package.

In training the pictures were stretched, turned, cropped and framed in black, their contrast changed; letters and
bars that mean nothing were drawn on most; soft opacities were planted into a quarter of the healthy ones, which then
counted as ill, with a second term that asks the map to peak there.

## Preprocessing
The whole frame squashed to 144 x 144 by exact averaging (`area`), white as displayed is 1. The graph itself brings
each picture to zero mean and unit spread, so that the window matters less.
"""

_MAP = """
## The map
Global average pooling before one linear layer makes the class-activation map exact: its mean plus the bias is the
logit. The box appends it to the graph when it loads the package (`cam = "auto"`); the scores stay bit for bit, and a
run takes about 2 % longer. It is exact about the network, and the network is not always right about the disease: of
12 pneumonia images of validation patients that we (no radiologists) looked at, 10 were called present; on about
half of them the outline lies on the blurred shadow of the heart, on one beside the lungs, at a shoulder. Nobody has
marked where the disease is in these images, so how often the outline is right is not known.
"""

_LIMITS = """
## Known limits
- One hospital, one age group, images already chosen for quality. Other hospitals were not measured.
- The copies of the test images that were measured are 224 x 224 (squashed by their publisher), not full size.
- 308 of the 624 original test images; the intervals above are those of this number.
- It learned from whole pictures with letters, tubes and borders on them, and may use these.
- Children below 1 and above 5 years, adults and lateral views were never shown to it.
- An X-ray without any lung in it still gets a score, and so does a drawing: the phantom of `edge demo` is called ill.
"""

_LEDGER = """
## Every look at the test split
1. `evaluate.py --scorer direct`, once, with the network and threshold that are shipped. It is the first network that
   was trained; none was chosen by a test figure.
2. `evaluate.py --scorer product`, the same images through the box.

The recipe (its size, its augmentation) was written by people who knew the published figures of other networks on
these images.
"""
