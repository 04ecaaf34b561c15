"""`edge audit`: the trail as people read it, and whether it is whole. UIDs, codes, numbers and aliases only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge import crypto, keys
from edge.config import Settings
from edge.journal import Journal, audit
from edge.journal.audit import Verdict
from edge.journal.journal import EMPTY

HEAD = "audit-head.json"


@dataclass(frozen=True, slots=True)
class Trail:
    """What `verify` found, and what it held the trail against."""

    verdict: Verdict
    noted: int

    @property
    def unsigned(self) -> int:
        """Events after the last checkpoint: a power cut may take those, and nothing would show."""
        return max(0, self.verdict.events - self.verdict.signed)


def verify(settings: Settings, given: tuple[int, str] | None = None) -> Trail:
    """Walk the trail; `given` is a head that somebody noted elsewhere, else the one that infer left in `run/`.

    Raises
    ------
    KeyFileError, JournalError
        If this user may not read the verify key, or the journal cannot be opened.
    """
    public = keys.verify_keys(settings.keys)
    known = given or noted(settings.run)

    def check(signature: bytes, text: bytes) -> bool:
        return any(crypto.verify(each, signature, text) for each in public)

    journal = Journal(settings.journal)
    try:
        return Trail(audit.verify(journal, check, known), known[0])
    finally:
        journal.close()


def noted(run: Path) -> tuple[int, str]:
    """The head that infer left, or the beginning."""
    try:
        told = json.loads((run / HEAD).read_text())
        return int(told["event"]), str(told["chain"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, EMPTY
