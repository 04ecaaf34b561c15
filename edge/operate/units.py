"""What the systemd units cannot know before edge.toml is written: addresses and the files that each room may see.

In: checked settings. Out: drop-ins for the units of firmware_scripts/systemd. Invariant: a room sees its own TLS files
only, and no address is let through that edge.toml does not name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edge.config import Settings
from edge.config.receive import Tls
from edge.config.relink import Relink
from edge.errors import ConfigError
from edge.files import write_durably

ROOT = Path("/var/lib/edge")
RELINK_ROOT = Path("/var/lib/edge-relink")
"""Of the gateway, which has a machine of its own."""
NAME = "50-config.conf"
_HEAD = "# Written by `edge config units` from edge.toml; edit that file and run it again.\n"


def drop_ins(settings: Settings) -> dict[str, str]:
    """Text by file name, relative to a folder of units.

    Raises
    ------
    ConfigError
        If `box.root` is not the folder that the units are made for.
    """
    root = RELINK_ROOT if settings.relink else ROOT
    if settings.root != root:
        raise ConfigError("the units are made for one root", which="box.root", hint=f'root = "{root}"')
    texts = _of_relink(settings, settings.relink) if settings.relink else _of_box(settings)
    return {f"{unit}.d/{NAME}": text for unit, text in texts.items()}


def _of_box(settings: Settings) -> dict[str, str]:
    receive = settings.receive
    callers = [host for peer in receive.peers for host in peer.hosts]
    return {
        "edge-receive.socket": _section("Socket", _socket(receive.bind, receive.port, callers)),
        "edge-receive.service": _section("Service", _bound(_tls_files(settings, [receive.tls]))),
        "edge-infer.service": _section("Service", _bound(map(settings.path, settings.models.trusted_keys))),
        "edge-deliver.service": _section("Service", _deliver(settings)),
    }


def _of_relink(settings: Settings, relink: Relink) -> dict[str, str]:
    boxes = [host for box in relink.boxes for host in box.hosts]
    return {
        "edge-relink.socket": _section("Socket", _socket(relink.bind, relink.port, boxes)),
        "edge-relink.service": _section("Service", _gateway(settings, relink)),
    }


def write(settings: Settings, folder: Path) -> list[Path]:
    """Write the drop-ins under `folder`; returns their paths. Raises ConfigError, OSError."""
    paths = []
    for name, text in drop_ins(settings).items():
        path = folder / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_durably(path, text.encode(), 0o644)
        paths.append(path)
    return paths


def _socket(bind: str, port: int, callers: Iterable[str]) -> Iterator[str]:
    yield "ListenStream="
    yield f"ListenStream={f'[{bind}]' if ':' in bind else bind}:{port}"
    yield from _allowed(callers)


def _deliver(settings: Settings) -> Iterator[str]:
    destinations, collector = settings.destinations.values(), settings.audit.collector
    told = [settings.notify.syslog.rpartition(":")[0].strip("[]")] if settings.notify.syslog else []
    collecting = [collector.host] if collector else []
    yield from _allowed([*(destination.host for destination in destinations), *told, *collecting])
    secrets = [settings.path(each.authorization) for each in destinations if each.authorization]
    used = [destination.tls for destination in destinations] + ([collector.tls] if collector else [])
    yield from _bound([*secrets, *_tls_files(settings, used)])


def _gateway(settings: Settings, relink: Relink) -> Iterator[str]:
    told = [each for each in (relink.fhir, relink.hl7) if each is not None]
    yield from _allowed([relink.pacs.host, *(each.host for each in told if each.host)])
    secrets = [settings.path(relink.fhir.authorization)] if relink.fhir and relink.fhir.authorization else []
    used = [relink.tls, relink.pacs.tls, *(each.tls for each in told)]
    yield from _bound([*secrets, *_tls_files(settings, used)])
    for folder in sorted({settings.path(each.folder) for each in told if each.folder}):
        yield f"BindPaths={_escaped(folder)}"
        yield f"NoExecPaths={_escaped(folder, '+')}"


def _allowed(addresses: Iterable[str]) -> Iterator[str]:
    yield from (f"IPAddressAllow={address}" for address in sorted(set(addresses)))


def _bound(paths: Iterable[Path]) -> Iterator[str]:
    yield from (f"BindReadOnlyPaths={_escaped(path)}" for path in sorted(set(paths)))


def _tls_files(settings: Settings, sections: Iterable[Tls | None]) -> Iterator[Path]:
    for tls in sections:
        if tls is not None:
            yield from map(settings.path, (tls.certificate, tls.key, tls.ca))


def _escaped(path: Path, prefix: str = "") -> str:
    """For systemd.exec(5): a percent sign is a specifier, a colon parts source and destination."""
    return (
        f'"{prefix}' + str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"').replace(":", "\\:") + '"'
    )


def _section(name: str, lines: Iterable[str]) -> str:
    return "\n".join((f"{_HEAD}[{name}]", *lines)) + "\n"
