"""C-STORE into the box against dcmtk's storescp, Orthanc and pynetdicom, alternating, in the same run.

Ours is measured as it ships (sealed, flushed, indexed before Success) and, to show what that costs, without flushes and
sealing. storescp does neither, nor an index: it says Success when write(2) returned. Sender, listener and disk share
this machine, so only ratios of one run mean anything, and one association is bounded by the flush latency that
`flush_ms` states (and by `load_before`: on a busy machine whoever needs more CPU time waits for whole time slices):
C-STORE is synchronous. An object that finds a file made beforehand waits for one flush, and a burst of CT finds some
240 of them (`prepared_mib`); the rest, and large objects, wait for two (file and name). So 1000 in a row say what a
longer study comes to. One row compares with the disk alone, which does nothing else.

`ours` and `peer` are medians of MB/s over `n` rounds; `ratio` is the median of the paired ratios, `ratio_range` the
least and the most of them. `more` holds, for both sides, objects/s, CPU seconds per GB, peak memory in MiB, and the
wait from the last byte sent to the response in milliseconds.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge.bench import listeners, ratios
from edge.bench.listeners import CALLED, CALLING, Listener
from edge.bench.sender import KINDS, Plan
from edge.errors import EnvironmentFailure
from edge.scu import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, Peer, Scu
from edge.sealed import CHUNK

ROUNDS = 3
_WARM_UP = 16
"""Objects below a chunk: a box that runs has met the size of what it is sent."""
_SLOW_SHARE = 5
_IDLE_ASSOCIATIONS = 200
_IDLE_SECONDS = 3.0
_ECHOES = 500
_SETUPS = 100
_FLUSHES_A_TURN = 8
_DISK = "the disk alone: new file, fsync, fsync of the folder"
_FLUSHED_BYTES = 512 << 10
_SETTLE_SECONDS = 3.0
_REST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and to whom beside storescp."""

    kind: str
    objects: int
    associations: int
    slow_peers: bool = False


