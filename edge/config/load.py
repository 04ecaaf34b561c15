"""Read edge.toml, check it, and say of every mistake: which key, which line, what to try."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

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
        raise ConfigError(f"this is not TOML: {error}", which=path.name, hint="correct the line named") from None
    try:
        document = msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        raise _explain(str(error), raw, text) from None
    problem = next(iter(_problems(document)), None)
    if problem:
        key, what, hint = problem
        raise ConfigError(what, which=_where(key, text), hint=hint)
    fields = {name: getattr(document, name) for name in document.__struct_fields__}
    return Settings(file=path.resolve(), **fields)


def _explain(message: str, raw: dict[str, Any], text: str) -> ConfigError:
    """msgspec's message and path as our error: the key, its line, the nearest known key."""
    what, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        key = unknown.group(1)
        near = difflib.get_close_matches(key, _known_keys(path), 1)
        hint = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(_known_keys(path))}"
        return ConfigError("unknown key", which=_where(f"{path}.{key}".lstrip("."), text), hint=hint)
    missing = re.search(r"missing required field `(.+)`", what)
    if missing:
        return ConfigError(f"the key `{missing.group(1)}` is missing", which=_where(path, text), hint="add it")
    return ConfigError(
        what[0].lower() + what[1:], which=_where(path, text), hint="see the key in edge/config/README.md"
    )


def _known_keys(path: str) -> list[str]:
    """The keys that the section at `path` knows."""
    kind: Any = Document
    for part in re.findall(r"[^.\[\]]+", path):
        if not part.isdigit() and part != "...":
            kind = _inner(kind, part)
    return list(getattr(kind, "__struct_fields__", ()))


def _inner(kind: Any, key: str) -> Any:
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.StructType):
        for field in info.fields:
            if field.encode_name == key:
                return _struct_of(field.type)
    return kind


def _struct_of(info: Any) -> Any:
    """The section type inside a container or an optional."""
    for attribute in ("cls",):
        if hasattr(info, attribute) and isinstance(info, msgspec.inspect.StructType):
            return info.cls
    for attribute in ("item_type", "value_type"):
        if hasattr(info, attribute):
            return _struct_of(getattr(info, attribute))
    for each in getattr(info, "types", ()):
        if isinstance(each, msgspec.inspect.StructType):
            return each.cls
    return None


def _where(key: str, text: str) -> str:
    """`KEY, line N`: the line is found by walking the headers, because tomllib does not keep it."""
    number = _line(key, text)
    return f"{key}, line {number}" if number else key


def _line(key: str, text: str) -> int:
    parts = [part for part in re.findall(r"[^.\[\]]+", key) if part != "..."]
    names = [part for part in parts if not part.isdigit()]
    index = next((int(part) for part in parts if part.isdigit()), 0)
    section: list[str] = []
    seen: dict[str, int] = {}
    best = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            section = [part.strip('" ') for part in header.group(1).split(".")]
            seen[".".join(section)] = seen.get(".".join(section), -1) + 1
            if names == section and seen[".".join(section)] == index:
                best = best or number
            continue
        word = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        if word and [*section, word.group(1)] == names and seen.get(".".join(section), 0) == index:
            return number
        if word and section == names[:-1] and names[-1:] and names[-1] in line and not best:
            best = number
    return best


def _problems(document: Document) -> Any:
    """What the types cannot say, as (key, what, hint)."""
    yield from _peer_problems(document)
    yield from _route_problems(document)
    for alias, destination in document.destinations.items():
        yield from _destination_problems(alias, destination)
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
                near = difflib.get_close_matches(alias, document.destinations, 1)
                yield (
                    f"routes[{index}].deliver",
                    f"there is no destination `{alias}`",
                    f"did you mean `{near[0]}`?" if near else f"add [destinations.{alias}]",
                )
        for keyword in route.when:
            if keyword not in MATCHABLE:
                near = difflib.get_close_matches(keyword, MATCHABLE, 1)
                yield (
                    f"routes[{index}].when",
                    f"a route cannot look at `{keyword}`",
                    f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(MATCHABLE)}",
                )


def _destination_problems(alias: str, destination: Any) -> Any:
    key = f"destinations.{alias}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", alias):
        yield key, "this is not an alias", "use a-z, 0-9, dash and underscore"
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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
