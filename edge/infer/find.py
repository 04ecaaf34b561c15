"""`edge find`: which stored studies carry this accession number or patient ID?

Nothing that identifies a patient is kept outside the sealed objects, so they are asked: newest first, one object of
each series of each association, each head opened and closed again. The answer is UIDs and states.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from edge.errors import SealError, UsageError
from edge.infer.headers import Headers
from edge.infer.refusal import Refusal
from edge.journal import Journal, search
from edge.records import Instance

KEYWORDS = MappingProxyType({"accession": "AccessionNumber", "patient-id": "PatientID"})
_TOLD_SECONDS = 0.5


class Finder:
    """Looks through the sealed heads."""

    def __init__(self, journal: Journal, headers: Headers) -> None:
        self._journal = journal
        self._headers = headers

    def find(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The act `find`: {by, value}. Yields progress, then each study as it is found. Raises UsageError."""
        keyword = KEYWORDS.get(str(request.get("by")))
        value = str(request.get("value", "")).strip()
        if keyword is None or not value:
            raise UsageError("there is nothing to look for", hint="write the value to stdin: edge find --accession -")
        self._journal.note("box", "find", "", "SEARCHED", str(request["by"]))
        began = told = time.monotonic()
        heads = search.heads(self._journal)
        found: set[str] = set()
        for number, instance in enumerate(heads):
            if time.monotonic() - told >= _TOLD_SECONDS:
                told = time.monotonic()
                yield {"progress": number, "of": len(heads)}
            study = instance.study_instance_uid
            if study not in found and self._carries(instance, keyword, value):
                found.add(study)
                self._journal.note("study", study, "", "FOUND", str(request["by"]))
                yield {"study": search.states(self._journal, study)}
        yield {"end": True, "looked_at": len(heads), "seconds": round(time.monotonic() - began, 3)}

    def _carries(self, instance: Instance, keyword: str, value: str) -> bool:
        try:
            # a value that cannot be decoded is not the one that was asked for
            return str(self._headers.read(instance).get(keyword, "")).strip() == value
        except (Refusal, SealError, OSError, ValueError, LookupError):
            return False
