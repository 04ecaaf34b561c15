"""Rejection notes as an archive or a workstation makes them, by highdicom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "113001": "Rejected for Quality Reasons",
        "113037": "Rejected for Patient Safety Reasons",
        "113038": "Incorrect Modality Worklist Entry",
        "113039": "Data Retention Policy Expired",
        "113000": "Of Interest",
    }
)


def note(images: Sequence[Dataset], title: str) -> Dataset:
    """A Key Object Selection of `images`, as an archive or a workstation makes it."""
    content = hd.ko.KeyObjectSelection(Code(title, "DCM", MEANINGS[title]), images)
    return hd.ko.KeyObjectSelectionDocument(
        images, content, generate_uid(), 77, generate_uid(), 1, manufacturer="Invented Devices"
    )
