"""What the types of a manifest cannot say: values that contradict each other. Problems in words, each with its key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from edge.packages.tasks import Output, Table, Volume

if TYPE_CHECKING:
    from edge.packages.manifest import Input, Manifest, Preprocess, Rule

REQUIRED_MEMBERS = ("model.onnx", "MODEL_CARD.md", "LICENSE")

_LISTS = {"classify": "classes", "detect": "classes", "segment": "segments", "measure": "quantities"}


def problems(manifest: Manifest) -> list[str]:
    """Everything that is wrong with `manifest`; an empty list says nothing is."""
    return [
        *_number_problems(msgspec.to_builtins(manifest), "manifest"),
        *_rule_problems("applicability", manifest.applicability),
        *_unit_problems(manifest),
        *(problem for item in manifest.inputs for problem in _input_problems(item)),
        *_alignment_problems(manifest),
        *(problem for item in manifest.volumes for problem in _volume_problems(item)),
        *(problem for item in manifest.tables for problem in _table_problems(item)),
        *(problem for item in manifest.outputs for problem in _output_problems(manifest, item)),
        *_member_problems(manifest),
    ]


def _number_problems(value: object, where: str) -> Iterator[str]:
    """TOML has nan and inf, and every comparison with nan is quietly false: none may reach a decision."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield f"{where} must be a finite number"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _number_problems(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            yield from _number_problems(item, f"{where}[{n}]")


def _rule_problems(where: str, rules: Mapping[str, Rule]) -> Iterator[str]:
    for keyword, rule in rules.items():
        ranged = rule.min is not None or rule.max is not None
        if ranged == bool(rule.any_of or rule.none_of):
            yield f"{where}.{keyword} needs either any_of/none_of or min/max"
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            yield f"{where}.{keyword} has min above max"


def _unit_problems(manifest: Manifest) -> Iterator[str]:
    """How inputs may stand together."""
    if not (manifest.inputs or manifest.volumes) or not manifest.outputs:
        yield "a package needs at least one input of pixels and one output"
    if len(manifest.input_shapes()) < len(manifest.inputs) + len(manifest.volumes) + len(manifest.tables):
        yield "inputs: two have the same tensor"
    if len(manifest.volumes) > 1 or (manifest.volumes and manifest.inputs):
        yield "volumes: a package has one volume, or inputs of frames"
    if any(item.frames == "each" for item in manifest.inputs) and len(manifest.inputs) > 1:
        yield 'inputs: frames = "each" stands alone'
    if len(manifest.inputs) > 1 and not all(item.select for item in manifest.inputs):
        yield "inputs: several need a select each, which says whose pixels they are"
    if manifest.volumes and "Polarity" in manifest.applicability:
        yield "applicability.Polarity is about inputs of frames, not volumes"
    if manifest.volumes and manifest.volumes[0].fit == "tile" and manifest.task != "segment":
        yield 'volumes: fit = "tile" is for segmentations, whose tiles can be put together'


def _input_problems(item: Input) -> Iterator[str]:
    where = f"inputs.{item.tensor}"
    yield from _rule_problems(f"{where}.select", item.select)
    if len(item.shape) != 4 or (item.shape[0] != 1 and item.frames == "one"):
        yield f"{where}.shape must be four numbers, the batch of 1 first"
        return
    channels = item.shape[1] if item.layout == "NCHW" else item.shape[3]
    if item.preprocess.channels == "one" and channels != 1:
        yield f'{where}: channels = "one" needs one channel in shape'
    for key in ("mean", "std"):
        if len(getattr(item.preprocess, key)) not in (1, channels):
            yield f"{where}.preprocess.{key} needs 1 or {channels} values"
    window = item.preprocess.window
    if window.kind == "fixed" and (window.center is None or window.width is None):
        yield f'{where}: window kind "fixed" needs center and width'
    if window.kind == "percentile" and not (
        window.low is not None and window.high is not None and window.low < window.high
    ):
        yield f'{where}: window kind "percentile" needs low < high'
    yield from _step_problems(f"{where}.preprocess", item.preprocess)


