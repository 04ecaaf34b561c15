"""The one door to pynetdicom: the standard's own words for what a peer answered (PS3.4 B.2.3, PS3.7 annex C).

pynetdicom is the reference that our associations are tested against, peer by peer; in the box its tables explain.
"""

from __future__ import annotations

from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

__all__ = ["storage_status"]


def storage_status(status: int) -> str:
    """What a C-STORE status says, e.g. `Failure: Refused: Out of Resources`; empty for one that the standard lacks."""
    category, text = STORAGE_SERVICE_CLASS_STATUS.get(status, ("", ""))
    return f"{category}: {text}" if text else category
