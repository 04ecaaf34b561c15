"""Mutual TLS by the BCP 195 (RFC 8996, RFC 9325) profile that does not negotiate down (PS3.15 B.12)."""

from __future__ import annotations

import ssl

from edge.config import Settings
from edge.errors import EnvironmentFailure

_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256"
)


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """The listener's TLS, or None when [receive.tls] is not there.

    TLS 1.2 with forward secrecy and AEAD, or 1.3; the peer must show a certificate of the configured CA.

    Raises
    ------
    EnvironmentFailure
        If a file is missing, unreadable, or not what it must be.
    """
    tls = settings.receive.tls
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.path(tls.certificate), settings.path(tls.key))
        context.load_verify_locations(settings.path(tls.ca))
    except OSError as error:
        raise EnvironmentFailure(
            f"TLS cannot be set up ({error.strerror or 'not a PEM file of the right kind'})",
            which="receive.tls",
            hint="check certificate, key and ca, and that the room's user may read them",
        ) from None
    return context
