"""The one door to pynetdicom: what it knows of the standard, without its listener.

Our own association loops (`edge.receive`, `edge.scu`) speak PS3.8 themselves, bounded and without threads of their own;
pynetdicom keeps the tables, and is the peer and the oracle in tests.
"""

from __future__ import annotations

from pynetdicom import AllStoragePresentationContexts

VERIFICATION = "1.2.840.10008.1.1"


def storage_sop_classes() -> frozenset[str]:
    """Every SOP Class UID of the Storage Service Class (PS3.4 annex B) that pynetdicom knows."""
    return frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
