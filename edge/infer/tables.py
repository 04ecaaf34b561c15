"""Attributes of an image as a small tensor (manifest `tables`): age, sex, tube voltage, view. In the worker only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer import applicability
from edge.infer.refusal import Refusal
from edge.packages.tasks import Column, Table


def tabulate(dataset: Dataset, table: Table) -> npt.NDArray[np.float32]:
    """The tensor (1, columns) of one image.

    Raises
    ------
    Refusal
        `not-applicable:KEYWORD`, when an attribute is absent or is what the manifest does not take.
    """
    return np.array([[_number(dataset, column) for column in table.columns]], np.float32)


def _number(dataset: Dataset, column: Column) -> float:
    texts = applicability.attribute(dataset, column.keyword)
    number = _coded(texts, column) if column.codes and texts else _measured(texts, column)
    if number is None:
        raise Refusal(f"not-applicable:{column.keyword}", "an attribute is not one that the package takes")
    return (number - column.mean) / column.std


def _coded(texts: tuple[str, ...], column: Column) -> float | None:
    """What the text stands for: a value alone, or all of them joined by backslashes."""
    known = {text.strip().upper(): number for text, number in column.codes.items()}
    for text in ("\\".join(texts), *texts):
        if text.strip().upper() in known:
            return known[text.strip().upper()]
    return column.other


def _measured(texts: tuple[str, ...], column: Column) -> float | None:
    if not texts:
        return column.absent
    try:
        number = applicability.age_in_years(texts[0]) if column.keyword == "PatientAge" else float(texts[0])
    except ValueError:
        return None
    if number is None or not np.isfinite(number):
        return None
    low = -np.inf if column.min is None else column.min
    high = np.inf if column.max is None else column.max
    return number if low <= number <= high else None
