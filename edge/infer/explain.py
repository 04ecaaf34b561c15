"""What the box would do with a DICOM file, and why not: `edge route test`. Nothing is stored, no model runs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from edge.errors import BadObject
from edge.infer import applicability
from edge.infer.header import IMPLICIT_VR_LITTLE_ENDIAN, read_header, values
from edge.infer.refusal import Refusal
from edge.infer.roster import Line
from edge.infer.routing import Decision, decide
from edge.part10 import split
from edge.records import UID, Instance, parse_uid

_PREAMBLE = 128
_NOT_DICOM = "give a DICOM file (Part 10, or a bare Implicit VR data set)"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One route's view of one file.

    `matches`: the route takes it; `applicable`: the package declares itself for it, so the model would run.
    `why` is empty when it would, else the first thing in the way.
    """

    route: str
    package: str
    matches: bool
    applicable: bool
    why: str


@dataclass(frozen=True, slots=True)
class FileExplanation:
    """All routes' views of one file. `reason` is why no route at all takes it, or empty."""

    file: str
    sop_instance_uid: str
    reason: str
    routes: tuple[Explanation, ...]


def explain(path: Path, lines: tuple[Line, ...], *, peer: str, today: datetime.date) -> FileExplanation:
    """What each route says to the file at `path`, as if `peer` had sent it.

    Raises
    ------
    BadObject
        If it cannot be read as DICOM.
    """
    instance, dataset = _read(path, peer)
    decision = decide(instance, dataset, lines, today)
    views = tuple(_view(line, dataset, decision, today) for line in lines)
    return FileExplanation(path.name, instance.sop_instance_uid, decision.reason, views)


def _view(line: Line, dataset: Dataset, decision: Decision, today: datetime.date) -> Explanation:
    name, package = line.route.name, line.route.package
    miss = next((miss for miss in decision.misses if miss.route == name), None)
    if decision.reason == "loop-guard":
        return Explanation(name, package, False, False, "results of software are never analysed again")
    if miss is not None:
        return Explanation(name, package, False, False, miss.sentence)
    if line.problem or line.package is None:
        return Explanation(name, package, True, False, f"the route stands still: {line.problem}")
    if not any(target.route == name for target in decision.targets):
        return Explanation(name, package, True, False, "an earlier route has the same package")
    reason = applicability.check(line.package.manifest.applicability, dataset, today)
    return Explanation(name, package, True, not reason, reason)


def _read(path: Path, peer: str) -> tuple[Instance, Dataset]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadObject(f"the file cannot be read ({error.strerror})", which=path.name, hint=_NOT_DICOM) from None
    try:
        syntax, data_set = IMPLICIT_VR_LITTLE_ENDIAN, data
        if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
            parts = split(data)
            syntax, data_set = str(parts.transfer_syntax_uid), parts.data_set
        dataset = read_header(data_set, syntax).dataset
        return _instance(dataset, syntax, peer, len(data_set)), dataset
    except BadObject as error:
        raise BadObject(error.what, which=path.name, hint=_NOT_DICOM) from None
    except Refusal:
        raise BadObject("the file cannot be read as DICOM", which=path.name, hint=_NOT_DICOM) from None


def _instance(dataset: Dataset, syntax: str, peer: str, size: int) -> Instance:
    uids = {keyword: _uid(dataset, keyword) for keyword in
            ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")}  # fmt: skip
    return Instance(
        object_id="0" * 32, sop_instance_uid=uids["SOPInstanceUID"], sop_class_uid=uids["SOPClassUID"],
        study_instance_uid=uids["StudyInstanceUID"], series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=UID(syntax), modality=next(iter(values(dataset, "Modality")), ""), peer=peer,
        association="0" * 32, tag="0" * 64, size=size, slot=0, received_at=0.0,
    )  # fmt: skip


def _uid(dataset: Dataset, keyword: str) -> UID:
    return parse_uid(next(iter(values(dataset, keyword)), ""), keyword)
