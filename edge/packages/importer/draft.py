"""The draft of a manifest: what the graph and the original show, and a plain list of what only the vendor can say.

In: what was converted and what was seen. Out: the text of `model.toml`, the draft card, the list of what is
missing. Invariant: nothing is guessed. What is not known stands in the draft as a comment that names it, and the
draft is no valid manifest until every such line has become a statement of the vendor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge.packages.graph import Graph, Tensor
from edge.packages.writer import manifest_text

_BY_OPERATOR = {"Sigmoid": "sigmoid", "Softmax": "softmax"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What conversion learned. `activation` is the graph's own last operator, lower case, or empty."""

    name: str
    graph: Graph
    layout: str
    activation: str
    max_abs_difference: float
    written_by: str


def name_from(stem: str) -> str:
    """A package name from a file's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60].strip("-")
    return plain if len(plain) >= 2 else "model"


def layout_of(tensor: Tensor) -> str:
    """NHWC or NCHW from the shape, or empty where both or neither are possible."""
    if len(tensor.shape) != 4:
        return ""
    last, first = tensor.shape[3] in (1, 3), tensor.shape[1] in (1, 3)
    return {(True, False): "NHWC", (False, True): "NCHW"}.get((last, first), "")


def activation_of(graph: Graph) -> str:
    """What makes the first output, as a word."""
    maker = graph.last_operators[0] if graph.last_operators else ""
    return _BY_OPERATOR.get(maker, "")


def missing(seen: Seen) -> list[str]:
    """What the vendor must still say, one sentence each; the first word is the manifest's key."""
    parts = [
        "vendor: who answers for the package",
        "licence: under which terms it is given, with the text as the member LICENSE",
        "status: demonstration, investigational or cleared",
        "purpose: what it is for, in one sentence",
        "population: on whom it was trained and tested",
        "scope: image, series or study",
        "algorithm: name, version, manufacturer, as reports shall name it",
        "applicability: which images it may see (modality, body part, view, age...), and what a missing value means",
        "preprocess.polarity: as-displayed or as-stored",
        "preprocess.window: which pixel values become 0..1",
        "preprocess.resize: mode and filter, as it was trained (a wrong one changes up to 45 % of decisions)",
        "preprocess.scale, mean, std: what the network expects (0..1, 0..255, normalised)",
    ]
    if not seen.layout:
        parts.append("inputs.layout: NCHW or NHWC; the shape allows both")
    for output in seen.graph.outputs:
        width = output.shape[-1] if output.shape else 1
        parts.append(
            f"outputs.classes: for each of the {width} scores of {output.name} a name, a DICOM code, a threshold"
            " measured on patients the network has not seen, calibrated, rule_out, urgent"
        )
        if not seen.activation:
            parts.append(f"outputs.activation: what turns {output.name} into scores (none, sigmoid, softmax)")
    return [*parts, "MODEL_CARD.md: what was measured, on whom, by whom", "limits: memory_mib and seconds for one run"]


def manifest(seen: Seen, members: Mapping[str, object], cases: list[dict[str, object]]) -> str:
    """The draft's text. The parts that are missing are comments."""
    source = seen.graph.inputs[0]
    known: dict[str, object] = {
        "schema": 1,
        "name": seen.name,
        "version": "0.1.0",
        "task": "classify",
        "runtime": {"opset": seen.graph.opset, "backends": ["cpu"]},
        "inputs": [
            {
                "tensor": source.name,
                "shape": [size or 0 for size in source.shape],
                "dtype": source.dtype,
                **({"layout": seen.layout} if seen.layout else {}),
            }
        ],
        "outputs": [
            # A graph that ends in a sigmoid or a softmax gives scores already: nothing more is applied.
            {"tensor": output.name, **({"activation": "none"} if seen.activation else {})}
            for output in seen.graph.outputs
        ],
        "selftest": {"tolerance": 1e-4, "cases": cases},
        "members": members,
    }
    return manifest_text(known, _comment(seen))


def _comment(seen: Seen) -> str:
    lines = [
        "A draft by `edge models import`: not valid until everything below is stated.",
        f"Written by {seen.written_by}. Largest difference to the original: {seen.max_abs_difference:.3g}.",
        "",
        "MISSING",
        *(f"  {sentence}" for sentence in missing(seen)),
        "",
        "After changing a member: edge models check --update-members FOLDER",
    ]
    return "\n".join(lines) + "\n"


def card(seen: Seen) -> str:
    """The draft's model card: headings with what is to be written under them."""
    headings = ("Looks for", "Meant for", "Where it comes from", "Preprocessing", "Measured", "Known limits")
    parts = [f"# {seen.name} 0.1.0", "", "**Draft. Not for clinical use.**"]
    for heading in headings:
        parts += ["", f"## {heading}", "MISSING"]
    parts += ["", "## Conversion", f"Largest difference to the original: {seen.max_abs_difference:.3g}."]
    return "\n".join(parts) + "\n"
