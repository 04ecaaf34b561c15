"""A package as one file, `NAME-VERSION.edgemodel`: a tar archive of which every byte is determined by its content.

    model.toml, SIGNATURE (if signed), then every member of the manifest in order of its name; two blocks of zeros

Writing the same folder twice gives the same bytes. Reading never interprets a header: it makes the one header that
may stand there and compares. So there is no link, device, long name, sparse file, second copy or odd mode to be
tricked by, no name that the manifest does not declare, and no size that it does not state. `accept` is called with
manifest and signature before the first byte is written; each member is hashed on its way to the disk.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edge.errors import PackageError
from edge.files import sync_folder, write_all
from edge.packages.manifest import Manifest, Member, parse
from edge.packages.package import MANIFEST, MAX_MANIFEST, SIGNATURE, Package, load_folder
from edge.packages.signature import SIZE

SUFFIX = ".edgemodel"
MAX_BYTES = 8 << 30
"""A package is not larger than this in all."""

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_PIECE = 1 << 20
_SIZE_FIELD = slice(124, 135)
_MODE = 0o440
_HINT = "get the archive from its vendor again, made by `edge models pack`"

Accept = Callable[[bytes, bytes | None], object]
"""Takes manifest and signature (None when there is none) and raises PackageError to refuse."""


def file_name(manifest: Manifest) -> str:
    """What the archive of this package is called."""
    return f"{manifest.name}-{manifest.version}{SUFFIX}"


def pack(folder: Path, target: BinaryIO) -> Package:
    """Write the package in `folder` as an archive.

    Raises
    ------
    PackageError
        If it is no whole package.
    """
    package = load_folder(folder)
    _add(target, MANIFEST, package.manifest_bytes)
    signature = package.signature()
    if signature is not None:
        _add(target, SIGNATURE, signature)
    for name in sorted(package.manifest.members):
        _add(target, name, package.read(name))
    target.write(_END)
    return package


def unpack(source: BinaryIO, folder: Path, accept: Accept, most: int = MAX_BYTES) -> Package:
    """Unpack into `folder`, which must be new and is made here; everything in it is flushed.

    Raises
    ------
    PackageError
        If `accept` refuses, the members together exceed `most` bytes, or one byte is not where it must be. `folder`
        may then hold a part of the package.
    """
    text, signature = _manifest(source), None
    block = _exactly(source, _BLOCK)
    if block == _header(SIGNATURE, SIZE):
        signature = _whole(source, SIZE)
        block = _exactly(source, _BLOCK)
    accept(text, signature)
    manifest = parse(text)
    _check_size(manifest, most)
    folder.mkdir(mode=0o750)
    _put(folder, MANIFEST, text)
    if signature is not None:
        _put(folder, SIGNATURE, signature)
    for name, member in sorted(manifest.members.items()):
        if block != _header(name, member.size):
            raise _refusal("the archive does not hold what its manifest says, in its order", name)
        _extract(source, folder, name, member)
        block = _exactly(source, _BLOCK)
    if block + source.read(_BLOCK + 1) != _END:
        raise _refusal("the archive holds more than its manifest says", MANIFEST)
    _sync(folder)
    return load_folder(folder)


def _header(name: str, size: int) -> bytes:
    """The block that stands before a member, and the only one that may."""
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except (ValueError, UnicodeError):
        raise _refusal("the name or size does not fit into an archive", name) from None


def _add(target: BinaryIO, name: str, data: bytes) -> None:
    target.write(_header(name, len(data)))
    target.write(data)
    target.write(bytes(-len(data) % _BLOCK))


def _manifest(source: BinaryIO) -> bytes:
    block = _exactly(source, _BLOCK)
    digits = block[_SIZE_FIELD]
    size = int(digits, 8) if set(digits) <= set(b"01234567") else 0
    if size > MAX_MANIFEST or block != _header(MANIFEST, size):
        raise _refusal("this is no package archive", MANIFEST)
    return _whole(source, size)


def _check_size(manifest: Manifest, most: int) -> None:
    if sum(member.size for member in manifest.members.values()) > most:
        raise PackageError(
            "the package is larger than this box takes", which=MANIFEST, hint="free disk space, or ask the vendor"
        )


def _extract(source: BinaryIO, folder: Path, name: str, member: Member) -> None:
    """Copy one member to the disk, piece by piece, and compare its hash."""
    known = hashlib.sha256()
    descriptor = _created(folder, name)
    try:
        left = member.size
        while left:
            piece = _exactly(source, min(_PIECE, left))
            known.update(piece)
            write_all(descriptor, piece)
            left -= len(piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if known.hexdigest() != member.sha256:
        raise _refusal("a member is not what the manifest says", name)
    _padding(source, member.size)


def _put(folder: Path, name: str, data: bytes) -> None:
    descriptor = _created(folder, name)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _created(folder: Path, name: str) -> int:
    """A new file; `name` is one that the manifest's own grammar lets through: no `..`, nothing absolute."""
    path = folder / name
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    except (FileExistsError, NotADirectoryError):
        raise _refusal("two members have one name, or one lies inside the other", name) from None


def _sync(folder: Path) -> None:
    for path in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        sync_folder(path)


def _whole(source: BinaryIO, size: int) -> bytes:
    data = _exactly(source, size)
    _padding(source, size)
    return data


def _padding(source: BinaryIO, size: int) -> None:
    if any(_exactly(source, -size % _BLOCK)):
        raise _refusal("there is something between two members", MANIFEST)


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) != count:
        raise _refusal("the archive ends too early", MANIFEST)
    return data


def _refusal(what: str, which: str) -> PackageError:
    return PackageError(what, which=which, hint=_HINT)
