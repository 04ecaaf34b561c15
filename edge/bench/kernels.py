"""`edge bench kernels`: each kernel beside its peers, and beside what memory allows.

All candidates of a task take turns in one process, on one thread, over several images so that no source is warm in
the cache from the call before. Times are CPU time of the process. `ratio` is peer / ours of the least of all rounds;
`ratio_range` is the middle 80 % of the ratios of paired rounds. The limit is the source read once and the result
written once, at the bandwidth that this run measured itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

import kernels
from edge import opencv
from edge.bench import chart, peers
from edge.bench.contests import CONTESTS, Contest

_BUDGET_SECONDS = 6.0
_LEAST_ROUNDS = 3
_BANDWIDTH_BYTES = 96 << 20
_VECTORS = ("sse4_2", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vbmi", "asimd")


class Row(TypedDict):
    """One task against one peer: times in milliseconds, `ratio` how many times faster we are, `n` rounds.

    `ours` and `peer` are the least of the rounds; `limit` is what reading and writing alone take.
    """

    task: str
    peer_name: str
    ours: float
    ours_median: float
    peer: float
    peer_median: float
    ratio: float
    ratio_range: tuple[float, float]
    limit: float
    times_limit: float
    n: int


class Bandwidth(TypedDict):
    """Of one thread, in GB/s (10^9 bytes)."""

    read: float
    write: float


def header() -> dict[str, Any]:
    """What was measured with what: versions, the level of the kernels, the processor."""
    name, flags = _processor()
    return {
        "kernels": kernels.build(),
        "numpy": np.__version__,
        **peers.versions(),
        "cpu": name,
        "cpu_flags": " ".join(flag for flag in _VECTORS if flag in flags),
        "clock": "CPU time of the process, least of the rounds, one thread",
    }


def run(rounds: int = 15, only: str = "", plot: str = "") -> dict[str, Any]:
    """Measure every task whose name holds `only`; about a minute with all peers. `plot`: an SVG file to write."""
    opencv.use_one_thread()
    bandwidth = measured_bandwidth()
    rows = [row for name in chosen(only) for row in measure(name, CONTESTS[name].contest(), rounds, bandwidth)]
    document = {"rows": rows, **header(), "memory_gb_per_s": dict(bandwidth)}
    if plot:
        chart.write_svg(document, plot)
    return document


def chosen(only: str) -> list[str]:
    """Names of the tasks that hold `only`, whatever the case."""
    return [name for name in CONTESTS if only.lower() in name.lower()]


def show(document: dict[str, Any]) -> str:
    """The document for a terminal."""
    return chart.text(document)


def measure(name: str, contest: Contest, rounds: int, bandwidth: Bandwidth) -> list[Row]:
    """One row for each peer of a task."""
    if not contest.peers:
        return []
    candidates = [contest.ours, *contest.peers.values()]
    times: list[list[float]] = [[] for _ in candidates]
    warm = _turn(contest, candidates, 0)
    turns = max(min(_LEAST_ROUNDS, rounds), min(rounds, int(_BUDGET_SECONDS * 1e3 / max(1e-3, sum(warm)))))
    for turn in range(1, turns + 1):
        for series, value in zip(times, _turn(contest, candidates, turn), strict=True):
            series.append(value)
    limit = (contest.read / bandwidth["read"] + contest.written / bandwidth["write"]) / 1e6
    ours = np.array(times[0])
    return [
        _row(name, peer, ours, np.array(series), limit) for peer, series in zip(contest.peers, times[1:], strict=True)
    ]


def _turn(contest: Contest, candidates: Iterable[Callable[[Any], Any]], turn: int) -> list[float]:
    """Milliseconds of each candidate, on images that none of them has just seen."""
    count = len(contest.sources)
    took = []
    for which, candidate in enumerate(candidates):
        first = turn * contest.calls + which * max(1, count // 2)
        batch = [contest.sources[(first + call) % count] for call in range(contest.calls)]
        start = time.process_time_ns()
        for source in batch:
            candidate(source)
        took.append((time.process_time_ns() - start) / 1e6 / contest.calls)
    return took


def _row(name: str, peer: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], limit: float) -> Row:
    low, high = np.percentile(theirs / ours, (10, 90))
    mine = float(ours.min())
    return Row(
        task=name,
        peer_name=peer,
        ours=round(mine, 4),
        ours_median=round(float(np.median(ours)), 4),
        peer=round(float(theirs.min()), 4),
        peer_median=round(float(np.median(theirs)), 4),
        ratio=round(float(theirs.min()) / mine, 2),
        ratio_range=(round(float(low), 2), round(float(high), 2)),
        limit=round(limit, 4),
        times_limit=round(mine / limit, 1),
        n=len(ours),
    )


def measured_bandwidth(rounds: int = 5) -> Bandwidth:
    """The best of some passes over memory that no cache holds."""
    words = np.ones(_BANDWIDTH_BYTES // 8, np.uint64)
    read = min(_nanoseconds(work, rounds) for work in (words.sum, words.max))
    write = _nanoseconds(lambda: words.fill(7), rounds)
    return Bandwidth(read=round(words.nbytes / read, 2), write=round(words.nbytes / write, 2))


def _nanoseconds(work: Callable[[], object], rounds: int) -> int:
    """Of the quickest round."""
    took = []
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        took.append(time.process_time_ns() - start)
    return min(took)


def _processor() -> tuple[str, frozenset[str]]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            facts = dict(_fact(line) for line in lines if ":" in line)
    except OSError:
        return "unknown", frozenset()
    flags = facts.get("flags", facts.get("Features", ""))
    return facts.get("model name", "unknown"), frozenset(flags.split())


def _fact(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()
