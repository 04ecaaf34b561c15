"""What flows between the stages. Frozen; every field is a UID, a code, a number or a configured alias.

Nothing here can hold a patient's name: text fields are checked against the same patterns that the journal's
CHECK constraints use, so a record that exists can be written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from edge.errors import BadObject

UID = NewType("UID", str)
"""A DICOM unique identifier (PS3.5 section 9): digits and dots, at most 64 characters."""

_UID = re.compile(r"[0-9][0-9.]{0,63}")
_CODE = re.compile(r"[A-Za-z0-9_.:+/-]{0,64}")


def parse_uid(text: str, what: str = "UID") -> UID:
    """`text` without DICOM padding as a UID.

    Raises
    ------
    BadObject
        If it is empty, longer than 64 characters or has anything but digits and dots. Leading zeros in a
        component are let through: many devices write them and the value must be kept as it came.
    """
    stripped = text.rstrip("\0 ")
    if not _UID.fullmatch(stripped) or ".." in stripped:
        raise BadObject(f"{what} is not a DICOM UID", hint="correct the sending device's UID root")
    return UID(stripped)


def as_code(text: str) -> str:
    """`text` if it is a plain code of at most 64 characters, else an empty string."""
    return text if _CODE.fullmatch(text) else ""


class Scope(StrEnum):
    """What one job looks at."""

    IMAGE = "image"
    SERIES = "series"
    STUDY = "study"


class InstanceState(StrEnum):
    """STORED is safe on disk; the infer room then routes it."""

    STORED = "STORED"
    ROUTED = "ROUTED"
    UNROUTED = "UNROUTED"
    QUARANTINED = "QUARANTINED"
    ERASED = "ERASED"


class UnitState(StrEnum):
    OPEN = "OPEN"
    READY = "READY"


class JobState(StrEnum):
    READY = "READY"
    RUNNING = "RUNNING"
    DONE = "DONE"
    QUARANTINED = "QUARANTINED"
    DISCARDED = "DISCARDED"


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    SENT = "SENT"
    HELD = "HELD"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"
    DISCARDED = "DISCARDED"


class Outcome(StrEnum):
    """How a job ended; `send` in a route names these."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    NOT_ATTEMPTED = "not-attempted"


class Priority(StrEnum):
    STAT = "stat"
    ROUTINE = "routine"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored SOP Instance, as the journal and the sealed file's own record know it.

    `object_id` is the sealed file's name (32 hexadecimal digits), `tag` the keyed digest of the data set bytes,
    `slot` the position of its study key, `association` the association that brought it.
    """

    object_id: str
    sop_instance_uid: UID
    sop_class_uid: UID
    study_instance_uid: UID
    series_instance_uid: UID
    transfer_syntax_uid: UID
    modality: str
    peer: str
    association: str
    tag: str
    size: int
    slot: int
    received_at: float


@dataclass(frozen=True, slots=True)
class Unit:
    """What one job looks at: an image, a series or a study, for one package."""

    id: int
    scope: Scope
    uid: UID
    study_instance_uid: UID
    route: str
    package: str
    revision: int
    state: UnitState
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """One package's look at one revision of one unit."""

    id: int
    unit: int
    scope: Scope
    uid: UID
    study_instance_uid: UID
    revision: int
    route: str
    package: str
    state: JobState
    reason: str
    outcome: str
    attempts: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class Display:
    """How a grayscale image asks to be shown (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2), where numbers say it.

    `window` is (center, width) in units of the rescale; None shows all that the stored bits can hold. `inverted`
    means that the lowest value is white. `pixel_aspect_ratio` is the height of a pixel divided by its width.
    """

    inverted: bool
    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None
    function: str = "LINEAR"
    pixel_aspect_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a slice lies in its patient (PS3.3 C.7.6.2), in mm; `spacing` is (rows, columns)."""

    frame_of_reference_uid: UID
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    spacing: tuple[float, float]
    thickness: float


@dataclass(frozen=True, slots=True)
class Source:
    """A referenced image: what a report may say about it. UIDs and geometry, nothing else.

    `display` is None where numbers cannot say it (tables, colour), `plane` where the image has none.
    """

    sop_class_uid: UID
    sop_instance_uid: UID
    series_instance_uid: UID
    study_instance_uid: UID
    modality: str
    rows: int
    columns: int
    patient_orientation: tuple[str, str] | None = None
    display: Display | None = None
    plane: Plane | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A closed polygon in *stored* pixel coordinates of one source image (PS3.3 C.18.6.1.2).

    `points` are (column, row) pairs; the top left corner of the first pixel is 0\\0 and the bottom right corner
    of the last is Columns\\Rows. `attention` marks the outline of a heat map: never measured in millimetres.
    `frame` is the number, from 1, of the frame of a multi-frame source; None where the source is one frame.
    """

    source: UID
    points: tuple[tuple[float, float], ...]
    attention: bool = False
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One class of one model: `score` in 0..1 as the model gave it, `threshold` from the signed manifest.

    `regions`: where it is (a detection), or up to three places that the model's attention was on.
    """

    code: Code
    present: bool
    score: float
    threshold: float
    calibrated: bool
    rule_out: bool
    urgent: bool
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit (UCUM). `finding` says of what, where the manifest does; `regions` where."""

    code: Code
    value: float
    unit: Code
    regions: tuple[Region, ...] = ()
    finding: Code | None = None


@dataclass(frozen=True, slots=True)
class Mask:
    """The pixels of one source image, or of one of its frames (from 1), that belong to a segment.

    `bits`: one for each stored pixel of the source, row by row without padding between rows, the first pixel in
    the lowest bit of the first byte, as PS3.5 8.1.1 has it for BINARY segmentations.
    """

    source: UID
    frame: int | None
    rows: int
    columns: int
    bits: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """What one class of a segmentation marked: `category` and `type` as PS3.3 C.8.20.2 names them."""

    code: Code
    category: Code
    type: Code
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class PackageIdentity:
    """The package that made a result, as every report names it.

    `waiver`: the code of why it was activated without acceptance on the site's own studies; empty where it was not.
    """

    name: str
    version: str
    digest: str
    vendor: str
    family: Code
    status: str
    purpose: str
    population: str
    waiver: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All that a report may be built from. No received data set is among it."""

    report_uid: UID
    series_uid: UID
    study_instance_uid: UID
    sources: tuple[Source, ...]
    outcome: Outcome
    reason: str
    findings: tuple[Finding, ...]
    package: PackageIdentity
    provider: str
    revision: int
    predecessor: UID | None
    device_uid: UID
    series_number: int = 9001
    measurements: tuple[Measurement, ...] = ()
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result on its way to one destination."""

    id: int
    job: int
    sop_instance_uid: UID
    sop_class_uid: UID
    destination: str
    state: DeliveryState
    reason: str
    attempts: int
    not_before: float
    priority: Priority
    sha256: str
    signature: str
