"""`edge restore`: a backup put back. Nothing that is there is thrown away: it is kept beside, under another name.

Order: check everything, make the new journal beside the old one and hold it against the disk, then swap. A crash
leaves the old journal or the new one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from edge import keys, rooms, sealed, slots
from edge.config import Settings, load
from edge.errors import EnvironmentFailure, JournalError
from edge.files import sync_folder, write_durably
from edge.journal import Journal, restoring, views
from edge.journal import create as create_journal
from edge.journal.restoring import Lost
from edge.operate import audit, backup

_HOLDERS = (*rooms.ROOMS, "serve")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, what the disk does not have any more, and where the journal from before lies now."""

    made_at: float
    events: int
    lost: Lost
    before: str


def restore(settings: Settings, file: Path, *, replace: bool = False, only_journal: bool = False) -> Restored:
    """Put the backup `file` back into the root.

    Raises
    ------
    EnvironmentFailure
        If a room runs, the file is no backup, or it is of a box with another root.
    JournalError
        If the root has a journal in use and `replace` is not given.
    """
    settings.root.mkdir(mode=0o750, parents=True, exist_ok=True)
    with contextlib.ExitStack() as held, backup.unpacked(file, settings.root) as (manifest, members):
        if not only_journal:
            _check_root(settings, members)
        fresh = _is_fresh(settings)
        if not (fresh or replace):
            raise JournalError(
                "this box was in use already", which=str(settings.root), hint="--replace keeps its journal beside"
            )
        if fresh and not only_journal:
            _name_the_box(settings, members)
        if not settings.journal.exists():
            rooms.make_root(settings)  # not else: it opens the journal, which may be damaged or of a later version
        _stop_others(settings, held)
        lost = _prepare(settings, members / backup.JOURNAL)
        before = _swap(settings, members / backup.JOURNAL)
        _keep_verify_key(settings, members)
        if not only_journal:
            _restore_config(settings, members)
    return Restored(manifest.made_at, manifest.events, lost, before)


def _check_root(settings: Settings, members: Path) -> None:
    """Relative paths of the configuration must mean the same as before."""
    copy = settings.file.with_name(f".{settings.file.name}.restore")
    shutil.copyfile(members / backup.CONFIG, copy)
    try:
        root = load(copy).root
    finally:
        copy.unlink()
    if root != settings.root:
        raise EnvironmentFailure(
            f"the backup is of a box with the root {root}", which=str(settings.root), hint="set box.root to that"
        )


def _is_fresh(settings: Settings) -> bool:
    """No journal or one that was never used, and nothing in the spool."""
    if settings.spool.is_dir() and any(len(path.name) == 32 for path in settings.spool.iterdir()):
        return False
    if not settings.journal.exists():
        return True
    try:
        journal = Journal(settings.journal)
    except JournalError:
        return False
    try:
        return not restoring.is_used(journal)
    finally:
        journal.close()


def _name_the_box(settings: Settings, members: Path) -> None:
    """The device UID that its reports always had; the one of a new installation named nothing yet."""
    settings.keys.mkdir(mode=0o750, exist_ok=True)
    write_durably(settings.keys / backup.DEVICE, (members / backup.DEVICE).read_bytes(), 0o444)


def _stop_others(settings: Settings, held: contextlib.ExitStack) -> None:
    """Be every room while it lasts, so that none starts."""
    for name in _HOLDERS:
        descriptor = rooms.claim(settings, name)
        held.callback(os.close, descriptor)
        os.fchmod(descriptor, 0o660)  # where this made the file: the room's own user must be able to lock it


def _prepare(settings: Settings, copy: Path) -> Lost:
    """Bring the journal that came back up to this version and hold it against the disk."""
    create_journal(copy)
    journal = Journal(copy)
    try:
        damaged = views.damage(journal)
        if damaged:
            raise EnvironmentFailure(f"the journal in it is damaged ({damaged})", hint="an earlier backup")
        sealed.sweep(settings.spool)  # what lost its name with the power is there too
        openable = {each.object_id for each in sealed.scan(settings.spool, whole=False)}
        results = {path.stem for path in settings.outbox.glob("*.dcm")}
        lost = restoring.reconcile(journal, openable, results)
        slots.reserve(settings.spool, restoring.slots(journal))
        return lost
    finally:
        journal.close()


def _swap(settings: Settings, copy: Path) -> str:
    """The new journal in the place of the old one, with its owner and mode; the name that the old one has now."""
    path = settings.journal.resolve()
    status = path.stat()
    os.chown(copy, status.st_uid, status.st_gid)
    os.chmod(copy, status.st_mode)
    before = path.with_name(time.strftime("journal-%Y%m%dT%H%M%SZ.db", time.gmtime()))
    for suffix in ("-wal", "-shm"):  # of a process that was killed: they belong to the old one
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{before}{suffix}")
    os.link(path, before)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    os.rename(copy, path)
    sync_folder(path.parent)
    # it was of the trail that is put aside
    (settings.run / audit.HEAD).unlink(missing_ok=True)
    return before.name


def _restore_config(settings: Settings, members: Path) -> None:
    """The earlier one is copied aside first: there is one at every moment, and the rooms can read it as before."""
    config, earlier = (members / backup.CONFIG).read_bytes(), settings.file.read_bytes()
    if config != earlier:
        found = settings.file.stat()
        for path, data in (
            (settings.file.with_name(f"{settings.file.name}.before-restore"), earlier),
            (settings.file, config),
        ):
            write_durably(path, data, found.st_mode & 0o777)
            os.chown(path, found.st_uid, found.st_gid)


def _keep_verify_key(settings: Settings, members: Path) -> None:
    """The trail that came back was signed with its other half."""
    verify = (members / backup.VERIFY).read_bytes()
    if verify != keys.load(settings.keys, backup.VERIFY):
        write_durably(settings.keys / keys.former(verify), verify, 0o444)
