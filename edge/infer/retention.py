"""Erase what has been kept long enough: overwrite the key slots first, then remove the files, then say so.

In this order a crash leaves nothing that could still be opened: what the journal does not yet call erased is erased
again at the next round, and a file that cannot be opened any more is only rubbish.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge.config import Settings
from edge.journal import Journal, retention, traces
from edge.vault import Opener

ROUND_SECONDS = 600.0
ORPHAN_SECONDS = 3600.0
"""How old a file in the outbox must be to be nobody's: between its writing and its record lie milliseconds."""
_DAY = 86400.0

log = logging.getLogger("edge.infer")


def erase_expired(settings: Settings, journal: Journal, opener: Opener) -> int:
    """One round; returns how many objects were erased."""
    storage = settings.storage
    count = 0
    while batch := retention.expired(journal, storage.keep_days * _DAY, storage.max_days * _DAY):
        opener.slots.erase([each.slot for each in batch])
        for each in batch:
            for object_id, _ in each.objects:
                (settings.spool / object_id).unlink(missing_ok=True)
            retention.erased(journal, each)
            count += len(each.objects)
    if count:
        log.info("erased %d objects", count)
        _forget_reports(journal, settings.outbox)
        traces.forget(journal)
    return count


def sweep_outbox(journal: Journal, outbox: Path) -> int:
    """Remove reports that no delivery speaks of: their job was discarded while it ran. Returns how many."""
    before = journal.clock() - ORPHAN_SECONDS
    old = [path for path in outbox.glob("*.dcm") if path.stat().st_mtime < before]
    known = retention.reports(journal) if old else frozenset()
    orphans = [path for path in old if path.stem not in known]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def _forget_reports(journal: Journal, outbox: Path) -> None:
    for uid in retention.finished_reports(journal):
        (outbox / f"{uid}.dcm").unlink(missing_ok=True)
