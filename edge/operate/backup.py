"""`edge backup` and the file that it writes: the journal as it is at one moment, and the configuration.

A tar of `backup.json` (format, schema, digests), `journal.db`, `edge.toml`, `verify.pub` and `device.uid`. Never in it:
the key slots (so that a backup never opens what was erased), any private key, an image, a result. Nothing in it names a
patient; edge.toml holds the site's addresses and AE titles.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from edge.config import Settings
from edge.errors import EdgeError, EnvironmentFailure, UsageError
from edge.files import sync_folder
from edge.journal import Journal, tally

FORMAT = 1
MANIFEST = "backup.json"
JOURNAL, CONFIG, VERIFY, DEVICE = "journal.db", "edge.toml", "verify.pub", "device.uid"
MEMBERS = (JOURNAL, CONFIG, VERIFY, DEVICE)
_MOST_MANIFEST = 1 << 16
_CHUNK = 1 << 20


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`backup.json`: what the file is; `made_at` in seconds since the epoch, `events` the length of the audit trail."""

    format: int
    software: str
    made_at: float
    schema: int
    events: int
    members: dict[str, Member]


def make(settings: Settings, out: Path, software: str) -> Manifest:
    """Write the backup to the new file `out`, durably; the box may run meanwhile.

    Raises
    ------
    UsageError
        If `out` is there already.
    JournalError
        If the box has no journal, or one that cannot be read.
    """
    if out.exists():
        raise UsageError("there is a file of this name", which=out.name, hint="another name, a date in it for example")
    with tempfile.TemporaryDirectory(prefix=".edge-backup-", dir=out.parent) as name:
        copy = Path(name) / JOURNAL
        schema, events, made_at = _copy_journal(settings, copy)
        sources = {JOURNAL: copy, CONFIG: settings.file, **_public_keys(settings)}
        members = {name: Member(*_digest(path)) for name, path in sources.items()}
        manifest = Manifest(FORMAT, software, made_at, schema, events, members)
        part = Path(name) / "backup.tar"
        _pack(part, manifest, sources)
        part.rename(out)
    sync_folder(out.parent)
    return manifest


@contextmanager
def unpacked(file: Path, folder: Path) -> Iterator[tuple[Manifest, Path]]:
    """The manifest of the backup `file`, and a folder below `folder` with its members, each as its digest says.

    Raises
    ------
    EnvironmentFailure
        If it is no backup, a damaged one, or of a later format.
    """
    with tempfile.TemporaryDirectory(prefix=".edge-restore-", dir=folder) as name:
        target = Path(name)
        try:
            with tarfile.open(file, "r:") as tar:
                manifest = _manifest(tar)
                for member in tar:
                    _extract(tar, member, manifest, target)
        except (tarfile.TarError, msgspec.MsgspecError, EOFError):
            raise _damaged(file) from None
        if {path.name for path in target.iterdir()} != set(manifest.members) or JOURNAL not in manifest.members:
            raise _damaged(file)
        yield manifest, target


def _copy_journal(settings: Settings, copy: Path) -> tuple[int, int, float]:
    """Its schema, the number of its events and the time."""
    journal = Journal(settings.journal)
    try:
        journal.note("box", "journal", "", "BACKUP")
        made_at = journal.clock()
        journal.database.copy_to(copy)
        return journal.database.version, tally.audited(journal)[0], made_at
    finally:
        journal.close()


def _public_keys(settings: Settings) -> dict[str, Path]:
    """Whose signatures the trail has, and the name of the box in its reports."""
    found = {name: settings.keys / name for name in (VERIFY, DEVICE)}
    for path in found.values():
        if not path.is_file():
            raise EnvironmentFailure("a file of the box is missing", which=path.name, hint="`edge doctor`")
    return found


def _pack(path: Path, manifest: Manifest, sources: dict[str, Path]) -> None:
    """In the order of `MEMBERS` after the manifest, readable by the owner only, flushed."""
    told = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            tar.addfile(_entry(MANIFEST, len(told), manifest.made_at), io.BytesIO(told))
            for name, source in sources.items():
                with source.open("rb") as content:
                    tar.addfile(_entry(name, manifest.members[name].size, manifest.made_at), content)
        file.flush()
        os.fsync(file.fileno())


def _entry(name: str, size: int, made_at: float) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(made_at), 0o600
    return entry


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first and first.isreg() else None
    if first is None or content is None or first.name != MANIFEST or first.size > _MOST_MANIFEST:
        raise tarfile.ReadError
    manifest = msgspec.json.decode(content.read(), type=Manifest)
    if manifest.format != FORMAT:
        raise EnvironmentFailure(
            f"the backup has format {manifest.format}, this version knows {FORMAT}",
            which=tar.name if isinstance(tar.name, str) else "",
            hint=f"restore it with edge-imaging {manifest.software}",
        )
    return manifest


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, manifest: Manifest, folder: Path) -> None:
    if entry.name == MANIFEST:
        return
    told = manifest.members.get(entry.name)
    content = tar.extractfile(entry) if entry.isreg() else None
    if told is None or content is None or entry.name not in MEMBERS or entry.size != told.size:
        raise tarfile.ReadError
    if (folder / entry.name).exists():
        raise tarfile.ReadError  # the same member twice
    with (folder / entry.name).open("xb") as file:
        if _copied(content, file) != told.sha256:
            raise tarfile.ReadError


def _copied(source: IO[bytes], target: IO[bytes]) -> str:
    """The digest of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _damaged(file: Path) -> EdgeError:
    return EnvironmentFailure("this is no whole backup of a box", which=file.name, hint="another copy of it")
