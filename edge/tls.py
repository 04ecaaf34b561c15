"""TLS contexts by the BCP 195 non-downgrading profile (PS3.15 B.12): TLS 1.2 or newer, both sides prove themselves.

Comes in: the `tls` section of a destination or of the listener. Goes out: a context that knows our certificate and
the one CA that the other side's must come from.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from edge.config.receive import Tls
from edge.errors import ConfigError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def client(tls: Tls, path: Callable[[str], Path]) -> ssl.SSLContext:
    """For calling a peer: its certificate must come from `ca` and name the address that is called (IP SAN).

    `path` turns a path of the config into an absolute one. Raises ConfigError for a file that cannot be used.
    """
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls, path)


def server(tls: Tls, path: Callable[[str], Path]) -> ssl.SSLContext:
    """For being called: the caller must show a certificate from `ca`. Raises ConfigError."""
    context = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, tls: Tls, path: Callable[[str], Path]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(path(tls.certificate), path(tls.key))
    except (OSError, ValueError):
        raise ConfigError(
            "certificate and key cannot be used together", which=tls.certificate, hint="give a PEM chain and its key"
        ) from None
    try:
        context.load_verify_locations(path(tls.ca))
    except (OSError, ValueError):
        raise ConfigError("the CA file cannot be used", which=tls.ca, hint="give PEM certificates") from None
    return context
