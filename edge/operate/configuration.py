"""What edge.toml means on this box, beyond its own grammar: the files that it names, the packages, who gets results.

In: checked settings. Out: every problem as a ConfigError that names key and line, and the settings as text.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge.config import Settings
from edge.config.explain import locate, nearest
from edge.errors import ConfigError, PackageError
from edge.infer import roster
from edge.packages.registry import Registry


def problems(settings: Settings, registry: Registry) -> Iterator[ConfigError]:
    """All that `load` cannot know: missing files, and for each route what the infer room would refuse it for."""
    text = settings.file.read_text("utf-8")
    for key, what, hint in (*_file_problems(settings), *_package_problems(settings, registry)):
        yield ConfigError(what, which=locate(key, text), hint=hint)


def _file_problems(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for prefix, tls in settings.tls_sections():
        for field in ("certificate", "key", "ca"):
            yield from _unreadable(f"{prefix}.{field}", settings.path(getattr(tls, field)))
    for name in settings.models.trusted_keys:
        yield from _unreadable("models.trusted_keys", settings.path(name))


def _unreadable(key: str, path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        path.open("rb").close()
    except OSError as error:
        yield key, f"the file cannot be read ({error.strerror})", f"put it at {path}, or correct the path"


def _package_problems(settings: Settings, registry: Registry) -> Iterator[tuple[str, str, str]]:
    for index, route in enumerate(settings.routes):
        try:
            package = registry.resolve(route.package)
        except PackageError as error:
            near = nearest(route.package, registry.names())
            yield f"routes[{index}].package", f"there is no package `{route.package}` here", near or error.hint
            continue
        for key, problem in roster.problems(settings, route, package):
            yield f"routes[{index}].{key}", problem.what, problem.hint


def is_loopback(host: str) -> bool:
    """Whether the address is this machine's own."""
    return ipaddress.ip_address(host).is_loopback


def effective(settings: Settings) -> dict[str, Any]:
    """All settings with their defaults, as plain values; `file` and the resolved `root` beside them."""
    document: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    return document | {"file": str(settings.file), "root": str(settings.root)}


def as_toml(settings: Settings) -> str:
    """The settings as an edge.toml; what the file does not say is marked as a default."""
    written = tomllib.loads(settings.file.read_text("utf-8"))
    document: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    document.pop("file")
    lines = [f"# {settings.file}", f"# root is {settings.root}"]
    for name, value in document.items():
        if value is None:  # a section that only another machine has
            continue
        lines += _section(f"{name}", value, written.get(name))
    return "\n".join(lines) + "\n"


def _section(name: str, value: Any, written: Any) -> Iterator[str]:
    """One table or list of tables under its header, sub-tables after its own keys."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _table(f"[[{name}]]", name, item, written[index])
    elif name == "destinations":
        for alias, item in value.items():
            yield from _table(f"[{name}.{alias}]", f"{name}.{alias}", item, written[alias])
    else:
        yield from _table(f"[{name}]", name, value, written)


def _table(header: str, name: str, values: dict[str, Any], written: dict[str, Any] | None) -> Iterator[str]:
    yield f"\n{header}"
    nested = []
    for key, value in values.items():
        if key != "when" and _has_own_header(value):
            nested.append((key, value))
        elif value is not None:
            line = f"{key} = {_toml(value)}"
            yield line if written and key in written else f"{line:<40}  # default"
    for key, value in nested:
        yield from _section(f"{name}.{key}", value, (written or {}).get(key))


def _has_own_header(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value)
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return json.dumps(value)
