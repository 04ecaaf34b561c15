"""A peer's status in words: the standard's for an archive, our own for a relink gateway."""

from __future__ import annotations

import pytest

from edge.commands.deliveries import _meaning
from edge.deliver import web


@pytest.mark.parametrize(
    ("reason", "kind", "meaning"),
    [
        ("status-A700", "deidentified", "Failure: Refused: Out of Resources"),
        ("status-B000", "deidentified", "Warning: Coercion of Data Elements"),
        ("status-A701", "deidentified", "Failure: Refused: Out of Resources"),
        ("status-A701", "relink", "not there yet"),
        ("status-C101", "relink", "more than one patient"),
        ("status-0110", "relink", "Failure: Processing Failure"),
        ("peer-unreachable", "relink", "nobody answers at its address"),
        ("", "relink", ""),
    ],
)
def test_what_the_peer_said(reason: str, kind: str, meaning: str) -> None:
    assert _meaning(reason, kind) == meaning


@pytest.mark.parametrize("status", [200, 202, 301, 400, 401, 403, 404, 409, 413, 415, 429, 500, 503])
def test_every_status_of_a_web_service_says_something(status: int) -> None:
    assert _meaning(web.decide(status, b"", "").reason, "deidentified")


@pytest.mark.parametrize(
    "reason",
    ["peer-tls", "silent", "aborted", "released", "peer-protocol", "peer-rejected-1-3", "signature", "file-missing",
     "context-refused-4", "newer-revision", "rejected-safety", "not-ours:PatientName"],
)  # fmt: skip
def test_what_is_no_status_says_something_too(reason: str) -> None:
    assert len(_meaning(reason, "relink")) > 10
