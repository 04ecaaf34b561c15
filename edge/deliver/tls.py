"""Mutual TLS towards a destination by the BCP 195 profile that does not negotiate down (PS3.15 B.12)."""

from __future__ import annotations

import ssl

from edge.config import Settings
from edge.errors import EnvironmentFailure

_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256"
)


def client_context(settings: Settings, alias: str) -> ssl.SSLContext | None:
    """What destination `alias` is called with, or None where it has no `tls` section.

    The destination must show a certificate of the configured CA that names its address (IP SAN).

    Raises
    ------
    EnvironmentFailure
        If a file is missing, unreadable, or not what it must be.
    """
    tls = settings.destinations[alias].tls
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(settings.path(tls.certificate), settings.path(tls.key))
        context.load_verify_locations(settings.path(tls.ca))
    except OSError as error:
        raise EnvironmentFailure(
            f"TLS cannot be set up ({error.strerror or 'not a PEM file of the right kind'})",
            which=f"destinations.{alias}.tls",
            hint="check certificate, key and ca, and that the room's user may read them",
        ) from None
    return context