QUICK = (
    Case("ct", 160, 1, slow_peers=True),
    Case("ct", 160, 4),
    Case("ct", 160, 16),
    Case("dx", 12, 1),
)
FULL = (
    *(Case("ct", 240, count, slow_peers=True) for count in (1, 4, 16)),
    *(Case("ct", 1000, count) for count in (1, 4, 16)),
    *(Case("dx", 16, count) for count in (1, 4, 16)),
    *(Case("compressed", 240, count) for count in (1, 4, 16)),
    Case("multi-frame", 1, 1),
)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One run against one listener."""

    megabytes_per_second: float
    objects_per_second: float
    cpu_per_gb: float
    peak_mib: float
    waited: list[float]


def run(rounds: int = ROUNDS, *, full: bool = False, plot: str = "") -> dict[str, Any]:
    """Measure, and write the picture of it to the file `plot`.

    Raises EnvironmentFailure when storescp is not installed or a listener refuses an object.
    """
    cases = FULL if full else QUICK
    load = os.getloadavg()[0]
    series = itertools.count(int(time.time()) % 1_000_000 * 1000)
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name, _listeners(Path(name)) as running:
        flushes = Flushes(Path(name))
        rows = [row for case in cases for row in _rows(case, _case(case, running, rounds, series, flushes), running)]
        document = {
            "rows": rows,
            "latency_ms": _latency(running[0]),
            "idle": _idle(running[0]),
            "flush_ms": flushes.milliseconds(),
            "sender": "Python, one process per association, everything preloaded, sendmsg of slices; same machine",
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
            "peers": [each.name for each in running if not each.name.startswith("edge")],
        }
        if plot:
            ratios.write_svg(document, plot)
        return document


@contextlib.contextmanager
def _listeners(folder: Path) -> Iterator[list[Listener]]:
    """Ours, ours without durability and sealing, storescp (the base), and what else is installed."""
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(listeners.storescp(folder / "storescp"))
        if base is None:
            raise EnvironmentFailure("storescp is not installed", which="dcmtk", hint="apt install dcmtk")
        others = (
            listeners.storescp(folder / "storescp-fork", "--fork", "+B", "-pdu", "131072"),
            listeners.orthanc(folder / "orthanc"),
            listeners.pynetdicom(folder / "pynetdicom"),
        )
        found = [
            stack.enter_context(listeners.ours(folder / "ours")),
            stack.enter_context(listeners.ours(folder / "plain", "plain")),
            base,
            *(stack.enter_context(other) for other in others),
        ]
        yield [each for each in found if each]


def _case(
    case: Case, running: Sequence[Listener], rounds: int, series: Iterator[int], flushes: Flushes
) -> dict[str, list[_Turn]]:
    """The turns of every listener; every other round the order is reversed. What a flush costs is asked in each."""
    taking = [each for each in running if case.slow_peers or not _slow(each)]
    turns: dict[str, list[_Turn]] = {each.name: [] for each in taking}
    turns[_DISK] = []
    if KINDS[case.kind].pixel_bytes < CHUNK:
        for each in taking:
            _turn(replace(case, objects=_WARM_UP), each, next(series))
    for number in range(rounds):
        turns[_DISK].append(_disk_turn(flushes.take(_FLUSHES_A_TURN)))
        for each in taking if number % 2 == 0 else taking[::-1]:
            turns[each.name].append(_turn(case, each, next(series)))
    _clean(taking)
    return turns


def _disk_turn(waited: list[float]) -> _Turn:
    """What one association could do at most if a listener cost nothing but its flushes."""
    second = 1 / statistics.median(waited)
    return _Turn(second * _FLUSHED_BYTES / 1e6, second, 0.0, 0.0, waited)


def _clean(listening: Sequence[Listener]) -> None:
    """Remove what a case stored, never between its turns: discarding it slows every flush for a while afterwards."""
    for each in listening:
        each.clean()
    os.sync()
    time.sleep(_SETTLE_SECONDS)


def _slow(listener: Listener) -> bool:
    return listener.name.startswith(("Orthanc", "pynetdicom"))


def _turn(case: Case, listener: Listener, series: int) -> _Turn:
    objects = max(case.associations, case.objects // _SLOW_SHARE) if _slow(listener) else case.objects
    plan = Plan(listener.port, CALLED, case.kind, objects, case.associations, series, CALLING)
    time.sleep(_REST_SECONDS)  # what the turn before left to do or to write is not this one's
    os.sync()
    listener.forget_peak()
    before = listener.cpu_seconds()
    command = [sys.executable, "-m", "edge.bench.sender"]
    answer = subprocess.run(command, check=False, input=json.dumps(asdict(plan)), capture_output=True, text=True)
    if answer.returncode or (facts := json.loads(answer.stdout))["refused"]:
        raise EnvironmentFailure("objects were refused", which=listener.name, hint="free disk space; `edge doctor`")
    cpu = listener.cpu_seconds() - before
    peak = listener.peak_mib()
    return _Turn(
        megabytes_per_second=facts["bytes"] / facts["seconds"] / 1e6,
        objects_per_second=facts["objects"] / facts["seconds"],
        cpu_per_gb=cpu / facts["bytes"] * 1e9,
        peak_mib=peak,
        waited=facts["waited"],
    )


def _rows(case: Case, turns: dict[str, list[_Turn]], running: Sequence[Listener]) -> Iterator[dict[str, Any]]:
    """As shipped against every peer, then without flush and seal against those that have neither, then both of ours."""
    shipped, plain, *peers = (each.name for each in running if each.name in turns)
    for peer in peers:
        yield _row(case, "sealed, durable, indexed", turns[shipped], peer, turns[peer])
    for peer in peers[:2]:
        yield _row(case, "without flush and seal", turns[plain], peer, turns[peer])
    yield _row(case, "sealed, durable, indexed", turns[shipped], plain, turns[plain])
    if (case.kind, case.associations) == ("ct", 1):
        yield _row(case, "sealed, durable, indexed", turns[shipped], _DISK, turns[_DISK])


def _row(case: Case, what: str, ours: list[_Turn], name: str, peer: list[_Turn]) -> dict[str, Any]:
    ratios = [mine.megabytes_per_second / its.megabytes_per_second for mine, its in zip(ours, peer, strict=True)]
    return {
        "task": f"{case.objects} {KINDS[case.kind].name} x{case.associations}, {what}, MB/s",
        "ours": round(statistics.median(turn.megabytes_per_second for turn in ours), 1),
        "peer": round(statistics.median(turn.megabytes_per_second for turn in peer), 1),
        "peer_name": name,
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "n": len(ratios),
        "more": {"ours": _more(ours), "peer": _more(peer)},
    }


def _more(turns: list[_Turn]) -> dict[str, float]:
    waited = [wait for turn in turns for wait in turn.waited]
    return {
        "objects_per_second": round(statistics.median(turn.objects_per_second for turn in turns), 1),
        "cpu_seconds_per_gb": round(statistics.median(turn.cpu_per_gb for turn in turns), 2),
        "peak_mib": round(max(turn.peak_mib for turn in turns), 1),
        "response_ms_p50": _milliseconds(waited, 0.5),
        "response_ms_p99": _milliseconds(waited, 0.99),
    }


def _latency(listener: Listener) -> dict[str, float]:
    """C-ECHO, and an association from connect to A-ASSOCIATE-AC, in milliseconds."""
    setups, echoes = [], []
    for _ in range(_SETUPS):
        began = time.perf_counter()
        with _open(listener):
            setups.append(time.perf_counter() - began)
    with _open(listener) as scu:
        for _ in range(_ECHOES):
            began = time.perf_counter()
            scu.echo()
            echoes.append(time.perf_counter() - began)
    names = (("echo", echoes), ("association", setups))
    return {f"{name} p{p}": _milliseconds(values, p / 100) for name, values in names for p in (50, 99)}


def _idle(listener: Listener) -> dict[str, float]:
    """What associations that do nothing cost: percent of one core, and memory."""
    with contextlib.ExitStack() as stack:
        for _ in range(_IDLE_ASSOCIATIONS):
            stack.enter_context(_open(listener))
        before = listener.cpu_seconds()
        time.sleep(_IDLE_SECONDS)
        used = listener.cpu_seconds() - before
        return {
            "associations": _IDLE_ASSOCIATIONS,
            "percent of a core": round(100 * used / _IDLE_SECONDS, 2),
            "MiB": round(listener.peak_mib(), 1),
        }


def _open(listener: Listener) -> Scu:
    return Scu(Peer("127.0.0.1", listener.port, CALLED, CALLING), [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN)])


class Flushes:
    """What a flush costs on the disk of `folder`: an appended 4 KiB page, and a new file of 512 KiB with its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block = os.urandom(_FLUSHED_BYTES)
        self._appended: list[float] = []
        self._created: list[float] = []

    def take(self, count: int) -> list[float]:
        """Measure each `count` times more; nothing stays. The seconds of the new files."""
        path = self._folder / "flush"
        place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for _ in range(count):
                began = time.perf_counter()
                file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
                os.write(file, self._block)
                os.fsync(file)
                os.fsync(place)
                named = time.perf_counter()
                os.write(file, self._block[:4096])
                os.fdatasync(file)
                self._appended.append(time.perf_counter() - named)
                self._created.append(named - began)
                os.close(file)
                path.unlink()
        finally:
            os.close(place)
        return self._created[-count:]

    def milliseconds(self) -> dict[str, float]:
        """Medians and 99th percentiles of all that were taken."""
        names = (("4 KiB appended", self._appended), ("512 KiB file and name", self._created))
        return {f"{name} p{p}": _milliseconds(values, p / 100) for name, values in names for p in (50, 99)}


def _milliseconds(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return round(1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * part))], 3)
