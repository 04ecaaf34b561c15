"""A result from the outbox, believed only after its signature: the journal is shared state, not a wall.

Comes in: a delivery as the journal tells it. Goes out: the parts of the file that infer signed for this very
destination, or a `Refused` with a reason for the journal.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from edge import crypto
from edge.errors import BadObject, DeliveryError
from edge.part10 import Part10, split
from edge.records import Delivery, parse_uid
from edge.statement import result_statement


class Refused(DeliveryError):
    """The file is not what infer signed; `reason` is for the journal."""

    def __init__(self, reason: str) -> None:
        super().__init__("the result cannot be trusted", which=reason, hint="`edge jobs retry` makes the report anew")
        self.reason = reason


def read(outbox: Path, item: Delivery, verify_key: bytes) -> Part10:
    """The result that `item` names.

    Raises
    ------
    Refused
        `signature` when digest, signature or names do not agree, `file-missing` when there is none.
    OSError
        If the file is there and cannot be read.
    """
    try:
        name = parse_uid(item.sop_instance_uid)
        file = _bytes(outbox / f"{name}.dcm")
    except BadObject:
        raise Refused("signature") from None
    except FileNotFoundError:
        raise Refused("file-missing") from None
    digest = hashlib.sha256(file).hexdigest()
    if digest != item.sha256 or not _signed(item, digest, verify_key):
        raise Refused("signature")
    try:
        parts = split(file)
    except BadObject:
        raise Refused("signature") from None
    if (parts.sop_instance_uid, parts.sop_class_uid) != (item.sop_instance_uid, item.sop_class_uid):
        raise Refused("signature")
    return parts


def _signed(item: Delivery, digest: str, verify_key: bytes) -> bool:
    try:
        signature = bytes.fromhex(item.signature)
        statement = result_statement(item.sop_instance_uid, item.destination, digest)
    except ValueError:
        return False
    return crypto.verify(verify_key, signature, statement)


def _bytes(path: Path) -> bytes:
    """The file's bytes; a link or anything but a plain file counts as missing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise FileNotFoundError(path.name) from None
        raise error from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path.name)
        return file.read()
