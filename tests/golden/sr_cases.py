"""Results that the tests of reports share, and the golden files made of two of them.

    PYTHONPATH=.:tests python -m golden.sr_cases     writes sr_detected.dcm and sr_failed.dcm anew: only when a
                                                     change of the bytes is meant

All identities are invented.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

from edge.records import UID, Code, Finding, Outcome, PackageIdentity, Region, Result, Scope, Source
from edge.report.identity import BoxIdentity, report_uid, series_uid
from edge.report.sr import build_sr

HERE = Path(__file__).parent
STUDY = UID("1.2.826.0.1.3680043.8.498.701")
DIGEST = "0123456789abcdef" * 4
BOX = BoxIdentity(UID("2.25.301"), "b0c5a1d2", "0.1.0")
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
EFFUSION = Code("60046008", "SCT", "Pleural effusion")
PACKAGE = PackageIdentity(
    name="cxr-pneumonia",
    version="1.0.0",
    digest=DIGEST,
    vendor="Invented Imaging",
    family=Code("123110", "DCM", "Artificial Intelligence"),
    status="demonstration",
    purpose="Looks for signs of pneumonia.",
    population="Children of 1 to 5 years, frontal chest X-ray.",
)
IMAGE = Source(
    sop_class_uid=UID("1.2.840.10008.5.1.4.1.1.1.1"),
    sop_instance_uid=UID("1.2.826.0.1.3680043.8.498.703"),
    series_instance_uid=UID("1.2.826.0.1.3680043.8.498.702"),
    study_instance_uid=STUDY,
    modality="DX",
    rows=1000,
    columns=1200,
)
REGION = Region(IMAGE.sop_instance_uid, ((200.0, 300.0), (320.0, 300.0), (320.0, 380.0), (200.0, 380.0)))
ATTENTION = dataclasses.replace(REGION, attention=True)
ELSEWHERE = dataclasses.replace(ATTENTION, points=((700.0, 300.0), (820.0, 300.0), (820.0, 380.0)))


def finding(**changes: object) -> Finding:
    """Pneumonia, detected, not calibrated, unless changed."""
    plain = Finding(PNEUMONIA, True, 0.93127, 0.5, calibrated=False, rule_out=False, urgent=False)
    return dataclasses.replace(plain, **changes)


def result(**changes: object) -> Result:
    """One image, one detected finding, unless changed; `status` changes the package's."""
    status = changes.pop("status", PACKAGE.status)
    plain = Result(
        report_uid=report_uid(Scope.IMAGE, IMAGE.sop_instance_uid, 1, DIGEST, "chest"),
        series_uid=series_uid(STUDY, DIGEST, "SR"),
        study_instance_uid=STUDY,
        sources=(IMAGE,),
        outcome=Outcome.SUCCEEDED,
        reason="",
        findings=(finding(),),
        package=dataclasses.replace(PACKAGE, status=status),
        provider="CPUExecutionProvider",
        revision=1,
        predecessor=None,
        device_uid=BOX.device_uid,
    )
    return dataclasses.replace(plain, **changes)


DETECTED = result(
    findings=(
        finding(),
        finding(code=EFFUSION, present=False, score=0.49999, rule_out=True, calibrated=True),
        finding(regions=(REGION,)),
    ),
    predecessor=UID("2.25.77"),
    revision=2,
)
FAILED = result(outcome=Outcome.FAILED, reason="undecodable", findings=(), provider="")
GOLDEN = {"sr_detected.dcm": DETECTED, "sr_failed.dcm": FAILED}

_FINDINGS = {
    "none": (),
    "detected": (finding(),),
    "below": (finding(present=False, score=0.2),),
    "calibrated": (finding(calibrated=True), finding(code=EFFUSION, present=False, score=0.01, rule_out=True)),
    "region": (finding(regions=(REGION,)), finding(regions=(ATTENTION, ELSEWHERE))),
}
_ENDS = {
    "succeeded": (Outcome.SUCCEEDED, ""),
    "partial": (Outcome.PARTIAL, "undecodable"),
    "failed": (Outcome.FAILED, "worker-crashed"),
    "refused": (Outcome.NOT_ATTEMPTED, "not-applicable:PatientAge"),
}
_SOURCES = {"image": (IMAGE,), "no-image": ()}


def _every_case() -> Iterator[tuple[str, Result]]:
    """Every outcome, status, kind of finding, with and without predecessor, that can occur together."""
    statuses = ("demonstration", "investigational", "cleared")
    for end, status, kind, first in itertools.product(_ENDS, statuses, _FINDINGS, (True, False)):
        if end in ("failed", "refused") and kind != "none":
            continue
        outcome, reason = _ENDS[end]
        changes = {"outcome": outcome, "reason": reason, "status": status, "findings": _FINDINGS[kind]}
        predecessor = None if first else UID("2.25.77")
        yield f"{end}-{status}-{kind}-{'first' if first else 'revised'}", result(**changes, predecessor=predecessor)
    yield "no-image", result(outcome=Outcome.NOT_ATTEMPTED, reason="no-images", findings=(), sources=())
    yield "series", result(sources=tuple(slices(60)), findings=_FINDINGS["detected"])


def slices(count: int) -> Iterator[Source]:
    for number in range(count):
        uid = UID(f"{IMAGE.series_instance_uid}.{number + 1}")
        yield dataclasses.replace(IMAGE, sop_instance_uid=uid, modality="CT")


CASES = dict(_every_case())

Element = tuple[int, bytes, "bytes | list[list[Element]]"]
"""Tag, VR, and a value or the items of a sequence."""

_LONG = (b"OB", b"SQ", b"UC", b"UT")


def explode(data_set: bytes) -> list[Element]:
    """Explicit VR Little Endian with defined lengths, taken apart by the tests' own means."""
    elements: list[Element] = []
    at = 0
    while at < len(data_set):
        group, number, vr = struct.unpack_from("<HH2s", data_set, at)
        long = vr in _LONG
        (length,) = struct.unpack_from("<I" if long else "<H", data_set, at + (8 if long else 6))
        at += 12 if long else 8
        value = data_set[at : at + length]
        elements.append((group << 16 | number, vr, _items(value) if vr == b"SQ" else value))
        at += length
    return elements


def _items(value: bytes) -> list[list[Element]]:
    items = []
    at = 0
    while at < len(value):
        (length,) = struct.unpack_from("<I", value, at + 4)
        items.append(explode(value[at + 8 : at + 8 + length]))
        at += 8 + length
    return items


def implode(elements: list[Element]) -> bytes:
    """The opposite of `explode`; values of odd length get a blank."""
    encoded = b""
    for tag, vr, value in elements:
        content = b"".join(_item(item) for item in value) if isinstance(value, list) else value
        content += b" " * (len(content) % 2)
        length = struct.pack("<HI", 0, len(content)) if vr in _LONG else struct.pack("<H", len(content))
        encoded += struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr) + length + content
    return encoded


def _item(elements: list[Element]) -> bytes:
    content = implode(elements)
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content


if __name__ == "__main__":
    for name, case in GOLDEN.items():
        (HERE / name).write_bytes(build_sr(case, box=BOX))
