"""The one door to `cryptography`: sealing to a public key, authenticated chunks, signatures.

Primitives: X25519 + HKDF-SHA-256 (RFC 7748, RFC 5869), AES-256-GCM (NIST SP 800-38D), Ed25519 (RFC 8032).
"""

from __future__ import annotations

import os

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

__all__ = [
    "AESGCM",
    "InvalidTag",
    "parse_private",
    "parse_public",
    "private_pem",
    "public_pem",
    "seal_key_pair",
    "seal_public",
    "sign",
    "signing_key_pair",
    "unwrap",
    "verify",
    "verify_public",
    "wrap",
    "wrapped_size",
]

_EPHEMERAL = 32
_TAG = 16
_ONE_TIME_NONCE = bytes(12)
_RAW_KEY = 32


def seal_key_pair() -> tuple[bytes, bytes]:
    """A new X25519 pair as (private, public) raw bytes."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def seal_public(private: bytes) -> bytes:
    """The public half of an X25519 private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def verify_public(private: bytes) -> bytes:
    """The public half of an Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def signing_key_pair() -> tuple[bytes, bytes]:
    """A new Ed25519 pair as (private, public) raw bytes."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def wrapped_size(plain: int) -> int:
    """The length of `wrap`'s result for `plain` bytes."""
    return _EPHEMERAL + plain + _TAG


def wrap(public: bytes, plain: bytes, label: bytes) -> bytes:
    """Seal `plain` so that only the holder of the private key can open it; `label` is authenticated."""
    one_time = X25519PrivateKey.generate()
    ephemeral = one_time.public_key().public_bytes_raw()
    key = _derive(one_time.exchange(X25519PublicKey.from_public_bytes(public)), ephemeral + public)
    # the key is used once, so a fixed nonce is safe
    return ephemeral + AESGCM(key).encrypt(_ONE_TIME_NONCE, plain, label)


def unwrap(private: bytes, blob: bytes, label: bytes) -> bytes:
    """Open what `wrap` sealed. Raises InvalidTag when it was changed, erased or sealed to another key."""
    own = X25519PrivateKey.from_private_bytes(private)
    ephemeral = blob[:_EPHEMERAL]
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    except ValueError:
        raise InvalidTag from None
    key = _derive(shared, ephemeral + own.public_key().public_bytes_raw())
    return AESGCM(key).decrypt(_ONE_TIME_NONCE, blob[_EPHEMERAL:], label)


def opens(private: bytes, public: bytes) -> bool:
    """Whether `private` and `public` are one X25519 pair."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() == public


def sign(private: bytes, message: bytes) -> bytes:
    """An Ed25519 signature, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(message)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key holder's for `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def private_pem(private: bytes) -> bytes:
    """A raw Ed25519 private key as PKCS #8 PEM, which openssl(1) reads too."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(public: bytes) -> bytes:
    """A raw Ed25519 public key as PEM (SubjectPublicKeyInfo)."""
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def parse_private(data: bytes) -> bytes:
    """The raw Ed25519 private key in `data`: 32 bytes, or an unencrypted PEM. Raises ValueError."""
    if len(data) == _RAW_KEY:
        return data
    try:
        key = load_pem_private_key(data, password=None)
    except Exception:  # noqa: BLE001 - several classes, whose texts may hold parts of the key
        raise ValueError("no private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("no Ed25519 key")
    return key.private_bytes_raw()


def parse_public(data: bytes) -> bytes:
    """The raw Ed25519 public key in `data`: 32 bytes, or PEM. Raises ValueError."""
    if len(data) == _RAW_KEY:
        return data
    try:
        key = load_pem_public_key(data)
    except Exception:  # noqa: BLE001 - as above
        raise ValueError("no public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("no Ed25519 key")
    return key.public_bytes_raw()


def certificate_expires(pem: bytes) -> float:
    """When the first certificate of a PEM text ends to be valid, in seconds since the epoch. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def random_bytes(count: int) -> bytes:
    """`count` bytes from the kernel's generator."""
    return os.urandom(count)


def _derive(shared: bytes, context: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"edge-wrap-1" + context).derive(shared)
