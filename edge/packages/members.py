"""Bring a draft's list of members up to date: the vendor edits files, the hashes are never typed.

In: a package folder being written. Out: the same `model.toml` with a new `[members]` part, which is always its last.
Everything above, comments included, stays as the vendor wrote it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.errors import PackageError
from edge.packages.package import MANIFEST, SIGNATURE
from edge.packages.writer import manifest_text

_HEADING = "[members]"


def update(folder: Path) -> list[str]:
    """Write the hashes and sizes of all files of `folder` into its manifest; their names, sorted.

    Raises
    ------
    PackageError
        If there is no manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise PackageError(
            "there is no model.toml in this folder", which=str(folder), hint="start with `edge models import`"
        )
    stated = path.read_text(encoding="utf-8").split(f"\n{_HEADING}", 1)[0].rstrip()
    members = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_symlink() or not file.is_file() or name in (MANIFEST, SIGNATURE):
            continue
        content = file.read_bytes()
        members[name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    path.write_text(f"{stated}\n\n{manifest_text({'members': members})}", encoding="utf-8")
    return sorted(members)