def _alignment_problems(manifest: Manifest) -> Iterator[str]:
    if manifest.task != "classify" and not all(item.preprocess.align.is_off for item in manifest.inputs):
        yield f'inputs: preprocess.align is for task "classify", not "{manifest.task}"'


def _step_problems(where: str, steps: Preprocess) -> Iterator[str]:
    across = {"L": 0, "R": 0, "A": 1, "P": 1, "F": 2, "H": 2}
    if across[steps.align.view[0]] == across[steps.align.view[1]]:
        yield f"{where}.align.view needs two directions at right angles"
    if steps.denoise.method != "none" and steps.denoise.size % 2 == 0:
        yield f"{where}.denoise.size must be odd"
    if steps.denoise.method == "median" and steps.denoise.size > 5:
        yield f"{where}.denoise.size is 3 or 5 for a median"


def _volume_problems(item: Volume) -> Iterator[str]:
    where = f"volumes.{item.tensor}"
    if len(item.shape) != 5 or item.shape[0] != 1 or item.shape[1 if item.layout == "NCDHW" else 4] != 1:
        yield f"{where}.shape must be five numbers, with a batch of 1 and 1 channel"
    if len(item.spacing) != (0 if item.fit == "squash" else 3):
        yield f'{where}.spacing needs three lengths in mm, or none with fit = "squash"'
    if not item.low < item.high:
        yield f"{where} needs low < high"


def _table_problems(item: Table) -> Iterator[str]:
    for column in item.columns:
        where = f"tables.{item.tensor}.{column.keyword}"
        if column.codes and (column.min is not None or column.max is not None):
            yield f"{where} needs either codes or min/max"
        if column.other is not None and not column.codes:
            yield f"{where}: other is for texts that are not among codes"


def _output_problems(manifest: Manifest, output: Output) -> Iterator[str]:
    where = f"outputs.{output.tensor}"
    wanted = _LISTS[manifest.task]
    for key in ("classes", "segments", "quantities"):
        entries = getattr(output, key)
        for what in ("index", "name"):
            found = [getattr(entry, what) for entry in entries]
            if len(set(found)) != len(found):
                yield f"{where}.{key}: two have the same {what}"
        if bool(entries) != (key == wanted):
            yield f'{where}: task "{manifest.task}" needs {wanted} and nothing else'
    if bool(output.boxes) != (manifest.task == "detect"):
        yield f'{where}: boxes go with task "detect"'
    if manifest.task == "detect" and (len(manifest.outputs) > 1 or manifest.volumes or len(manifest.inputs) > 1):
        yield "a detector has one output and one input of pixels"
    if manifest.task == "measure" and output.activation != "none":
        yield f"{where}: a measurement has no activation"
    if any(entry.min >= entry.max for entry in output.quantities):
        yield f"{where}.quantities: min must be below max"
    yield from _map_problems(manifest, output)


def _map_problems(manifest: Manifest, output: Output) -> Iterator[str]:
    where = f"outputs.{output.tensor}"
    if not output.has_map:
        return
    if manifest.task != "classify" or len(manifest.inputs) != 1 or manifest.tables or manifest.volumes:
        yield f"{where}: heat and cam need a classifier with one input"
    elif manifest.inputs[0].shape[0] != 1:
        yield f"{where}: heat and cam need a batch of 1"
    if output.heat is not None and output.cam != "none":
        yield f"{where}: either heat or cam"
    if output.cam == "occlusion" and manifest.inputs[0].frames != "one":
        yield f'{where}: cam = "occlusion" needs frames = "one"'


def _member_problems(manifest: Manifest) -> Iterator[str]:
    needed = list(REQUIRED_MEMBERS)
    shapes = manifest.input_shapes()
    for case in manifest.selftest.cases:
        needed += [case.input, *case.others.values(), *([case.answer] if case.answer else [])]
        if bool(case.expected) == (case.answer is not None):
            yield f"selftest.cases: {case.input} needs either expected or answer"
        if set(case.others) != set(list(shapes)[1:]):
            yield f"selftest.cases: {case.input} needs others for every input tensor but the first"
    for name in dict.fromkeys(needed):
        if name not in manifest.members:
            yield f"members has no {name}"
