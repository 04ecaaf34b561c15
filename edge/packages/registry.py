"""Which packages this box has, and which one a route's name means.

In: the name in a route. Out: a verified `Package`. Invariant: a package whose manifest is not exactly what the
installed wheel recorded is not "builtin". An installed package that is ACTIVE wins over a builtin one of its name; one
that cannot be used any more is never replaced in silence (`site.py` puts the two together).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import edge
from edge.errors import PackageError
from edge.packages.package import MANIFEST, Package, load_folder

BUILTIN = "builtin"
_DISTRIBUTION = "edge-imaging"


class Registry:
    """Resolves the package names of routes. A value: what changes is which registry is asked.

    `problems` says of names that are known why their package cannot be used.
    """

    def __init__(
        self, packages: Mapping[str, Package] | None = None, problems: Mapping[str, PackageError] | None = None
    ) -> None:
        self._packages = dict(shipped() if packages is None else packages)
        self._problems = dict(problems or {})

    def names(self) -> list[str]:
        """The names that `resolve` knows."""
        return sorted(self._packages)

    def resolve(self, name: str) -> Package:
        """The package that `name` means.

        Raises
        ------
        PackageError
            If no package of that name is part of this installation.
        """
        if name in self._problems:
            raise self._problems[name]
        package = self._packages.get(name)
        if package is None:
            raise PackageError(
                "no such package is part of this software, and none of this name is ACTIVE",
                which=name,
                hint=f"`edge models install`, or one of: {', '.join(self.names()) or '(none)'}",
            )
        return package

    def extended(self, packages: Mapping[str, Package], problems: Mapping[str, PackageError]) -> Registry:
        """This one with other packages, and problems, put before its own."""
        return Registry({**self._packages, **packages}, {**self._problems, **problems})


def shipped() -> dict[str, Package]:
    """The packages inside the installed wheel, or beside `edge/` in a checkout, by name.

    Raises
    ------
    PackageError
        If one of them is damaged or was changed since it was installed.
    """
    packages = {}
    for manifest_path in sorted(_shipped_root().glob(f"*/{MANIFEST}")):
        package = load_folder(manifest_path.parent, BUILTIN)
        if package.manifest.name != manifest_path.parent.name:
            raise PackageError(
                "a shipped package lies in a folder of another name", which=str(manifest_path), hint=_HINT
            )
        _compare_with_record(manifest_path, package.manifest_bytes)
        packages[package.manifest.name] = package
    return packages


_HINT = "install the software again"


def _shipped_root() -> Path:
    """`edge/shipped` in a wheel (see package-dir in pyproject.toml), `models` beside `edge` in a checkout."""
    home = Path(edge.__file__).resolve().parent
    installed = home / "shipped"
    return installed if installed.is_dir() else home.parent / "models"


def _compare_with_record(path: Path, text: bytes) -> None:
    """The wheel's RECORD names the SHA-256 of every file it installed; a checkout's egg-info names files alone."""
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    for entry in files:
        if entry.name != MANIFEST or entry.hash is None or Path(str(entry.locate())).resolve() != path:
            continue
        actual = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        if entry.hash.value != actual:
            raise PackageError("a shipped package was changed since it was installed", which=str(path), hint=_HINT)
