"""A classifier's numbers to findings: activation, classes, thresholds, all of them the signed manifest's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from edge.infer.protocol import Tensor
from edge.infer.refusal import Refusal
from edge.packages.manifest import FindingClass, Manifest, Output
from edge.records import Code, Finding

_ROUNDING = 1e-6

Numbers = npt.NDArray[np.float64]


def findings(manifest: Manifest, outputs: Mapping[str, Tensor]) -> tuple[Finding, ...]:
    """One finding for each class of each output, in the manifest's order.

    Raises
    ------
    Refusal
        `bad-output`: an output is missing, too short, not finite, or not within 0..1 after its activation.
    """
    return tuple(finding for output in manifest.outputs for finding in _of_output(output, outputs))


def _of_output(output: Output, outputs: Mapping[str, Tensor]) -> Iterator[Finding]:
    tensor = outputs.get(output.tensor)
    if tensor is None or len(tensor.data) != 4 * math.prod(tensor.shape):
        raise Refusal("bad-output", "an output is missing")
    scores = _activated(np.frombuffer(tensor.data, "<f4").astype(np.float64), output.activation)
    for entry in output.classes:
        if entry.index >= len(scores):
            raise Refusal("bad-output", "an output is shorter than the manifest says")
        yield _finding(entry, float(scores[entry.index]))


def _activated(numbers: Numbers, activation: str) -> Numbers:
    if not np.isfinite(numbers).all():
        raise Refusal("bad-output", "an output is not a number")
    if activation == "sigmoid":
        return 1.0 / (1.0 + np.exp(-np.clip(numbers, -700.0, 700.0)))
    if activation == "softmax":
        powers = np.exp(numbers - numbers.max(initial=0.0))
        return np.asarray(powers / powers.sum())
    return numbers


def _finding(entry: FindingClass, score: float) -> Finding:
    if not -_ROUNDING <= score <= 1.0 + _ROUNDING:
        raise Refusal("bad-output", "a score is outside 0..1")
    score = min(1.0, max(0.0, score))
    return Finding(
        code=Code(entry.code.value, entry.code.scheme, entry.code.meaning),
        present=score >= entry.threshold,
        score=score,
        threshold=entry.threshold,
        calibrated=entry.calibrated,
        rule_out=entry.rule_out,
        urgent=entry.urgent,
    )
