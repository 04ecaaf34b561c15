"""The labelled chest X-rays that the recipes use: read in place, never copied into the repository.

Kermany, Zhang, Goldbaum (2018), Mendeley Data V2, doi:10.17632/rscbjbr9sj.2, CC BY 4.0. See models/recipes/README.md
for what was changed and for the traps of this data set.
"""

from __future__ import annotations

import csv
import os
import random
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One JPEG file. `patient` joins the bacterial and the viral images of one person number: it cannot be told
    whether they are one child, so they never stand on both sides of a split."""

    name: str
    split: str
    patient: str
    pneumonia: bool
    jpeg: bytes


def data_folder() -> Path:
    """`$EDGE_TEST_DATA`, or `../shared/data` beside the checkout."""
    return Path(os.environ.get("EDGE_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def read(name: str, split: str | None = None) -> Iterator[LabelledImage]:
    """The images of `cxr/NAME.tar` with their rows of `cxr/NAME.csv`, in the archive's order."""
    folder = data_folder() / "cxr"
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    with tarfile.open(folder / f"{name}.tar") as archive:
        for member in archive:
            row = rows.get(member.name.removeprefix("./"))
            content = archive.extractfile(member) if member.isfile() else None
            if row is None or content is None or split not in (None, row["kermany_split"]):
                continue
            yield LabelledImage(
                row["file"], row["kermany_split"], row["patient_number"], row["label"] == "1", content.read()
            )


def halves(patients: list[str], seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Two sets of patients, the same for the same seed whatever order they come in."""
    ordered = sorted(set(patients))
    random.Random(seed).shuffle(ordered)  # noqa: S311 - a reproducible split, not a secret
    middle = len(ordered) // 2
    return frozenset(ordered[:middle]), frozenset(ordered[middle:])


def persons_to_learn_from() -> list[str]:
    """Every person number of the train split of both image sets that the test split does not have, sorted."""
    tested, seen = set(), set()
    for name in ("cxr224", "cxr256_aspect"):
        with (data_folder() / "cxr" / f"{name}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                (tested if row["kermany_split"] == "test" else seen).add(row["patient_number"])
    return sorted(seen - tested)


def held_back(persons: Iterable[str], seed: int, share: float) -> frozenset[str]:
    """The persons kept for validation, the same for the same seed whatever order they come in."""
    ordered = np.array(sorted(set(persons)))
    np.random.default_rng(seed).shuffle(ordered)
    return frozenset(str(person) for person in ordered[: int(len(ordered) * share)])
