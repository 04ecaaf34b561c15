"""The box's own keys: who may hold which.

    keys/open.key     X25519 private   infer only: opens sealed objects
    keys/seal.pub     X25519 public    receive: seals, cannot open
    keys/tag.key      32 random bytes  receive: keyed digest that recognises a re-send
    keys/sign.key     Ed25519 private  infer only: signs results
    keys/verify.pub   Ed25519 public   deliver: checks them
    keys/device.uid   a 2.25 UID       names this box in reports; random, tells nothing about the host
    keys/verify-*.pub Ed25519 public   earlier ones, as the audit trail was signed with before

Under systemd the private ones come as credentials: `$CREDENTIALS_DIRECTORY/<name>` wins over `keys/<name>`.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from edge import crypto
from edge.errors import KeyFileError
from edge.files import write_new

NEXT = "next"
"""The new private keys during a rotation (`edge/operate/rotation.py`)."""

_PRIVATE = 0o400
_SHARED = 0o440


def create(folder: Path) -> None:
    """Make every key that is not there yet. An existing key is never replaced: what it sealed would be lost.

    Raises
    ------
    KeyFileError
        If a public key is there whose private one is not: a new pair would not open what was sealed for the old one.
    """
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    _create_pair(folder, "open.key", "seal.pub", crypto.seal_key_pair, crypto.seal_public)
    _create_pair(folder, "sign.key", "verify.pub", crypto.signing_key_pair, crypto.verify_public)
    if not (folder / "tag.key").exists():
        write_new(folder / "tag.key", crypto.random_bytes(32), _SHARED)
    if not (folder / "device.uid").exists():
        write_new(folder / "device.uid", f"2.25.{uuid.uuid4().int}".encode(), 0o444)


def _create_pair(
    folder: Path,
    private: str,
    public: str,
    make: Callable[[], tuple[bytes, bytes]],
    public_of: Callable[[bytes], bytes],
) -> None:
    """The private half first: from it the public one is made again, should the power fail in between."""
    if not (folder / private).exists():
        if (folder / public).exists():
            raise KeyFileError(
                f"the private half of {public} is missing",
                which=private,
                hint=f"restore keys/ from the backup; if this box never received anything, remove {public} first",
            )
        write_new(folder / private, make()[0], _PRIVATE)
    if not (folder / public).exists():
        write_new(folder / public, public_of(load(folder, private)), _SHARED)


def load(folder: Path, name: str) -> bytes:
    """The key `name`, 32 bytes.

    Raises
    ------
    KeyFileError
        If it is missing, unreadable or not 32 bytes long.
    """
    if (folder / NEXT).exists():
        raise KeyFileError(
            "a rotation of the keys was interrupted", which=NEXT, hint="`edge keys rotate` goes on where it stopped"
        )
    data = read(folder, name)
    if len(data) != 32:
        raise KeyFileError("the key file does not hold 32 bytes", which=name, hint="restore it from the backup")
    return data


def former(public: bytes) -> str:
    """The file name of an earlier verify key."""
    return f"verify-{hashlib.sha256(public).hexdigest()[:16]}.pub"


def verify_keys(folder: Path) -> tuple[bytes, ...]:
    """The verify key, then the earlier ones. Raises KeyFileError."""
    earlier = sorted(path.name for path in folder.glob("verify-*.pub"))
    return tuple(load(folder, name) for name in ("verify.pub", *earlier))


def device_uid(folder: Path) -> str:
    """The UID that names this box in its reports (IHE AIR: Device UID). Raises KeyFileError."""
    text = read(folder, "device.uid").decode("ascii", "replace").strip()
    if not re.fullmatch(r"2\.25\.[0-9]{1,39}", text):
        raise KeyFileError("the key file does not hold a UID", which="device.uid", hint="restore it from the backup")
    return text


def read(folder: Path, name: str) -> bytes:
    """The bytes of a key file, whatever they are. Raises KeyFileError."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    candidates = [Path(credentials) / name] if credentials else []
    for path in (*candidates, folder / name):
        if path.exists():
            try:
                return path.read_bytes()
            except OSError as error:
                raise KeyFileError(
                    f"the key file cannot be read ({error.strerror})",
                    which=name,
                    hint="run as the room's own user, or `edge doctor`",
                ) from None
    raise KeyFileError("the key file is missing", which=name, hint="run `edge init`")
