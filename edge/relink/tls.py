"""Mutual TLS by the BCP 195 profile that does not negotiate down (PS3.15 B.12), on both sides of the gateway."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from edge.config.receive import Tls
from edge.errors import EnvironmentFailure

_CIPHERS = "ECDHE+AESGCM:DHE+AESGCM:!aNULL:!PSK:!SRP"


def server(tls: Tls, path: Callable[[str], Path]) -> ssl.SSLContext:
    """For boxes that call: each must show a certificate of the CA.

    `path` turns a path of the config into an absolute one. Raises EnvironmentFailure for a file that cannot be used.
    """
    context = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, path, "relink.tls")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(tls: Tls, path: Callable[[str], Path]) -> ssl.SSLContext:
    """For calling the PACS: its certificate must be of the CA and name the address called."""
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls, path, "relink.pacs.tls")


def _load(context: ssl.SSLContext, tls: Tls, path: Callable[[str], Path], which: str) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(path(tls.certificate), path(tls.key))
        context.load_verify_locations(path(tls.ca))
    except OSError as error:
        raise EnvironmentFailure(
            f"TLS cannot be set up ({error.strerror or 'not a PEM file of the right kind'})",
            which=which,
            hint="check certificate, key and ca, and that the gateway's user may read them",
        ) from None
    return context
