"""A peer's status in words: the standard's for an archive, our own for a relink gateway."""

from __future__ import annotations

import pytest

from edge.commands.deliveries import _meaning


@pytest.mark.parametrize(
    ("reason", "kind", "meaning"),
    [
        ("status-A700", "deidentified", "Failure: Refused: Out of Resources"),
        ("status-B000", "deidentified", "Warning: Coercion of Data Elements"),
        ("status-A701", "deidentified", "Failure: Refused: Out of Resources"),
        ("status-A701", "relink", "not there yet"),
        ("status-C101", "relink", "more than one patient"),
        ("status-0110", "relink", "Failure: Processing Failure"),
        ("peer-unreachable", "relink", ""),
        ("", "relink", ""),
    ],
)
def test_what_the_peer_said(reason: str, kind: str, meaning: str) -> None:
    assert _meaning(reason, kind) == meaning
