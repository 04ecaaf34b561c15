"""Mutual TLS by the BCP 195 (RFC 8996, RFC 9325) profile that does not negotiate down (PS3.15 B.12), for every room.

TLS 1.2 with forward secrecy and AEAD, or 1.3. A server wants a certificate of the configured CA from whoever calls; a
client wants one of that CA that names the address it called (IP SAN).
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from edge.config.receive import Tls
from edge.errors import EnvironmentFailure

_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256"
)


class Paths(Protocol):
    """What turns a path of the config into an absolute one (`Settings`)."""

    def path(self, text: str) -> Path: ...


def server_context(tls: Tls | None, paths: Paths, which: str) -> ssl.SSLContext | None:
    """A listener's TLS, or None without a section. `which` names the section in errors.

    Raises
    ------
    EnvironmentFailure
        If a file is missing, unreadable, or not what it must be.
    """
    if tls is None:
        return None
    context = _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, paths, which)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls | None, paths: Paths, which: str) -> ssl.SSLContext | None:
    """What a peer is called with, or None without a section. Raises EnvironmentFailure as `server_context`."""
    return None if tls is None else _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls, paths, which)


def _loaded(context: ssl.SSLContext, tls: Tls, paths: Paths, which: str) -> ssl.SSLContext:
    context.minimum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls.minimum_version]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(paths.path(tls.certificate), paths.path(tls.key))
        context.load_verify_locations(paths.path(tls.ca))
    except OSError as error:
        raise EnvironmentFailure(
            f"TLS cannot be set up ({error.strerror or 'not a PEM file of the right kind'})",
            which=which,
            hint="check certificate, key and ca, and that the room's user may read them",
        ) from None
    return context
