"""A classifier's numbers to findings: activation, classes, thresholds, all of them the signed manifest's.

Where the manifest asks for class-activation maps, a present finding gets the outline of the map's peak.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer import attention
from edge.infer.header import values
from edge.infer.preprocess import placement
from edge.infer.protocol import Tensor
from edge.infer.refusal import Refusal
from edge.packages.manifest import Manifest
from edge.packages.tasks import FindingClass, Output
from edge.records import UID, Code, Finding, Region
from kernels import Placement

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


def with_regions(
    manifest: Manifest,
    found: tuple[Finding, ...],
    maps: Mapping[str, Tensor],
    dataset: Dataset,
    alignments: Sequence[Sequence[float]] = (),
) -> tuple[Finding, ...]:
    """`found`, as `findings` gave it, with an attention region for each present finding that has a map.

    Parameters
    ----------
    dataset : Dataset
        The image's header: what the region lies on, and in whose pixels.
    alignments : sequence
        For each input, how the worker aligned the frame; needed where the manifest asks for it.

    Raises
    ------
    Refusal
        `bad-output`: a map is missing, has another shape than the manifest's classes need, or is not finite.
    """
    if all(output.cam == "none" for output in manifest.outputs):
        return found
    source = UID(next(iter(values(dataset, "SOPInstanceUID")), ""))
    laid = placement(dataset, manifest.inputs[0], next(iter(alignments), ()))
    heats = [heat for output in manifest.outputs for heat in _heats(output, maps)]
    return tuple(_with_region(each, heat, laid, source) for each, heat in zip(found, heats, strict=True))


def _heats(output: Output, maps: Mapping[str, Tensor]) -> list[Numbers | None]:
    """The map of each class of `output`, (rows, columns), or None for each where the manifest asks for none."""
    if output.cam == "none":
        return [None] * len(output.classes)
    tensor = maps.get(output.tensor)
    if tensor is None or len(tensor.shape) != 4 or tensor.shape[:2] != (1, len(output.classes)):
        raise Refusal("bad-output", "a class-activation map is missing")
    if min(tensor.shape) < 1 or len(tensor.data) != 4 * math.prod(tensor.shape):
        raise Refusal("bad-output", "a class-activation map is missing")
    heats = np.frombuffer(tensor.data, "<f4").astype(np.float64).reshape(tensor.shape)
    if not np.isfinite(heats).all():
        raise Refusal("bad-output", "a class-activation map is not a number")
    return list(heats[0])


def _with_region(finding: Finding, heat: Numbers | None, laid: Placement, source: UID) -> Finding:
    if heat is None or not finding.present:
        return finding
    points = attention.outline(heat, laid)
    return dataclasses.replace(finding, regions=(Region(source, points, attention=True),)) if points else finding


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
