"""A model package as a folder: what is declared, and bytes that are checked as they are read.

In: a folder. Out: a frozen `Package`. Invariant: no byte of a member is used that has another size or SHA-256
than the manifest says, and nothing undeclared, linked or oddly named lies in the folder. The content of a member
is only ever handed on as bytes: a graph that is loaded from bytes cannot reach any other file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import PackageError
from edge.packages.manifest import Manifest, digest, parse
from edge.records import Code, PackageIdentity

MANIFEST = "model.toml"
SIGNATURE = "SIGNATURE"
GRAPH = "model.onnx"

MAX_MANIFEST = 1 << 20
_MAX_ENTRIES = 2000
_SIGNATURE_BYTES = 64
_REPACK = "get the package from its vendor again"


@dataclass(frozen=True, slots=True)
class Package:
    """One package. `origin` is "builtin" for what the installed wheel holds, else the folder's path.

    `waiver`: the code of why it works here without having been accepted on the site's own studies; mostly empty.
    """

    manifest: Manifest
    digest: str
    manifest_bytes: bytes
    origin: str
    folder: Path
    waiver: str = ""

    def read(self, member: str) -> bytes:
        """The bytes of a declared member.

        Raises
        ------
        PackageError
            If it is not declared, cannot be read, is a link, or has another size or SHA-256 than declared.
        """
        declared = self.manifest.members.get(member)
        if declared is None:
            raise PackageError("the manifest declares no such member", which=member, hint=_REPACK)
        data = _read_file(self.folder, member, declared.size)
        if len(data) != declared.size or hashlib.sha256(data).hexdigest() != declared.sha256:
            raise PackageError("a member is not what the manifest says", which=member, hint=_REPACK)
        return data

    def signature(self) -> bytes | None:
        """The bytes of `SIGNATURE`, or None when the package is not signed. Nothing is verified here."""
        if not (self.folder / SIGNATURE).exists():
            return None
        data = _read_file(self.folder, SIGNATURE, _SIGNATURE_BYTES)
        if len(data) != _SIGNATURE_BYTES:
            raise PackageError("the signature has not 64 bytes", which=SIGNATURE, hint="`edge models sign`")
        return data

    def identity(self) -> PackageIdentity:
        """Who made a result, as reports name it."""
        family = self.manifest.algorithm.family
        return PackageIdentity(
            name=self.manifest.name,
            version=self.manifest.version,
            digest=self.digest,
            vendor=self.manifest.vendor,
            family=Code(family.value, family.scheme, family.meaning),
            status=self.manifest.status,
            purpose=self.manifest.purpose,
            population=self.manifest.population,
            waiver=self.waiver,
        )


def load_folder(folder: Path, origin: str = "") -> Package:
    """The package in `folder`, its manifest parsed and its listing compared; members are hashed when read.

    Raises
    ------
    PackageError
        If there is no valid manifest, or the folder holds a link, a device, an undeclared file, or misses one.
    """
    if not folder.is_dir():
        raise PackageError("there is no such package folder", which=str(folder), hint="give the package's folder")
    text = _read_file(folder, MANIFEST, MAX_MANIFEST)
    if len(text) > MAX_MANIFEST:
        raise PackageError("the manifest is larger than 1 MiB", which=MANIFEST, hint=_REPACK)
    manifest = parse(text)
    _compare_listing(folder, manifest)
    return Package(manifest, digest(text), text, origin or str(folder), folder)


def _compare_listing(folder: Path, manifest: Manifest) -> None:
    sizes = dict(_walk(folder))
    for name, size in sizes.items():
        if name in (MANIFEST, SIGNATURE):
            continue
        declared = manifest.members.get(name)
        if declared is None:
            raise PackageError("the folder holds a file that the manifest does not declare", which=name, hint=_REPACK)
        if declared.size != size:
            raise PackageError("a member has not the declared size", which=name, hint=_REPACK)
    missing = sorted(manifest.members.keys() - sizes.keys())
    if missing:
        raise PackageError("a declared member is missing", which=missing[0], hint=_REPACK)


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Names (relative, with slashes) and sizes of all regular files; anything else is refused."""
    pending = [""]
    seen = 0
    while pending:
        prefix = pending.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                seen += 1
                if seen > _MAX_ENTRIES:
                    raise PackageError("the folder holds too many files", which=str(folder), hint=_REPACK)
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(state.st_mode):
                    pending.append(name + "/")
                elif stat.S_ISREG(state.st_mode):
                    yield name, state.st_size
                else:
                    raise PackageError("links and devices have no place in a package", which=name, hint=_REPACK)


def _read_file(folder: Path, name: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a regular file, reached without following any link below `folder`."""
    *parents, last = name.split("/")
    try:
        current = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for parent in parents:
                below = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
                os.close(current)
                current = below
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=current)
        finally:
            os.close(current)
    except OSError as error:
        raise PackageError(f"a file cannot be opened: {error.strerror}", which=name, hint=_REPACK) from None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PackageError("links and devices have no place in a package", which=name, hint=_REPACK)
        return file.read(limit + 1)
