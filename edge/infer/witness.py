"""Signs the audit trail, as infer alone can, and leaves the newest head where the other rooms cannot take it away.

`run/audit-head.json` belongs to this room's user in a sticky folder, and the log has a line for each head: a trail that
is cut off together with its checkpoints is still found, by `edge audit verify`.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from edge import crypto
from edge.errors import EdgeError
from edge.files import write_durably
from edge.journal import Journal, audit
from edge.journal.database import DatabaseError
from edge.operate.audit import HEAD

_MODE = 0o440

log = logging.getLogger("edge.infer")


class Witness:
    """Looks after every ring; signs when it is due."""

    def __init__(self, journal: Journal, sign_key: bytes, run: Path) -> None:
        self._journal = journal
        self._sign_key = sign_key
        self._path = run / HEAD

    def look(self, *, now: bool = False) -> None:
        """Sign what is due, or all there is `now`. A journal that cannot be written is tried again at the next look."""
        try:
            head = audit.checkpoint(self._journal, lambda statement: crypto.sign(self._sign_key, statement), now=now)
            if head is not None:
                told = {"event": head.event, "chain": head.chain}
                write_durably(self._path, json.dumps(told).encode(), _MODE)
                log.info("audit head %d:%s", head.event, head.chain)
        except (EdgeError, DatabaseError, OSError) as error:
            log.error("the audit trail could not be signed: %s", type(error).__name__)
