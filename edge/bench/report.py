"""A result built and encoded as DICOM objects, by us and by highdicom, in turn.

Both write as much: the same groups, findings, regions, masks and algorithm; we add the sentence, the outcome and the
purpose. Times are of the wall clock, the middle (p50) of the rounds; `ratio_range` is the middle 80 % of the ratios of
paired rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TypedDict

import numpy as np

from edge.errors import EnvironmentFailure
from edge.infer import egress
from edge.records import UID, Code, Finding, Mask, Outcome, PackageIdentity, Region, Result, Segment, Source
from edge.report.identity import BoxIdentity
from edge.report.kinds import Form
from edge.report.objects import build
from edge.report.sr import build_sr

BOX = BoxIdentity(UID("2.25.301"), "bench", "1")
ROWS = COLUMNS = 1024
_FINDING = Code("233604007", "SCT", "Pneumonia")
_LUNG = Code("39607008", "SCT", "Lung")
_ORGAN = Code("123037004", "SCT", "Anatomical Structure")
_SOURCE = Source(
    UID("1.2.840.10008.5.1.4.1.1.1.1"), UID("2.25.103"), UID("2.25.102"), UID("2.25.101"), "DX", ROWS, COLUMNS
)
_PACKAGE = PackageIdentity(
    "bench", "1", "0" * 64, "Edge", Code("123110", "DCM", "Artificial Intelligence"), "demonstration",
    "Measures the emitter.", "Nobody.",
)  # fmt: skip


class Row(TypedDict):
    """One task: `ours` and `peer` in milliseconds, `ratio` how many times faster we are, `n` rounds."""

    task: str
    peer_name: str
    ours: float
    peer: float
    ratio: float
    ratio_range: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Task:
    """What is written, by us and by the peer."""

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    rounds: int


def header() -> dict[str, str]:
    """What was measured with what."""
    return {"numpy": np.__version__, "clock": "wall clock, p50 of the rounds, one thread"}


def run(rounds: int = 30) -> dict[str, object]:
    """Measure every task, and the egress gate, which has no peer; about ten seconds with the default."""
    peer = _peer()
    result = _result([_box(0), None])
    blob = build_sr(result, box=BOX)
    gate = [
        _milliseconds(lambda: egress.release(blob, result=result, box=BOX, identity=frozenset())) for _ in range(30)
    ]
    rows = [_measure(task, peer.version()) for task in _tasks(peer, rounds)]
    return {"rows": rows, **header(), "egress_gate_ms": round(float(np.median(gate)), 3)}


def _peer() -> ModuleType:
    try:
        from edge.bench import highdicom_report
    except ModuleNotFoundError:
        raise EnvironmentFailure(
            "the peer of this measurement is not installed", which="highdicom", hint="pip install highdicom"
        ) from None
    return highdicom_report


def _tasks(peer: ModuleType, rounds: int) -> list[Task]:
    few, many = _result([_box(0), None]), _result([_box(number) for number in range(100)])
    marked, mask = _segmented()
    image, finding = peer.image(ROWS, COLUMNS), (_FINDING.value, _FINDING.scheme, _FINDING.meaning)
    lung = (_LUNG.value, _LUNG.scheme, _LUNG.meaning)
    return [
        Task("SR, 2 findings and 1 region", lambda: build_sr(few, box=BOX),
             lambda: peer.report(image, finding, [_box(0), None]), rounds),
        Task("SR, 100 regions", lambda: build_sr(many, box=BOX),
             lambda: peer.report(image, finding, [_box(number) for number in range(100)]), max(1, rounds // 10)),
        Task("SEG, 1 mask of 1024x1024, and its SR", lambda: build(marked, box=BOX, form=Form()),
             lambda: (peer.segmentation(image, mask, lung), peer.report(image, lung, [None])), rounds),
    ]  # fmt: skip


def _box(number: int) -> tuple[tuple[float, float], ...]:
    left, top = 10.0 + 8 * number, 20.0 + 5 * number
    return ((left, top), (left + 60, top), (left + 60, top + 40), (left, top + 40))


def _result(regions: list[tuple[tuple[float, float], ...] | None], segments: tuple[Segment, ...] = ()) -> Result:
    return Result(
        report_uid=UID("2.25.201"),
        series_uid=UID("2.25.202"),
        study_instance_uid=_SOURCE.study_instance_uid,
        sources=(_SOURCE,),
        outcome=Outcome.SUCCEEDED,
        reason="",
        findings=tuple(_finding(points) for points in regions),
        package=_PACKAGE,
        provider="CPUExecutionProvider",
        revision=1,
        predecessor=None,
        device_uid=BOX.device_uid,
        segments=segments,
    )


def _finding(points: tuple[tuple[float, float], ...] | None) -> Finding:
    regions = (Region(_SOURCE.sop_instance_uid, points),) if points else ()
    return Finding(_FINDING, True, 0.9312, 0.5, calibrated=True, rule_out=False, urgent=False, regions=regions)


def _segmented() -> tuple[Result, np.ndarray]:
    row, column = np.ogrid[:ROWS, :COLUMNS]
    mask = (row - 500) ** 2 + (column - 400) ** 2 < 200**2
    bits = np.packbits(mask.ravel(), bitorder="little").tobytes()
    segment = Segment(_LUNG, _ORGAN, _LUNG, (Mask(_SOURCE.sop_instance_uid, None, ROWS, COLUMNS, bits),))
    return _result([], (segment,)), mask


def _measure(task: Task, peer_name: str) -> Row:
    times: list[tuple[float, float]] = []
    for turn in range(task.rounds + 1):
        pair = (_milliseconds(task.ours), _milliseconds(task.peer))
        if turn:  # the first round warms up
            times.append(pair)
    ours, peer = np.array(times).T
    low, high = np.percentile(peer / ours, (10, 90))
    return Row(
        task=task.name,
        peer_name=peer_name,
        ours=round(float(np.median(ours)), 3),
        peer=round(float(np.median(peer)), 3),
        ratio=round(float(np.median(peer) / np.median(ours)), 1),
        ratio_range=(round(float(low), 1), round(float(high), 1)),
        n=task.rounds,
    )


def _milliseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - started) / 1e6
