"""Who vouches for a package: Ed25519 over the manifest's bytes, which hold every member's SHA-256 and size.

In: key files, a manifest, a signature of 64 bytes. Out: the trusted key that made it, or a `PackageError`. A package
that is signed twice has one signature: the last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge import crypto
from edge.errors import KeyFileError, PackageError
from edge.files import write_durably, write_new
from edge.packages.package import SIGNATURE, load_folder

SIZE = 64
_MAX_KEY_FILE = 1 << 14
_PRIVATE, _PUBLIC = 0o400, 0o444


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A vendor's public key. `id` is what the audit trail says: the first 16 digits of its SHA-256."""

    public: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(self.public).hexdigest()[:16]


def load_keys(paths: Iterable[Path]) -> tuple[TrustedKey, ...]:
    """The public keys in these files: 32 raw bytes each, or PEM.

    Raises
    ------
    KeyFileError
        If one cannot be read or holds no Ed25519 public key.
    """
    return tuple(TrustedKey(_parsed(path, public=True)) for path in paths)


def make_keys(private: Path, public: Path) -> TrustedKey:
    """A new pair of key files (PEM); an existing file is never replaced.

    Raises
    ------
    KeyFileError
        If one is there already.
    """
    for path in (private, public):
        if path.exists():
            raise KeyFileError("the file is there already", which=str(path), hint="give another name")
    secret, known = crypto.signing_key_pair()
    write_new(private, crypto.private_pem(secret), _PRIVATE)
    write_new(public, crypto.public_pem(known), _PUBLIC)
    return TrustedKey(known)


def sign_folder(folder: Path, key: Path) -> TrustedKey:
    """Write `SIGNATURE` into a package folder whose members are all as its manifest says.

    Raises
    ------
    KeyFileError
        If `key` holds no Ed25519 private key.
    PackageError
        If the folder is no whole package.
    """
    private = _parsed(key, public=False)
    package = load_folder(folder)
    for member in package.manifest.members:
        package.read(member)
    write_durably(folder / SIGNATURE, crypto.sign(private, package.manifest_bytes), _PUBLIC)
    return TrustedKey(crypto.verify_public(private))


def verified(manifest: bytes, signature: bytes | None, keys: Iterable[TrustedKey]) -> TrustedKey:
    """The one of `keys` that signed `manifest`.

    Raises
    ------
    PackageError
        If there is no signature, or none of `keys` made it.
    """
    if signature is None:
        raise PackageError("the package is not signed", which=SIGNATURE, hint="get it signed: `edge models sign`")
    for key in keys:
        if len(signature) == SIZE and crypto.verify(key.public, signature, manifest):
            return key
    raise PackageError(
        "no trusted key signed this manifest", which=SIGNATURE, hint="add the vendor's key to models.trusted_keys"
    )


def _parsed(path: Path, *, public: bool) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_KEY_FILE)
    except OSError as error:
        raise KeyFileError(
            f"the key file cannot be read ({error.strerror})", which=path.name, hint="check the path and its mode"
        ) from None
    try:
        return crypto.parse_public(data) if public else crypto.parse_private(data)
    except ValueError:
        kind = "public" if public else "private"
        raise KeyFileError(
            f"the file holds no Ed25519 {kind} key", which=path.name, hint="32 raw bytes or PEM; `edge models keygen`"
        ) from None
