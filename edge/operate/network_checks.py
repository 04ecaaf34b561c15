"""Doctor's look at the network: the rooms, the listener, every destination by a real C-ECHO."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator

from edge import dimse, rooms, scu
from edge.config import Settings
from edge.config.destinations import Destination
from edge.crypto import certificate_expires
from edge.errors import EdgeError, PeerFailure
from edge.operate.check import Check, failed, passed, warned
from edge.operate.configuration import is_loopback
from edge.operate.screen import ago, span
from edge.tls import client_context

_ECHO = ((scu.VERIFICATION, scu.IMPLICIT_VR_LITTLE_ENDIAN),)
_SECONDS = 5.0
_URGENT_SECONDS, _SOON_SECONDS = 7 * 86400.0, 60 * 86400.0


def check_network(settings: Settings) -> Iterator[Check]:
    """All checks of this file."""
    yield _rooms(settings)
    yield _listener(settings)
    if not settings.receive.peers:
        yield warned("peers", "none is listed: nobody may push", "add [[receive.peers]] to edge.toml")
    for alias, destination in settings.destinations.items():
        yield _destination(settings, alias, destination)
    yield from _certificates(settings)


def _certificates(settings: Settings) -> Iterator[Check]:
    """How long each of our certificates is still valid."""
    for name, tls in settings.tls_sections():
        check = f"certificate {name}"
        try:
            left = certificate_expires(settings.path(tls.certificate).read_bytes()) - time.time()
        except (OSError, ValueError):
            yield failed(check, "it cannot be read", "run it as root; check the path and that it is a PEM file")
            continue
        if left < _URGENT_SECONDS:
            yield failed(check, f"valid for {span(left)} more" if left > 0 else "it has expired", "renew it")
        elif left < _SOON_SECONDS:
            yield warned(check, f"valid for {span(left)} more", "renew it")
        else:
            yield passed(check, f"valid for {span(left)} more")


def _rooms(settings: Settings) -> Check:
    living = {room: rooms.announced(settings, room) for room in rooms.ROOMS}
    down = [room for room, facts in living.items() if facts is None]
    if len(down) == len(rooms.ROOMS):
        return warned("rooms", "the box is not running", "edge serve")
    if down:
        return failed("rooms", f"down: {', '.join(down)}", "look at the log of `edge serve`")
    return passed(
        "rooms", ", ".join(f"{room} {ago(float(facts['started_at']))}" for room, facts in living.items() if facts)
    )


def _listener(settings: Settings) -> Check:
    facts = rooms.announced(settings, "receive")
    bind = settings.receive.bind
    if facts is None:
        return _bindable(bind, settings.receive.port)
    port = int(facts.get("port", settings.receive.port))
    return _answering(settings, _own_address(bind), port)


def _bindable(bind: str, port: int) -> Check:
    """The box is down: nobody else may have its port."""
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            hint = "end the other program or choose another receive.port" if port > 1023 else "choose a port above 1023"
            return failed("receive", f"port {port} cannot be had ({error.strerror})", hint)
    return passed("receive", f"port {port} on {bind} is free for it")


def _answering(settings: Settings, host: str, port: int) -> Check:
    """The box is up: it must answer. A refusal is an answer: this machine need not be a peer."""
    where = f"{host}:{port}"
    if settings.receive.tls:
        return _listening(host, port)
    try:
        echo(host, port, settings.receive.ae_title, _calling(settings, host))
    except PeerFailure as error:
        if error.reason.startswith("rejected"):
            return passed("receive", f"{where} answers, and refuses this machine: it is no peer")
        return failed("receive", f"{where} does not answer ({error.reason})", "look at the log of `edge serve`")
    return passed("receive", f"{where} answers C-ECHO")


def _listening(host: str, port: int) -> Check:
    """With TLS only a peer has the certificate that is answered."""
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError as error:
        return failed(
            "receive", f"{host}:{port} cannot be reached ({error.strerror})", "look at the log of `edge serve`"
        )
    return passed("receive", f"{host}:{port} listens for TLS; a C-ECHO from a peer proves the rest")


def _calling(settings: Settings, host: str) -> str:
    """The AE title of a peer that may call from `host`, else one that nobody has."""
    address = ipaddress.ip_address(host)
    for peer in settings.receive.peers:
        if any(address in ipaddress.ip_network(network, strict=False) for network in peer.hosts):
            return peer.ae_title
    return "EDGE-DOCTOR"


def _own_address(bind: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - compared, not bound


def _destination(settings: Settings, alias: str, destination: Destination) -> Check:
    name, where = f"destination {alias}", f"{destination.host}:{destination.port}"
    try:
        context = client_context(destination.tls, settings, f"destinations.{alias}.tls")
        if destination.protocol == "stow-rs":
            return _web(name, destination, context)
        called = destination.ae_title or ""
        announced = echo(destination.host, destination.port, called, settings.receive.ae_title, context)
    except PeerFailure as error:
        if error.reason.startswith("context-refused") and destination.kind != "relink":
            return passed(name, f"{where} accepts associations (it does not offer C-ECHO)")
        return failed(name, f"{where} does not answer C-ECHO ({error.reason})", _advice(error.reason))
    except EdgeError as error:
        return failed(name, error.what, error.hint)
    if destination.kind == "relink" and announced != dimse.RELINK_VERSION_NAME:
        return failed(
            name,
            f"{where} answers, but it is no relink gateway",
            "correct host and port: an archive would file nobody's",
        )
    if destination.kind == "deidentified" and not is_loopback(destination.host):
        return warned(name, f"{where} files results under no patient", 'use kind = "relink"')
    return passed(name, f"{where} answers C-ECHO" + (" over TLS" if context else ""))


def _web(name: str, destination: Destination, context: ssl.SSLContext | None) -> Check:
    """Nothing is asked of a web service: whatever it would answer could name patients."""
    where = f"{destination.host}:{destination.port}"
    try:
        with socket.create_connection((destination.host, destination.port), _SECONDS) as plain:
            if context is not None:
                context.wrap_socket(plain, server_hostname=destination.host).close()
    except ssl.SSLError:
        return failed(name, f"{where} does not agree on TLS", _advice("tls"))
    except OSError:
        return failed(name, f"{where} cannot be reached", _advice("unreachable"))
    if not is_loopback(destination.host):
        return warned(name, f"{where} files results under no patient", 'use kind = "relink"')
    return passed(name, f"{where} listens" + (" for TLS" if context else "") + "; the first result proves the rest")


def _advice(reason: str) -> str:
    if reason.startswith("rejected"):
        return "make the AE titles of both sides agree (ours is receive.ae_title)"
    return {
        "unreachable": "start it, or correct host and port; look at firewalls",
        "tls": "check the certificates of both sides: names, dates, CA",
        "silent": "something listens there that does not speak DICOM, or is stuck",
    }.get(reason, "look at the log of the other side")


def echo(host: str, port: int, called: str, calling: str, context: ssl.SSLContext | None = None) -> str:
    """One C-ECHO; the peer's Implementation Version Name. Raises PeerFailure when it does not end in success."""
    peer = scu.Peer(host, port, called, calling, context, connect=_SECONDS, associate=_SECONDS, answer=_SECONDS)
    with scu.Scu(peer, _ECHO) as association:
        status = association.echo()
    if status:
        raise PeerFailure(f"status-{status:04X}")
    return association.announced
