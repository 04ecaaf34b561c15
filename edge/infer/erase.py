"""`edge erase`: one study, now. Its key slots are overwritten before anything else that takes time.

From that moment nothing can open its objects, whatever copies of the files exist; the files and the journal's rows
follow. What a crash interrupts is done again at start (`resume`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.errors import BadObject, JournalError, UsageError
from edge.infer.headers import Headers
from edge.journal import Journal, erasure, traces
from edge.records import as_code, parse_uid
from edge.vault import Opener


class Eraser:
    """Erases studies of one box; used by one thread at a time."""

    def __init__(self, spool: Path, outbox: Path, journal: Journal, opener: Opener, headers: Headers) -> None:
        self._spool = spool
        self._outbox = outbox
        self._journal = journal
        self._opener = opener
        self._headers = headers

    def erase(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The act `erase`: {study, reason}.

        Raises
        ------
        UsageError
            If `study` is not a UID, or `reason` no code.
        JournalError
            If there is no such study, or it is still being received.
        """
        study, reason = _asked(request)
        objects = erasure.stored(self._journal, study)
        if not objects:
            raise JournalError("nothing of this study is stored", which=study, hint="`edge find` by accession")
        stopped = erasure.begin(self._journal, study, reason)
        count, milliseconds = self._forget_keys(study)
        for done in self._remove(study, reason, stopped.reports):
            yield {"progress": done, "of": objects}
        yield {
            "end": True, "study_instance_uid": study, "objects": objects, "slots": count, "jobs": stopped.jobs,
            "deliveries": stopped.deliveries, "key_milliseconds": round(milliseconds, 3),
        }  # fmt: skip

    def resume(self) -> None:
        """Bring to an end what an earlier process began."""
        for study, reason in erasure.unfinished(self._journal):
            self._forget_keys(study)
            for _ in self._remove(study, reason, ()):  # retention takes the reports that are left
                pass

    def _forget_keys(self, study: str) -> tuple[int, float]:
        """Overwrite the study's slots; how many, and in how many milliseconds."""
        started = time.perf_counter()
        slots = erasure.slots(self._journal, study)
        self._opener.slots.erase(slots)
        return len(slots), (time.perf_counter() - started) * 1e3

    def _remove(self, study: str, reason: str, reports: tuple[str, ...]) -> Iterator[int]:
        """Files and rows, a few at a time: the receive room writes in between. Yields how many are done."""
        for report in reports:
            (self._outbox / f"{report}.dcm").unlink(missing_ok=True)
        done = 0
        for objects in erasure.batches(self._journal, study):
            for object_id in objects:
                (self._spool / object_id).unlink(missing_ok=True)
                self._headers.forget(object_id)
            erasure.gone(self._journal, objects, reason)
            done += len(objects)
            yield done
        traces.forget(self._journal)
        erasure.end(self._journal, study, reason)


def _asked(request: Mapping[str, Any]) -> tuple[str, str]:
    reason = as_code(str(request.get("reason", "")))
    if not reason or not set(reason).isdisjoint("+/"):
        raise UsageError("the reason is not a code", which="--reason", hint="letters, digits and _ . : - only")
    try:
        return parse_uid(str(request.get("study", "")), "STUDY_UID"), reason
    except BadObject as error:
        raise UsageError(error.what, which="STUDY_UID", hint="digits and dots; `edge jobs show` names it") from None
