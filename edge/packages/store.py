"""Where installed packages lie: `models/<digest>/`, written once, never changed, readable through their hashes.

In: an archive. Out: a folder whose name is the digest of the manifest in it. What was not finished has a name that
begins with a dot and is swept away at the next start. Every load verifies the signature anew: a key that is no longer
trusted takes its packages with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edge.crypto import random_bytes
from edge.errors import PackageError
from edge.files import sync_folder, write_durably
from edge.packages import archive
from edge.packages.manifest import digest as digest_of
from edge.packages.package import Package, load_folder
from edge.packages.signature import TrustedKey, verified

RECORDS = "records"
_MODE = 0o750
_KEEP_FREE = 256 << 20


class Store:
    """The folder `models/` of a box.

    Parameters
    ----------
    folder : Path
        It is made when the first package comes.
    keys : callable
        The keys that are trusted now.
    """

    def __init__(self, folder: Path, keys: Callable[[], Iterable[TrustedKey]]) -> None:
        self._folder = folder
        self._keys = keys

    @contextmanager
    def unpacked(self, source: BinaryIO) -> Iterator[tuple[Package, TrustedKey]]:
        """The package in an archive, verified and unpacked beside the store; `keep` moves it in.

        Raises
        ------
        PackageError
            If no trusted key signed it, or it is not what its manifest says.
        """
        self._folder.mkdir(mode=_MODE, exist_ok=True)
        found: list[TrustedKey] = []
        part = self._folder / f".part-{random_bytes(8).hex()}"
        keys = tuple(self._keys())
        try:
            package = archive.unpack(
                source, part, lambda text, seal: found.append(verified(text, seal, keys)), self._most()
            )
            yield package, found[0]
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def keep(self, package: Package) -> Package:
        """Move an unpacked package into the store; what is there already stays."""
        target = self._folder / package.digest
        self._adopt(package.folder)
        if not target.exists():
            package.folder.rename(target)
            sync_folder(self._folder)
        return self.load(package.digest)

    def load(self, digest: str) -> Package:
        """The package with this digest.

        Raises
        ------
        PackageError
            If it is not there, was changed, or no trusted key signed it.
        """
        package = load_folder(self._folder / digest)
        if package.digest != digest_of(package.manifest_bytes) or package.digest != digest:
            raise PackageError("the folder holds another package", which=digest, hint="install the package again")
        verified(package.manifest_bytes, package.signature(), self._keys())
        return package

    def remove(self, digest: str) -> None:
        """Delete a package's files, if they are there. First the name goes, so that no half is ever found."""
        target = self._folder / digest
        if target.exists():
            part = self._folder / f".gone-{random_bytes(8).hex()}"
            target.rename(part)
            sync_folder(self._folder)
            shutil.rmtree(part)

    def keep_record(self, name: str, data: bytes) -> Path:
        """Write a record of what the site measured; it is for this box alone."""
        folder = self._folder / RECORDS
        folder.mkdir(mode=_MODE, exist_ok=True)
        write_durably(folder / name, data)
        self._adopt(folder)
        return folder / name

    def digests(self) -> list[str]:
        """What lies in the store."""
        return sorted(path.name for path in self._listed() if not path.name.startswith(".") and path.name != RECORDS)

    def sweep(self) -> None:
        """Delete what an earlier process did not finish."""
        for path in self._listed():
            if path.name.startswith("."):
                shutil.rmtree(path)

    def _listed(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []

    def _most(self) -> int:
        disk = os.statvfs(self._folder)
        return min(archive.MAX_BYTES, disk.f_bavail * disk.f_frsize - _KEEP_FREE)

    def _adopt(self, folder: Path) -> None:
        """Root works on a box that is another user's: its rooms must be able to read."""
        if os.geteuid() != 0:
            return
        owner = self._folder.stat()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
