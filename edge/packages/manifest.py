"""The manifest of a model package, `model.toml` with `schema = 1` (DESIGN 9). Data only.

Everything a decision depends on is here and is signed: status, purpose, population, applicability,
preprocessing, outputs, thresholds, limits. Nothing in edge.toml can change it. `parse` refuses unknown keys.
The package digest is the SHA-256 of the manifest's bytes, which hold the SHA-256 of every member.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

from edge.errors import PackageError
from edge.records import Scope

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$", description="lower case, digits, dashes")]
Version = Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+$", description="MAJOR.MINOR.PATCH")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
Unit01 = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Absent = Literal["accept", "refuse"]


class _Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Closed and frozen: an unknown key is an error."""


class CodeEntry(_Frozen, frozen=True, kw_only=True):
    """A coded concept, e.g. {value = "233604007", scheme = "SCT", meaning = "Pneumonia"}."""

    value: ShortText
    scheme: ShortText
    meaning: ShortText


class Algorithm(_Frozen, frozen=True, kw_only=True):
    """Algorithm identification, TID 4019 of PS3.16."""

    name: ShortText
    version: ShortText
    manufacturer: ShortText
    family: CodeEntry = CodeEntry(value="123110", scheme="DCM", meaning="Artificial Intelligence")


class Rule(_Frozen, frozen=True, kw_only=True):
    """One applicability rule for one DICOM keyword (or measured statistic).

    Either `any_of` (compared stripped and in upper case) or a range `min`..`max` (inclusive; ages in years).
    `absent` says what a missing or empty attribute means.
    """

    absent: Absent
    any_of: tuple[ShortText, ...] = ()
    none_of: tuple[ShortText, ...] = ()
    min: float | None = None
    max: float | None = None


class Resize(_Frozen, frozen=True, kw_only=True):
    """How the frame becomes the tensor's size. Nothing is implied: it flips up to 45 % of decisions."""

    mode: Literal["squash", "letterbox", "centre-crop"]
    filter: Literal["area", "triangle", "linear"]


class Window(_Frozen, frozen=True, kw_only=True):
    """Which stored values become 0..1.

    `voi`: the image's own VOI LUT or window, else the full range; `full-range`: all of BitsStored;
    `fixed`: `center` and `width` in modality units (HU for CT); `percentile`: `low`..`high` percent of the frame.
    """

    kind: Literal["voi", "full-range", "fixed", "percentile"]
    center: float | None = None
    width: Annotated[float, msgspec.Meta(gt=0)] | None = None
    low: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    high: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class Preprocess(_Frozen, frozen=True, kw_only=True):
    """Pixels to tensor, in this order: window, polarity, resize, channels, (value * scale - mean) / std."""

    polarity: Literal["as-displayed", "as-stored"]
    window: Window
    resize: Resize
    channels: Literal["one", "repeat"]
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, msgspec.Meta(gt=0)], ...] = (1.0,)
    pad_value: float = 0.0


class Input(_Frozen, frozen=True, kw_only=True):
    """One input tensor. `shape` has the batch axis first and is fixed."""

    tensor: ShortText
    shape: tuple[Positive, ...]
    dtype: Literal["float32"]
    layout: Literal["NCHW", "NHWC"]
    preprocess: Preprocess


