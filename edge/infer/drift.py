"""Does the world still look to a model as it did? Population stability index (PSI) of scores and input statistics.

The first `BASELINE` values of a feature on this site are the reference: its deciles become ten bins. After that only
counts are kept, of the reference and of the last `WINDOW` values; nothing of a single study stays. PSI compares them:

    sum over bins of (now - then) * ln(now / then), both as shares with one pseudo-count a bin

Below 0.1 is called stable, above 0.25 a shift (the common reading in credit scoring, where PSI comes from). With 250
against 500 values and ten bins chance alone gives about 0.05, so `SHIFT` is far from noise. A new package begins anew.
"""

from __future__ import annotations

import json
import math
import threading
from bisect import bisect_right, insort
from collections import deque
from pathlib import Path
from typing import Any

from edge.files import write_durably

BASELINE = 500
WINDOW = 250
BINS = 10
SHIFT = 0.25
FILE = "drift.json"


class Feature:
    """One number of each look: a score, or a statistic of the prepared input."""

    def __init__(self) -> None:
        self._first: list[float] = []
        self._edges: list[float] = []
        self._then: list[int] = []
        self._now: deque[int] = deque(maxlen=WINDOW)

    def add(self, value: float) -> None:
        """One more value; the reference first, then the window."""
        if self._edges:
            self._now.append(bisect_right(self._edges, value))
            return
        insort(self._first, value)  # sorted, so that the order of studies is not kept either
        if len(self._first) == BASELINE:
            self._edges = _deciles(self._first)
            self._then = [0] * (len(self._edges) + 1)
            for each in self._first:
                self._then[bisect_right(self._edges, each)] += 1
            self._first = []

    @property
    def psi(self) -> float | None:
        """The index, or None until the window is full."""
        if len(self._now) < WINDOW:
            return None
        now = [0] * len(self._then)
        for place in self._now:
            now[place] += 1
        return sum((a - b) * math.log(a / b) for a, b in zip(_shares(now), _shares(self._then), strict=True))

    def as_json(self) -> dict[str, Any]:
        """What is kept over a restart."""
        return {"first": self._first, "edges": self._edges, "then": self._then, "now": list(self._now)}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Feature:
        """The reverse. Raises KeyError, TypeError, ValueError for what is no such thing."""
        made = cls()
        made._first = sorted(float(each) for each in told["first"])[: BASELINE - 1]
        made._edges = sorted(float(each) for each in told["edges"])[: BINS - 1]
        made._then = [int(each) for each in told["then"]]
        made._now.extend(int(each) for each in told["now"])
        bins = len(made._edges) + 1
        if made._edges and (len(made._then) != bins or not all(0 <= place < bins for place in made._now)):
            raise ValueError("not the bins of these edges")
        return made


class Drift:
    """All features of all packages, by (package digest, feature); kept in `run/drift.json`."""

    def __init__(self, run: Path) -> None:
        self._path = run / FILE
        self._lock = threading.Lock()
        self._features = _read(self._path)
        self._changed = False

    def add(self, digest: str, values: dict[str, float]) -> None:
        """One look of the package `digest`. Called by every lane."""
        with self._lock:
            features = self._features.setdefault(digest, {})
            for name, value in values.items():
                features.setdefault(name, Feature()).add(value)
            self._changed = True

    def indices(self, digest: str) -> dict[str, float]:
        """The PSI of each feature that has one."""
        with self._lock:
            found = {name: feature.psi for name, feature in self._features.get(digest, {}).items()}
        return {name: psi for name, psi in found.items() if psi is not None}

    def save(self) -> None:
        """Write what changed. Raises OSError."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            told = {
                digest: {name: feature.as_json() for name, feature in features.items()}
                for digest, features in self._features.items()
            }
        write_durably(self._path, json.dumps(told).encode(), 0o640, checked_later=True)


def _read(path: Path) -> dict[str, dict[str, Feature]]:
    """What was kept; a file that is damaged or missing means a new reference."""
    try:
        told = json.loads(path.read_bytes())
        return {
            str(digest): {str(name): Feature.from_json(each) for name, each in features.items()}
            for digest, features in told.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _deciles(values: list[float]) -> list[float]:
    """The inner edges of ten bins with equal counts; fewer where many values are equal."""
    places = (len(values) * step // BINS for step in range(1, BINS))
    return sorted({values[place] for place in places})


def _shares(counts: list[int]) -> list[float]:
    whole = sum(counts) + len(counts)
    return [(count + 1) / whole for count in counts]
