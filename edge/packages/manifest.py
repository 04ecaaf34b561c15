"""The manifest of a model package, `model.toml` with `schema = 1` (DESIGN 9). Data only.

Everything a decision depends on is here and is signed: status, purpose, population, applicability,
preprocessing, outputs, thresholds, limits. Nothing in edge.toml can change it. `parse` refuses unknown keys.
The package digest is the SHA-256 of the manifest's bytes, which hold the SHA-256 of every member.
"""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Literal

import msgspec

from edge.errors import PackageError
from edge.records import Scope

MEMBER_NAME = r"^(MODEL_CARD\.md|LICENSE|[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*){0,3})$(?!\n)"
"""What a member may be called: no hidden file, no `..`, no absolute path, nothing that a shell could misread."""

REQUIRED_MEMBERS = ("model.onnx", "MODEL_CARD.md", "LICENSE")

Name = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$(?!\n)", description="lower case, digits, dashes")
]
Version = Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+$(?!\n)", description="MAJOR.MINOR.PATCH")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Keyword = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$(?!\n)", description="a DICOM keyword")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
MemberName = Annotated[str, msgspec.Meta(pattern=MEMBER_NAME, max_length=200)]
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

    Either `any_of` / `none_of` (compared stripped and in upper case; several values joined by a backslash; a code
    sequence by the Code Values of its items) or a range `min`..`max` (inclusive; ages in years, months and days as
    fractions of a year). `absent` says what a missing or empty attribute means.
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
    """One output tensor and how its numbers become findings.

    `cam = "auto"`: the box appends the exact class-activation map of this output to the graph and outlines in the
    report where a present finding was seen. It needs a head of global average pooling and one linear layer.
    """

    tensor: ShortText
    activation: Literal["none", "sigmoid", "softmax"]
    classes: tuple[FindingClass, ...]
    cam: Literal["none", "auto"] = "none"

    @property
    def cam_tensor(self) -> str:
        """What the box calls the map that it appends: (1, classes, rows, columns), classes as listed here."""
        return f"edge.cam.{self.tensor}"


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

    input: MemberName
    expected: tuple[float, ...]


class Selftest(_Frozen, frozen=True, kw_only=True):
    """Golden answers, within `tolerance` (absolute) on this very box."""

    tolerance: Annotated[float, msgspec.Meta(gt=0, le=0.1)]
    cases: Annotated[tuple[SelftestCase, ...], msgspec.Meta(min_length=1, max_length=1000)]


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
    applicability: dict[Keyword, Rule]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    limits: Limits
    runtime: Runtime
    selftest: Selftest
    members: Annotated[dict[MemberName, Member], msgspec.Meta(max_length=1000)]


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


def check_supported(manifest: Manifest) -> None:
    """Raise PackageError for a package that is right but that no room of this version runs."""
    if manifest.scope is not Scope.IMAGE or manifest.task != "classify":
        raise PackageError(
            f'packages of scope "{manifest.scope}" and task "{manifest.task}" are not run by this version',
            which=manifest.name,
            hint='use a package of scope "image" and task "classify"',
        )


def digest(text: bytes) -> str:
    """The package digest: SHA-256 of the manifest's bytes, in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def _check_consistency(manifest: Manifest) -> None:
    problems = [
        *_number_problems(msgspec.to_builtins(manifest), "manifest"),
        *_rule_problems(manifest),
        *_tensor_problems(manifest),
        *_class_problems(manifest),
        *_member_problems(manifest),
    ]
    if problems:
        raise PackageError("; ".join(problems), which="model.toml", hint="correct the manifest and its signature")


def _number_problems(value: object, where: str) -> list[str]:
    """TOML has nan and inf, and every comparison with nan is quietly false: none may reach a decision."""
    if isinstance(value, float):
        return [] if math.isfinite(value) else [f"{where} must be a finite number"]
    if isinstance(value, dict):
        return [problem for key, item in value.items() for problem in _number_problems(item, f"{where}.{key}")]
    if isinstance(value, list | tuple):
        return [problem for n, item in enumerate(value) for problem in _number_problems(item, f"{where}[{n}]")]
    return []


def _rule_problems(manifest: Manifest) -> list[str]:
    problems = []
    for keyword, rule in manifest.applicability.items():
        ranged = rule.min is not None or rule.max is not None
        if ranged == bool(rule.any_of or rule.none_of):
            problems.append(f"applicability.{keyword} needs either any_of/none_of or min/max")
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            problems.append(f"applicability.{keyword} has min above max")
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


def _class_problems(manifest: Manifest) -> list[str]:
    problems = []
    for output in manifest.outputs:
        for what, values in (
            ("index", [entry.index for entry in output.classes]),
            ("name", [entry.name for entry in output.classes]),
        ):
            if len(set(values)) != len(values):
                problems.append(f"outputs.{output.tensor}.classes: two have the same {what}")
        if manifest.task == "classify" and not output.classes:
            problems.append(f"outputs.{output.tensor} of a classifier needs classes")
        if output.cam == "auto" and (manifest.task, len(manifest.inputs)) != ("classify", 1):
            problems.append(f'outputs.{output.tensor}: cam = "auto" needs a classifier with one input')
    return problems


def _member_problems(manifest: Manifest) -> list[str]:
    needed = [*REQUIRED_MEMBERS, *(case.input for case in manifest.selftest.cases)]
    return [f"members has no {name}" for name in dict.fromkeys(needed) if name not in manifest.members]
