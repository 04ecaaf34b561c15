"""Diagnostic accuracy with 95 % intervals, in NumPy only.

AUC with DeLong's interval (DeLong et al. 1988, on the logit scale so that it stays within 0..1); sensitivity and
specificity with Wilson's (Wilson 1927). A score equal to the threshold counts as present, as in the product.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, and what it was counted on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(hits: int, n: int) -> Estimate:
    """A proportion with Wilson's score interval."""
    share = hits / n
    middle = share + _Z**2 / (2 * n)
    spread = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return Estimate(share, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale), n)


def auc(scores: Scores, truth: Truth) -> Estimate:
    """Area under the ROC curve with DeLong's interval."""
    ill, well = scores[truth][:, None], scores[~truth][None, :]
    wins = (ill > well) + 0.5 * (ill == well)
    value = float(wins.mean())
    if not 0 < value < 1 or min(wins.shape) < 2:
        return Estimate(value, value, value, len(scores))
    variance = wins.mean(1).var(ddof=1) / len(ill) + wins.mean(0).var(ddof=1) / well.shape[1]
    logit, spread = log(value / (1 - value)), _Z * sqrt(float(variance)) / (value * (1 - value))
    return Estimate(value, 1 / (1 + exp(spread - logit)), 1 / (1 + exp(-spread - logit)), len(scores))


def sensitivity(scores: Scores, truth: Truth, threshold: float) -> Estimate:
    """Share of the ill who are called ill."""
    return wilson(int((scores[truth] >= threshold).sum()), int(truth.sum()))


def specificity(scores: Scores, truth: Truth, threshold: float) -> Estimate:
    """Share of the well who are called well."""
    return wilson(int((scores[~truth] < threshold).sum()), int((~truth).sum()))


def accuracy(scores: Scores, truth: Truth, threshold: float) -> Estimate:
    """Share of all who are called what they are."""
    return wilson(int(((scores >= threshold) == truth).sum()), len(truth))


def threshold_for(scores: Scores, truth: Truth, wanted: float) -> float:
    """The highest threshold, in four decimals, at which at least `wanted` of the ill are called ill."""
    ill = np.sort(scores[truth])
    may_miss = int((1 - wanted) * len(ill) + 1e-9)
    return float(np.floor(ill[may_miss] * 1e4) / 1e4)


def youden(scores: Scores, truth: Truth) -> float:
    """The threshold, in four decimals, with the largest sum of sensitivity and specificity."""
    candidates = np.unique(np.floor(scores * 1e4) / 1e4)
    sums = [(scores[truth] >= t).mean() + (scores[~truth] < t).mean() for t in candidates]
    return float(candidates[int(np.argmax(sums))])
