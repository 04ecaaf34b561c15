"""Why edge.toml was refused, in words: which key, which line, what it takes, the nearest known key.

msgspec says what is wrong and where in the document; tomllib keeps no line numbers. Both gaps are closed here.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import inspect

from edge.config.settings import Document
from edge.errors import ConfigError

_WORDS = {
    "array": "a list",
    "object": "a section",
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "a truth value",
}


def explain(message: str, raw: dict[str, Any], text: str) -> ConfigError:
    """msgspec's message about `raw` as our error. `text` is the file, for the line."""
    what, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if path.startswith("destinations[...]"):
        path = path.replace("[...]", f".{_broken_destination(raw)}", 1)
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        known = keys_at(path)
        return ConfigError(
            "unknown key",
            which=locate(f"{path}.{unknown[1]}".lstrip("."), text),
            hint=nearest(unknown[1], known) or f"one of: {', '.join(known)}",
        )
    missing = re.search(r"missing required field `(.+)`", what)
    if missing:
        takes = describe(type_at(f"{path}.{missing[1]}".lstrip(".")))
        return ConfigError(
            f"the key `{missing[1]}` is missing", which=locate(path, text), hint=f"add {missing[1]} = ({takes})"
        )
    return _wrong_value(what, path, text)


def _wrong_value(what: str, path: str, text: str) -> ConfigError:
    kind = type_at(path)
    takes = describe(kind)
    choice = re.search(r"[Ii]nvalid enum value '(.*)'", what)
    if choice and isinstance(kind, inspect.LiteralType):
        near = nearest(choice[1], [str(value) for value in kind.values])
        return ConfigError("not one of the choices", which=locate(path, text), hint=near or takes)
    came = re.search(r"got `(\w+)`", what)
    plain = f"this is {_WORDS.get(came[1], came[1])}" if came else "this value is not allowed here"
    return ConfigError(plain, which=locate(path, text), hint=f"give it {takes}")


def nearest(word: str, known: Sequence[str]) -> str:
    """ "did you mean `X`?", or nothing when no known word is near."""
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean `{near[0]}`?" if near else ""


def keys_at(path: str) -> list[str]:
    """The keys that the section at `path` knows."""
    kind = type_at(path)
    return [field.encode_name for field in kind.fields] if isinstance(kind, inspect.StructType) else []


def type_at(path: str) -> inspect.Type:
    """The type that the key at `path` takes; list positions and destinations' aliases are steps like any other."""
    kind: inspect.Type = inspect.type_info(Document)
    for part in re.findall(r"[^.\[\]]+|\.\.\.", path):
        kind = _without_none(kind)
        if isinstance(kind, inspect.StructType):
            kind = next((field.type for field in kind.fields if field.encode_name == part), inspect.AnyType())
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, inspect.VarTupleType):
            kind = kind.item_type
    return _without_none(kind)


def describe(kind: inspect.Type) -> str:
    """What a key takes, in words: `an integer from 0 to 65535`, `a list of ...`."""
    kind = _without_none(kind)
    if isinstance(kind, inspect.Metadata):
        described = (kind.extra_json_schema or {}).get("description")
        return str(described) if described else describe(kind.type)
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(json.dumps(value) for value in kind.values)
    if isinstance(kind, inspect.EnumType):
        return "one of " + ", ".join(json.dumps(str(each.value)) for each in kind.cls)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(kind)
    if isinstance(kind, inspect.VarTupleType):
        if isinstance(kind.item_type, inspect.StructType):
            return "sections, each under a [[double]] header"
        return f"a list: {describe(kind.item_type)}"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)}: {describe(kind.item_types[0])}"
    if isinstance(kind, inspect.DictType):
        return f"a table: {describe(kind.value_type)}"
    if isinstance(kind, inspect.StructType):
        return "a section"
    if isinstance(kind, inspect.StrType):
        return f"text of at most {kind.max_length} characters" if kind.max_length else "text"
    return "true or false" if isinstance(kind, inspect.BoolType) else "a value"


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
    least, most = (f"{value:.10g}" if value is not None else "" for value in (kind.ge, kind.le))
    if kind.gt is not None:
        return f"{noun} above {kind.gt:g}" + (f", at most {most}" if most else "")
    if most:
        return f"{noun} from {least or 0} to {most}"
    return f"{noun} of at least {least}" if least else noun


def locate(key: str, text: str) -> str:
    """`KEY, line N`; the bare key when it is not written in the file."""
    number = _line(key, text)
    return f"{key}, line {number}" if number else key


def _line(key: str, text: str) -> int:
    """The line of `key`, or of the nearest header above it, found by walking the file."""
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
        inline = word and [*section, word.group(1)] == names[: len(section) + 1]
        if inline and names[-1:] and names[-1] in line and not best:
            best = number
    return best


def _broken_destination(raw: dict[str, Any]) -> str:
    """The alias of the first destination that is refused; msgspec does not say which."""
    for alias, value in raw.get("destinations", {}).items():
        try:
            msgspec.convert({"destinations": {alias: value}}, Document)
        except msgspec.ValidationError:
            return str(alias)
    return "..."


def _without_none(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.Metadata) and not isinstance(kind.type, inspect.StrType):
        return _without_none(kind.type)
    return kind
