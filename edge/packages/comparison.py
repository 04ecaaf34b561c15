"""A shadow beside what works: how often they agree, on which jobs they do not, how long each took, what failed.

In: what both said about the same jobs. Out: counts and shares with 95 % intervals. Nobody is right here: that is for
`edge models accept`, with the truth.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.journal.shadows import Pair
from edge.packages.commissioning import Share, share

MOST_JOBS = 100
"""So many jobs on which the two disagree are named."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One finding in the jobs where both looked: how often each flagged it, and how far their scores were apart."""

    finding: str
    both: int
    neither: int
    only_active: int
    only_shadow: int
    agreement: Share
    mean_difference: float
    max_difference: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`looked`: by the shadow; `compared`: by both with findings; `disagreements`: job ids, the newest."""

    looked: int
    compared: int
    waiting: int
    agreement: Share
    findings: tuple[Agreement, ...]
    disagreements: tuple[int, ...]
    outcomes: Mapping[str, int]
    active_ms: float
    shadow_ms: float


def compare(pairs: Iterable[Pair], waiting: int = 0) -> Comparison:
    """All that two packages said about the same jobs."""
    pairs = list(pairs)
    both = [each for each in pairs if each.active and each.active["scores"] and each.shadow["scores"]]
    codes = sorted({score["code"] for each in both for score in (*each.active["scores"], *each.shadow["scores"])})  # type: ignore[index]
    different = [each.job for each in both if _flags(each.active) != _flags(each.shadow)]
    outcomes = Counter(f"{each.shadow['outcome']} {each.shadow['reason']}".strip() for each in pairs)
    return Comparison(
        len(pairs), len(both), waiting, share(len(both) - len(different), len(both)),
        tuple(_agreement(code, both) for code in codes), tuple(different[-MOST_JOBS:]), dict(outcomes),
        _median(each.active for each in both), _median(each.shadow for each in both),
    )  # fmt: skip


def _flags(told: Mapping[str, Any] | None) -> dict[str, bool]:
    """Whether each finding is present; of several with one code any."""
    found: dict[str, bool] = {}
    for score in told["scores"] if told else ():
        found[score["code"]] = found.get(score["code"], False) or score["present"]
    return found


def _scores(told: Mapping[str, Any] | None, code: str) -> float | None:
    found = [score["score"] for score in told["scores"] if score["code"] == code] if told else []
    return max(found) if found else None


def _agreement(code: str, both: list[Pair]) -> Agreement:
    flags = Counter((_flags(each.active).get(code, False), _flags(each.shadow).get(code, False)) for each in both)
    agreed = flags[True, True] + flags[False, False]
    apart = [
        abs(active - shadow)
        for each in both
        if (active := _scores(each.active, code)) is not None and (shadow := _scores(each.shadow, code)) is not None
    ]
    return Agreement(
        code, flags[True, True], flags[False, False], flags[True, False], flags[False, True],
        share(agreed, len(both)), statistics.fmean(apart) if apart else 0.0, max(apart, default=0.0),
    )  # fmt: skip


def _median(told: Iterable[Mapping[str, Any] | None]) -> float:
    """Milliseconds of the model's run."""
    times = [float(each["milliseconds"].get("run", 0.0)) for each in told if each]
    return statistics.median(times) if times else 0.0
