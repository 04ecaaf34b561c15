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
from edge.packages.consistency import problems
from edge.packages.fields import (
    Absent,
    Closed,
    CodeEntry,
    Digest,
    Keyword,
    MemberName,
    Name,
    Positive,
    ShortText,
    Text,
    Version,
)
from edge.packages.steps import Align, Contrast, Denoise
from edge.packages.tasks import Output, Table, Volume
from edge.records import Scope


class Algorithm(Closed, frozen=True, kw_only=True):
    """Algorithm identification, TID 4019 of PS3.16."""

    name: ShortText
    version: ShortText
    manufacturer: ShortText
    family: CodeEntry = CodeEntry(value="123110", scheme="DCM", meaning="Artificial Intelligence")


class Rule(Closed, frozen=True, kw_only=True):
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


class Resize(Closed, frozen=True, kw_only=True):
    """How the frame becomes the tensor's size. Nothing is implied: it flips up to 45 % of decisions."""

    mode: Literal["squash", "letterbox", "centre-crop"]
    filter: Literal["area", "triangle", "linear"]


class Window(Closed, frozen=True, kw_only=True):
    """Which stored values become 0..1.

    `voi`: the image's own VOI LUT or window, else the full range; `full-range`: all of BitsStored;
    `fixed`: `center` and `width` in modality units (HU for CT); `percentile`: `low`..`high` percent of the frame.
    """

    kind: Literal["voi", "full-range", "fixed", "percentile"]
    center: float | None = None
    width: Annotated[float, msgspec.Meta(gt=0)] | None = None
    low: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    high: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class Preprocess(Closed, frozen=True, kw_only=True):
    """Pixels to tensor: align, denoise, window, polarity, contrast, resize, channels, (value * scale - mean) / std."""

    polarity: Literal["as-displayed", "as-stored"]
    window: Window
    resize: Resize
    channels: Literal["one", "repeat"]
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, msgspec.Meta(gt=0)], ...] = (1.0,)
    pad_value: float = 0.0
    align: Align = Align()
    denoise: Denoise = Denoise()
    contrast: Contrast = Contrast()


class Input(Closed, frozen=True, kw_only=True):
    """One input tensor of pixels. `shape` has the batch axis first and is fixed.

    `frames = "one"`: exactly one frame of the unit, the one whose image meets `select`. `"each"`: the model runs on
    every frame of every image that meets it, as many at a time as the batch has places.
    """

    tensor: ShortText
    shape: tuple[Positive, ...]
    dtype: Literal["float32"]
    layout: Literal["NCHW", "NHWC"]
    preprocess: Preprocess
    frames: Literal["one", "each"] = "one"
    select: dict[Keyword, Rule] = {}


class Limits(Closed, frozen=True, kw_only=True):
    """What one run may cost before it is ended."""

    memory_mib: Positive
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Runtime(Closed, frozen=True, kw_only=True):
    """Which ONNX opset the graph needs and which backends the vendor approved."""

    opset: Annotated[int, msgspec.Meta(ge=7, le=64)]
    backends: tuple[Literal["cpu", "cuda", "tensorrt"], ...]


class SelftestCase(Closed, frozen=True, kw_only=True):
    """A synthetic input tensor (`.npy` member, float32) and the outputs it must give.

    `input` is the first input tensor, `others` the further ones by name. Many numbers fit better in `answer`, a
    `.npy` member, than in `expected`.
    """

    input: MemberName
    expected: tuple[float, ...] = ()
    answer: MemberName | None = None
    others: dict[ShortText, MemberName] = {}


class Selftest(Closed, frozen=True, kw_only=True):
    """Golden answers, within `tolerance` (absolute) on this very box."""

    tolerance: Annotated[float, msgspec.Meta(gt=0, le=0.1)]
    cases: Annotated[tuple[SelftestCase, ...], msgspec.Meta(min_length=1, max_length=1000)]


class Member(Closed, frozen=True, kw_only=True):
    """A file of the package."""

    sha256: Digest
    size: Annotated[int, msgspec.Meta(ge=0, le=4 << 30)]


class Manifest(Closed, frozen=True, kw_only=True):
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
    outputs: tuple[Output, ...]
    limits: Limits
    runtime: Runtime
    selftest: Selftest
    members: Annotated[dict[MemberName, Member], msgspec.Meta(max_length=1000)]
    inputs: tuple[Input, ...] = ()
    volumes: tuple[Volume, ...] = ()
    tables: tuple[Table, ...] = ()

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every input tensor of the graph with its shape, in this order: pixels, volumes, tables."""
        pixels = {each.tensor: each.shape for each in self.inputs}
        volumes = {each.tensor: each.shape for each in self.volumes}
        return {**pixels, **volumes, **{each.tensor: each.shape for each in self.tables}}

    def output_tensors(self) -> tuple[str, ...]:
        """Every output tensor of the graph that the manifest speaks of, each once."""
        return tuple(dict.fromkeys(name for output in self.outputs for name in output.tensors()))

    @property
    def takes_many(self) -> bool:
        """Whether one unit may be many frames for the model."""
        return bool(self.volumes) or any(item.frames == "each" for item in self.inputs)

    @property
    def class_axis(self) -> tuple[int, int]:
        """On which axis of an output its classes lie, and how many axes it has (0: any number)."""
        if self.task != "segment":
            return -1, 0
        layout = self.volumes[0].layout if self.volumes else self.inputs[0].layout
        return (1 if layout.startswith("NC") else -1), len(layout)

    def names_of_attributes(self) -> frozenset[str]:
        """The keywords (and statistics) that may decide whether the model looks at an image."""
        selected = (keyword for each in self.inputs for keyword in each.select)
        columns = (column.keyword for table in self.tables for column in table.columns)
        return frozenset((*self.applicability, *selected, *columns))


def parse(text: bytes) -> Manifest:
    """The manifest in `text`.

    Raises
    ------
    PackageError
        If it is no TOML, has an unknown or missing key, or a value out of range; the message names the key.
    """
    try:
        manifest = msgspec.toml.decode(text, type=Manifest)
    except RecursionError:
        raise PackageError(
            "the manifest is nested too deeply", which="model.toml", hint="correct the manifest"
        ) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise PackageError(
            f"the manifest is not valid: {error}",
            which="model.toml",
            hint="correct the key named; `edge models check` lists all rules",
        ) from None
    found = problems(manifest)
    if found:
        raise PackageError("; ".join(found), which="model.toml", hint="correct the manifest and its signature")
    return manifest


def digest(text: bytes) -> str:
    """The package digest: SHA-256 of the manifest's bytes, in hexadecimal."""
    return hashlib.sha256(text).hexdigest()
