"""Read edge.toml, check it, and say of every mistake: which key, which line, what to try."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from edge.config.explain import explain, locate, nearest
from edge.config.relink import Relink
from edge.config.routes import MATCHABLE
from edge.config.settings import Document, Settings
from edge.errors import ConfigError

DEFAULT = Path("/etc/edge/edge.toml")


def find(given: Path | None) -> Path:
    """The config file: `--config`, else $EDGE_CONFIG, ./edge.toml, /etc/edge/edge.toml."""
    environment = os.environ.get("EDGE_CONFIG")
    candidates = [given] if given else [Path(environment)] if environment else [Path("edge.toml"), DEFAULT]
    for path in candidates:
        if path.is_file():
            return path
    raise ConfigError(
        "there is no configuration file",
        which=str(candidates[0]),
        hint="write one (the README has a minimal edge.toml) or name it with --config",
    )


def load(path: Path) -> Settings:
    """The checked settings of `path`.

    Raises
    ------
    ConfigError
        For the first mistake found; `which` is `KEY, line N`.
    """
    try:
        text = path.read_text("utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read ({error.strerror})", which=path.name, hint="check its mode"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not TOML: {error}", which=path.name, hint="correct the place named") from None
    try:
        document = msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        raise explain(str(error), raw, text) from None
    problem = next(iter(_problems(document)), None)
    if problem:
        key, what, hint = problem
        raise ConfigError(what, which=locate(key, text), hint=hint)
    fields = {name: getattr(document, name) for name in document.__struct_fields__}
    return Settings(file=path.resolve(), **fields)


def _problems(document: Document) -> Any:
    """What the types cannot say, as (key, what, hint)."""
    yield from _peer_problems(document)
    yield from _route_problems(document)
    for alias, destination in document.destinations.items():
        yield from _destination_problems(alias, destination)
    if document.relink:
        yield from _relink_problems(document.relink)
    yield from _notify_problems(document)
    for name in _twice([route.name for route in document.routes]):
        yield "routes", f"two routes are called {name}", "give each its own name"
    if document.storage.keep_days > document.storage.max_days:
        yield "storage.keep_days", "keep_days is longer than max_days", "make max_days the longer one"


def _peer_problems(document: Document) -> Any:
    if not _is_address(document.receive.bind):
        yield "receive.bind", "this is not an IP address", "0.0.0.0 or one address of this machine"
    for index, peer in enumerate(document.receive.peers):
        for host in peer.hosts:
            if not _is_network(host):
                yield f"receive.peers[{index}].hosts", "this is not an IP address or network", "e.g. 10.0.0.0/24"
    for alias in _twice([peer.alias for peer in document.receive.peers]):
        yield "receive.peers", f"two peers are called {alias}", "give each its own alias"


def _route_problems(document: Document) -> Any:
    for index, route in enumerate(document.routes):
        for alias in route.deliver:
            if alias not in document.destinations:
                yield (
                    f"routes[{index}].deliver",
                    f"there is no destination `{alias}`",
                    nearest(alias, list(document.destinations)) or f"add [destinations.{alias}]",
                )
        for keyword in route.when:
            if keyword not in MATCHABLE:
                yield (
                    f"routes[{index}].when",
                    f"a route cannot look at `{keyword}`",
                    nearest(keyword, MATCHABLE) or f"one of: {', '.join(MATCHABLE)}",
                )


def _destination_problems(alias: str, destination: Any) -> Any:
    key = f"destinations.{alias}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", alias):
        yield key, "this is not an alias", "use a-z, 0-9, dash and underscore"
    yield from _protocol_problems(key, destination)
    if not _is_address(destination.host):
        yield f"{key}.host", "this is not an IP address", "write the address: names are never looked up"
    elif (
        destination.kind == "deidentified"
        and not destination.accept_unfiled_results
        and not ipaddress.ip_address(destination.host).is_loopback
    ):
        yield (
            f"{key}.kind",
            "an archive files PHI-free objects under no patient",
            'use kind = "relink", or accept_unfiled_results = true if you mean it',
        )


def _notify_problems(document: Document) -> Any:
    host, _, port = document.notify.syslog.rpartition(":")
    if host and not (_is_address(host.strip("[]")) and 0 < int(port) < 1 << 16):
        yield "notify.syslog", "this is not an IP address and a port", 'e.g. "10.0.0.5:514": names are never looked up'
    collector = document.audit.collector
    if collector is None:
        return
    if not _is_address(collector.host):
        yield "audit.collector.host", "this is not an IP address", "write the address: names are never looked up"
    elif collector.tls is None and not ipaddress.ip_address(collector.host).is_loopback:
        yield "audit.collector.host", "off loopback the audit trail needs TLS", "add [audit.collector.tls]"


def _protocol_problems(key: str, destination: Any) -> Any:
    if destination.protocol == "dimse" and destination.ae_title is None:
        yield key, "ae_title is missing", "the AE title that the destination answers to"
    if destination.protocol == "dimse":
        return
    if destination.kind == "relink":
        yield f"{key}.protocol", "a relink gateway speaks DIMSE only", 'protocol = "dimse", or kind = "deidentified"'
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", destination.path):
        yield f"{key}.path", "this is not the path of a service", 'e.g. "/dicom-web"'
    if destination.authorization and destination.tls is None and not _is_loopback(destination.host):
        yield f"{key}.authorization", "a secret would be sent in the clear", f"add [{key}.tls]"


def _relink_problems(relink: Relink) -> Any:
    if not _is_address(relink.bind):
        yield "relink.bind", "this is not an IP address", "0.0.0.0 or one address of this machine"
    elif relink.tls is None and not ipaddress.ip_address(relink.bind).is_loopback:
        yield "relink.bind", "off loopback the gateway needs mutual TLS", "add [relink.tls]: this door writes records"
    if not _is_address(relink.pacs.host):
        yield "relink.pacs.host", "this is not an IP address", "write the address: names are never looked up"
    for index, box in enumerate(relink.boxes):
        for host in box.hosts:
            if not _is_network(host):
                yield f"relink.boxes[{index}].hosts", "this is not an IP address or network", "e.g. 10.0.0.7/32"
        if box.certificate and relink.tls is None:
            yield f"relink.boxes[{index}].certificate", "without TLS there is none to compare", "add [relink.tls]"
    for name, messages in (("fhir", relink.fhir), ("hl7", relink.hl7)):
        if messages is not None:
            yield from _message_problems(f"relink.{name}", messages)
    for alias in _twice([box.alias for box in relink.boxes if box.alias]):
        yield "relink.boxes", f"two boxes are called {alias}", "give each its own alias"


def _message_problems(key: str, messages: Any) -> Any:
    if messages.host is None and messages.folder is None:
        yield key, "messages have nowhere to go", "give a folder, or host and port"
    if messages.host is not None and not _is_address(messages.host):
        yield f"{key}.host", "this is not an IP address", "write the address: names are never looked up"
    elif messages.host is not None and not messages.port:
        yield f"{key}.port", "port is missing", "the TCP port of the receiver"
    if getattr(messages, "authorization", None) and messages.tls is None and not _is_loopback(messages.host or ""):
        yield f"{key}.authorization", "a secret would be sent in the clear", f"add [{key}.tls]"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ipaddress.ip_address(text).is_loopback


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
