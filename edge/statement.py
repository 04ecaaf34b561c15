"""What infer signs and deliver verifies about a result: which object, for whom, which bytes."""

from __future__ import annotations

NO_SIGNATURE = "0" * 128
"""What a HELD delivery carries: deliver refuses it, so moving its state alone lets nothing out."""


def result_statement(sop_instance_uid: str, destination: str, sha256: str) -> bytes:
    """The signed statement: `sha256` is the lower case hexadecimal digest of the file in the outbox."""
    return f"edge-result-1\n{sop_instance_uid}\n{destination}\n{sha256}".encode("ascii")
