"""Write a package folder: members first, the manifest last, each hash computed here and nowhere by hand.

In: the manifest as plain data without `members`, and the members' bytes. Out: a folder that `load_folder` takes.
The text is a plain function of its input: writing twice gives the same bytes and so the same package digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from edge.errors import PackageError
from edge.packages.manifest import parse
from edge.packages.package import MANIFEST, Package, load_folder

_Plain = Mapping[str, object]


def write_folder(folder: Path, manifest: _Plain, members: Mapping[str, bytes], comment: str = "") -> Package:
    """Write the package and read it back.

    Raises
    ------
    PackageError
        If the folder holds other files already, or the manifest is not valid.
    """
    declared = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(members.items())
    }
    text = manifest_text({**manifest, "members": declared}, comment).encode()
    parse(text)
    folder.mkdir(parents=True, exist_ok=True)
    foreign = _other_files(folder, set(members) | {MANIFEST})
    if foreign:
        raise PackageError("the folder already holds another file", which=foreign[0], hint="give a new, empty folder")
    for name, data in members.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / MANIFEST).write_bytes(text)
    return load_folder(folder)


def _other_files(folder: Path, ours: set[str]) -> list[str]:
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in names if name not in ours)


def manifest_text(manifest: _Plain, comment: str = "") -> str:
    """The manifest as TOML: scalars first, then tables, each rule and each code on one line."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    _table(lines, "", manifest)
    return "\n".join(lines).strip() + "\n"


def _table(lines: list[str], name: str, table: _Plain) -> None:
    headed: list[tuple[str, _Plain]] = []
    for key, value in table.items():
        full = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, Mapping) and _needs_heading(value):
            headed.append((f"[{full}]", value))
        elif _is_table_list(value):
            headed += [(f"[[{full}]]", entry) for entry in cast("list[_Plain]", value)]
        elif value is not None:
            lines.append(f"{_key(key)} = {_value(value)}")
    for heading, entry in headed:
        lines += ["", heading]
        _table(lines, heading.strip("[]"), entry)


def _needs_heading(table: _Plain) -> bool:
    """Small flat tables (a code, a rule, a member) read best on one line; the others get a heading."""
    return len(table) > 4 or any(_holds_tables(value) for value in table.values())


def _holds_tables(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value)
    )


def _is_table_list(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")