class FindingClass(_Frozen, frozen=True, kw_only=True):
    """One class of a classifier: where its score is, its code, and what the score may be called."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    name: Name
    code: CodeEntry
    threshold: Unit01
    calibrated: bool
    rule_out: bool
    urgent: bool


class Output(_Frozen, frozen=True, kw_only=True):
    """One output tensor and how its numbers become findings."""

    tensor: ShortText
    activation: Literal["none", "sigmoid", "softmax"]
    classes: tuple[FindingClass, ...]


class Limits(_Frozen, frozen=True, kw_only=True):
    """What one run may cost before it is ended."""

    memory_mib: Positive
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Runtime(_Frozen, frozen=True, kw_only=True):
    """Which ONNX opset the graph needs and which backends the vendor approved."""

    opset: Annotated[int, msgspec.Meta(ge=7, le=64)]
    backends: tuple[Literal["cpu", "cuda", "tensorrt"], ...]


class SelftestCase(_Frozen, frozen=True, kw_only=True):
    """A synthetic input tensor (`.npy` member, float32) and the outputs it must give."""

    input: str
    expected: tuple[float, ...]


class Selftest(_Frozen, frozen=True, kw_only=True):
    """Golden answers, within `tolerance` (absolute) on this very box."""

    tolerance: Annotated[float, msgspec.Meta(gt=0, le=0.1)]
    cases: tuple[SelftestCase, ...]


class Member(_Frozen, frozen=True, kw_only=True):
    """A file of the package."""

    sha256: Digest
    size: Annotated[int, msgspec.Meta(ge=0, le=4 << 30)]


class Manifest(_Frozen, frozen=True, kw_only=True):
    """`model.toml`."""

    schema: Literal[1]
    name: Name
    version: Version
    vendor: ShortText
    licence: ShortText
    status: Literal["demonstration", "investigational", "cleared"]
    purpose: Text
    population: Text
    task: Literal["classify", "detect", "segment", "measure"]
    scope: Scope
    algorithm: Algorithm
    applicability: dict[str, Rule]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    limits: Limits
    runtime: Runtime
    selftest: Selftest
    members: dict[str, Member]


def parse(text: bytes) -> Manifest:
    """The manifest in `text`.

    Raises
    ------
    PackageError
        If it is no TOML, has an unknown or missing key, or a value out of range; the message names the key.
    """
    try:
        manifest = msgspec.toml.decode(text, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise PackageError(
            f"the manifest is not valid: {error}",
            which="model.toml",
            hint="correct the key named; `edge models check` lists all rules",
        ) from None
    _check_consistency(manifest)
    return manifest


def digest(text: bytes) -> str:
    """The package digest: SHA-256 of the manifest's bytes, in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def _check_consistency(manifest: Manifest) -> None:
    problems = [*_rule_problems(manifest), *_tensor_problems(manifest)]
    if problems:
        raise PackageError("; ".join(problems), which="model.toml", hint="correct the manifest and its signature")


def _rule_problems(manifest: Manifest) -> list[str]:
    problems = []
    for keyword, rule in manifest.applicability.items():
        ranged = rule.min is not None or rule.max is not None
        if ranged == bool(rule.any_of or rule.none_of):
            problems.append(f"applicability.{keyword} needs either any_of/none_of or min/max")
    return problems


def _tensor_problems(manifest: Manifest) -> list[str]:
    problems = []
    for item in manifest.inputs:
        if len(item.shape) != 4 or item.shape[0] != 1:
            problems.append(f"inputs.{item.tensor}.shape must be four numbers, the batch of 1 first")
            continue
        channels = item.shape[1] if item.layout == "NCHW" else item.shape[3]
        if item.preprocess.channels == "one" and channels != 1:
            problems.append(f'inputs.{item.tensor}: channels = "one" needs one channel in shape')
        for key in ("mean", "std"):
            if len(getattr(item.preprocess, key)) not in (1, channels):
                problems.append(f"inputs.{item.tensor}.preprocess.{key} needs 1 or {channels} values")
        window = item.preprocess.window
        if window.kind == "fixed" and (window.center is None or window.width is None):
            problems.append(f'inputs.{item.tensor}: window kind "fixed" needs center and width')
        if window.kind == "percentile" and not (
            window.low is not None and window.high is not None and window.low < window.high
        ):
            problems.append(f'inputs.{item.tensor}: window kind "percentile" needs low < high')
    if not manifest.inputs or not manifest.outputs:
        problems.append("a package needs at least one input and one output")
    return problems
