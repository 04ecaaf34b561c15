"""Whether an image is one that the package declares itself for (DESIGN 9): rules of the signed manifest.

Comes in: the manifest's rules and what was received. Goes out: nothing, or `not-applicable:KEYWORD`, the first rule
that is not met. Comparisons are stripped and in upper case; nothing is translated, so another language's word for
"chest" is met only where the manifest lists it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from edge.errors import PackageError
from edge.infer.header import values
from edge.packages.manifest import Rule

STATISTICS = ("InputMean", "InputStandardDeviation", "InputMinimum", "InputMaximum", "Polarity")
"""Names of rules about the prepared input itself, in the units of the tensor; and, from 1 to -1, how much the picture
looks as its header says (`kernels.polarity`)."""

_AGE = re.compile(r"([0-9]{1,3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_DATES = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate")


def check_keywords(keywords: Iterable[str]) -> None:
    """Raises PackageError for a rule about something that nobody could look at."""
    for keyword in keywords:
        if keyword not in STATISTICS and tag_for_keyword(keyword) is None:
            raise PackageError(
                "an applicability rule is about neither a DICOM keyword nor a statistic",
                which=f"applicability.{keyword}",
                hint=f"use a DICOM keyword or one of: {', '.join(STATISTICS)}",
            )


def check(rules: Mapping[str, Rule], dataset: Dataset, received: datetime.date) -> str:
    """The reason why the image, that came on the day `received`, is outside the rules about attributes, or "".

    Raises
    ------
    Refusal
        `unreadable`, when an attribute in question cannot be read.
    """
    for keyword, rule in rules.items():
        if keyword in STATISTICS:
            continue
        texts = attribute(dataset, keyword)
        if keyword == "PatientAge" and not texts and not _may_meet_by_then(rule, dataset, received):
            return f"not-applicable:{keyword}"
        if not _meets(rule, texts, keyword):
            return f"not-applicable:{keyword}"
    return ""


def met(rules: Mapping[str, Rule], dataset: Dataset) -> bool:
    """Whether an image's attributes meet all of `rules`. Raises Refusal as `check`."""
    return all(_meets(rule, attribute(dataset, keyword), keyword) for keyword, rule in rules.items())


def attribute(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an attribute; a patient's age that is not there, by the dates of birth and study."""
    texts = values(dataset, keyword)
    return _age_by_dates(dataset) if keyword == "PatientAge" and not texts else texts


def check_statistics(rules: Mapping[str, Rule], statistics: Mapping[str, float]) -> str:
    """The same for rules about the prepared input."""
    for keyword, rule in rules.items():
        if keyword in STATISTICS and not _meets(rule, (repr(statistics[keyword]),), keyword):
            return f"not-applicable:{keyword}"
    return ""


def age_in_years(text: str) -> float | None:
    """An AS value (PS3.5 6.2: nnnD, nnnW, nnnM, nnnY) in years; None when it is not one."""
    match = _AGE.fullmatch(text.strip().upper())
    return int(match[1]) * _DAYS[match[2]] / _DAYS["Y"] if match else None


def date_of(text: str) -> datetime.date | None:
    """A DA value, also in its retired form with dots; None when it is not a date."""
    try:
        return datetime.datetime.strptime(text.strip()[:10].replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None


def _age_by_dates(dataset: Dataset) -> tuple[str, ...]:
    """An age nobody wrote down but two dates tell: an adult must not pass as of unknown age."""
    dates = (date_of(text) for keyword in _DATES for text in values(dataset, keyword))
    return _age_on(next((date for date in dates if date is not None), None), dataset)


def _may_meet_by_then(rule: Rule, dataset: Dataset, received: datetime.date) -> bool:
    """False when the age on the day of receipt breaks the rule: an image is sent soon after it is taken, never before.

    It never shows that a rule is met: an image without a date may be of any earlier day.
    """
    age = _age_on(received, dataset)
    return not age or _meets(rule, age, "PatientAge")


def _age_on(day: datetime.date | None, dataset: Dataset) -> tuple[str, ...]:
    birth = date_of(next(iter(values(dataset, "PatientBirthDate")), ""))
    if birth is None or day is None or day < birth:
        return ()
    days = (day - birth).days
    return (f"{days}D" if days < 1000 else f"{min(999, int(days / _DAYS['Y']))}Y",)


def _meets(rule: Rule, received: tuple[str, ...], keyword: str) -> bool:
    if not received:
        return rule.absent == "accept"
    if rule.min is not None or rule.max is not None:
        return all(_within(rule, text, keyword) for text in received)
    # a value may be named alone or, for attributes of several values, as the whole joined by backslashes
    shown = {text.strip().upper() for text in (*received, "\\".join(received))}
    if rule.any_of and not shown & _folded(rule.any_of):
        return False
    return not shown & _folded(rule.none_of)


def _within(rule: Rule, text: str, keyword: str) -> bool:
    try:
        value = age_in_years(text) if keyword == "PatientAge" else float(text)
    except ValueError:
        return False
    if value is None:
        return False
    low = rule.min if rule.min is not None else float("-inf")
    high = rule.max if rule.max is not None else float("inf")
    return low <= value <= high


def _folded(texts: tuple[str, ...]) -> set[str]:
    return {text.strip().upper() for text in texts}
