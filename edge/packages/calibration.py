"""`edge models calibrate`: which threshold a labelled set of images supports, and how good it is on other patients.

In: a package folder, image files, a CSV (file, patient, finding, label). Out: for each finding a threshold from one
half of the patients and its figures on the other half, with 95 % intervals; the card's measured section; one more line
in the card's list of evaluations. Invariant: no patient is in both halves, the figures are never those of the half that
chose the threshold, and every evaluation stays listed: a test split that was looked at often can be seen to be.

The manifest is left as it is: a threshold is the vendor's decision. Neither file names nor patients are written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import PackageError, UsageError
from edge.files import write_durably
from edge.packages.commissioning import LABELS, Share, Z, findings, read_rows, share
from edge.packages.manifest import Manifest
from edge.packages.package import Package

CARD = "MODEL_CARD.md"
COLUMNS = ("file", "patient", "finding", "label")
BEGIN, END = "<!-- edge models calibrate: measured -->", "<!-- /measured -->"
LIST_BEGIN, LIST_END = "<!-- edge models calibrate: evaluations -->", "<!-- /evaluations -->"
_MODE = 0o644

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled image. `patient` is a digest: the name of none is kept."""

    file: str
    patient: str
    finding: str
    present: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One finding: the threshold that the first half supports, and both thresholds on the second half."""

    finding: str
    tuning: int
    testing: int
    patients: int
    auc: Interval
    stated: float
    stated_sensitivity: Share
    stated_specificity: Share
    proposed: float
    proposed_sensitivity: Share
    proposed_specificity: Share


def read_cases(data: bytes, manifest: Manifest) -> list[Case]:
    """The labels of a CSV. Raises UsageError naming the line, not its content."""
    known = findings(manifest)
    return [_case(row, line, known) for row, line in read_rows(data, COLUMNS)]


def _case(row: Mapping[str, str | None], line: int, known: Mapping[str, str]) -> Case:
    file, patient = (row["file"] or "").strip(), (row["patient"] or "").strip()
    finding, label = known.get((row["finding"] or "").strip()), LABELS.get((row["label"] or "").strip().lower())
    if not file or not patient or finding is None or label is None:
        raise UsageError(
            "a field is missing or unknown", which=f"line {line}",
            hint=f"finding: {', '.join(known)}; label: {', '.join(LABELS)}",
        )  # fmt: skip
    return Case(file, hashlib.sha256(patient.encode()).hexdigest(), finding, label)


def is_for_tuning(case: Case) -> bool:
    """Which half the patient is in: by a digest, so that a patient is always in the same one."""
    return int(case.patient[:8], 16) % 2 == 0


def calibrate(
    cases: Sequence[Case], scores: Mapping[tuple[str, str], float], stated: Mapping[str, float], sensitivity: float
) -> list[Calibrated]:
    """Each finding's threshold and figures.

    Parameters
    ----------
    scores : mapping
        By (file, finding); a file without one was not analysed and is left out.
    stated : mapping
        The manifest's threshold by finding.
    sensitivity : float
        The proposed threshold is the highest with at least this sensitivity on the first half.

    Raises
    ------
    PackageError
        If a half has no positive or no negative case of a finding.
    """
    found = []
    for finding in sorted({case.finding for case in cases}):
        own = [case for case in cases if case.finding == finding and (case.file, finding) in scores]
        tuning, testing = ([c for c in own if is_for_tuning(c) is half] for half in (True, False))
        for half in (tuning, testing):
            if len({case.present for case in half}) < 2:
                raise PackageError("a half has no positive or no negative case", which=finding, hint="label more")
        threshold = _threshold(*_arrays(tuning, scores), sensitivity)
        values, truth = _arrays(testing, scores)
        found.append(
            Calibrated(
                finding,
                len(tuning),
                len(testing),
                len({case.patient for case in own}),
                auc(values, truth),
                stated[finding],
                *_shares(values, truth, stated[finding]),
                threshold,
                *_shares(values, truth, threshold),
            )
        )
    return found


def _arrays(cases: Iterable[Case], scores: Mapping[tuple[str, str], float]) -> tuple[Scores, Truth]:
    cases = list(cases)
    return np.array([scores[c.file, c.finding] for c in cases]), np.array([c.present for c in cases])


def _threshold(values: Scores, truth: Truth, sensitivity: float) -> float:
    positives = np.sort(values[truth])
    allowed = int(np.floor(len(positives) * (1 - sensitivity) + 1e-9))
    return float(np.floor(positives[allowed] * 1e4) / 1e4)  # four digits, never above the score itself


def _shares(values: Scores, truth: Truth, threshold: float) -> tuple[Share, Share]:
    flagged = values >= threshold
    positives = int(truth.sum())
    return share(int((flagged & truth).sum()), positives), share(int((~flagged & ~truth).sum()), len(truth) - positives)


def auc(values: Scores, truth: Truth) -> Interval:
    """The area under the ROC curve, with DeLong's interval (1988) on the logit scale."""
    positives, negatives = values[truth], values[~truth]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    area = float(wins.mean())
    variance = _variance(wins.mean(axis=1)) / len(positives) + _variance(wins.mean(axis=0)) / len(negatives)
    if not 0 < area < 1:
        return Interval(area, area, area)
    half = Z * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    low, high = 1 / (1 + np.exp(-(logit - half))), 1 / (1 + np.exp(-(logit + half)))
    return Interval(area, float(low), float(high))


def _variance(values: Scores) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def write_card(package: Package, measured: Sequence[Calibrated], truth_sha256: str, day: str) -> None:
    """Put the figures into the package's card and add a line to its list of evaluations."""
    path = Path(package.folder) / CARD
    text = path.read_text("utf-8")
    line = (
        f"| {day} | {truth_sha256[:16]} | {package.digest[:16]} | {', '.join(each.finding for each in measured)}"
        f" | {sum(each.testing for each in measured)} |"
    )
    listed = _between(text, LIST_BEGIN, LIST_END).splitlines()[4:]
    text = _replaced(text, BEGIN, END, "## Measured on labelled images\n" + "\n".join(_figures(measured)))
    evaluations = [
        "## Every evaluation on a test split",
        "| day | truth (SHA-256) | package | findings | cases |",
        "|---|---|---|---|---|",
        *listed,
        line,
    ]
    write_durably(path, _replaced(text, LIST_BEGIN, LIST_END, "\n".join(evaluations)).encode(), _MODE)


def _figures(measured: Sequence[Calibrated]) -> list[str]:
    rows = [
        "Thresholds are chosen on one half of the patients, figures are those of the other half; 95 % intervals"
        " (Wilson; AUC: DeLong), counted by image.",
        "",
        "| finding | threshold | cases | AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|",
    ]
    for each in measured:
        area = f"{each.auc.value:.3f} [{each.auc.low:.3f}, {each.auc.high:.3f}]"
        for name, threshold, found, clear in (
            ("the manifest's", each.stated, each.stated_sensitivity, each.stated_specificity),
            ("proposed", each.proposed, each.proposed_sensitivity, each.proposed_specificity),
        ):
            cells = (each.finding, f"{threshold:.4f} ({name})", str(each.testing), area, _cell(found), _cell(clear))
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _cell(told: Share) -> str:
    return f"{told.value:.3f} [{told.low:.3f}, {told.high:.3f}]"


def _between(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0] if begin in text and end in text else ""


def _replaced(text: str, begin: str, end: str, inside: str) -> str:
    block = f"{begin}\n{inside}\n{end}"
    if begin in text and end in text:
        return text.partition(begin)[0] + block + text.partition(end)[2]
    return f"{text.rstrip()}\n\n{block}\n"
