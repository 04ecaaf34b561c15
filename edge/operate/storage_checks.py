"""Doctor's look at what lies on disk: folders and their modes, keys, journal, space, flush time, clock."""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from edge import crypto, keys
from edge.config import Settings
from edge.errors import EdgeError, KeyFileError
from edge.journal import Journal, alarms, pausing, tally, views
from edge.operate import audit
from edge.operate.check import Check, failed, passed, warned
from edge.operate.screen import span
from edge.receive.reserve import Reserve

_PRIVATE = ("open.key", "sign.key", "tag.key")
_SIZE = 32
_TIMEX_BYTES, _TIME_ERROR = 512, 5
_PROBES = 5
_MOST_EVENTS = 100_000
_SLOW_FLUSH_MS = 50.0
_CLOCK_FLOOR = 1735689600.0  # 2025-01-01: before this software existed


def check_storage(settings: Settings) -> Iterator[Check]:
    """All checks of this file; those that need a root are left out when there is none."""
    if not settings.root.is_dir():
        yield failed("root", f"{settings.root} is not there", "run `edge init` (or `edge serve`, which does it)")
        return
    yield _folders(settings)
    yield _keys(settings)
    yield from _journal(settings)
    yield from _audit(settings)
    yield _space(settings)
    yield _flush(settings.root)


def _folders(settings: Settings) -> Check:
    for folder in (settings.spool, settings.outbox, settings.run, settings.keys):
        if not folder.is_dir():
            return failed("root", f"{folder.name}/ is missing", "run `edge init`: it makes what is missing")
        if stat.S_IMODE(folder.stat().st_mode) & stat.S_IRWXO:
            return failed("root", f"{folder.name}/ is open to every user", f"chmod o= {folder}")
    return passed("root", str(settings.root))


def _keys(settings: Settings) -> Check:
    for name in _PRIVATE:
        path = settings.keys / name
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO:
            return failed("keys", f"{name} can be read by every user", f"chmod o= {path}")
    try:
        return _key_pairs(settings.keys)
    except KeyFileError as error:
        return failed("keys", f"{error.which}: {error.what}", error.hint)


def _key_pairs(folder: Path) -> Check:
    """Each public key must belong to its private one, or what is sealed now can never be opened."""
    seal_pub, verify_pub = keys.load(folder, "seal.pub"), keys.load(folder, "verify.pub")
    if not all(os.access(folder / name, os.R_OK) for name in _PRIVATE if (folder / name).exists()):
        return passed("keys", "all there; private keys are not this user's to read")
    keys.load(folder, "tag.key")
    if not crypto.opens(keys.load(folder, "open.key"), seal_pub):
        return failed("keys", "seal.pub is not the pair of open.key", "restore keys/ from the backup")
    signature = crypto.sign(keys.load(folder, "sign.key"), b"doctor")
    if not crypto.verify(verify_pub, signature, b"doctor"):
        return failed("keys", "verify.pub is not the pair of sign.key", "restore keys/ from the backup")
    return passed("keys", "all there, pairs match, private ones are private")


def _journal(settings: Settings) -> Iterator[Check]:
    try:
        journal = Journal(settings.journal)
    except EdgeError as error:
        yield failed("journal", error.what, error.hint)
        return
    try:
        damaged = views.damage(journal)
        if damaged:
            yield failed("journal", f"the file is damaged ({damaged})", "stop the box and keep a copy of journal.db")
            return
        counted = views.counts(journal)
        newest = views.events(journal, 1)
        paused = pausing.current(journal)
        standing = alarms.standing(journal)
    finally:
        journal.close()
    stored = sum(counted["instance"].values())
    yield passed("journal", f"sound; {stored} instances, {sum(counted['job'].values())} jobs")
    yield _held(counted)
    yield _alarms(standing)
    if paused:
        yield warned("pause", f"{span(time.time() - paused.since)} long: nothing is analysed or sent", "edge resume")
    yield _clock(newest[0].at if newest else 0.0)


def _audit(settings: Settings) -> Iterator[Check]:
    if not (settings.journal.exists() and (settings.keys / "verify.pub").exists()):
        return  # said already
    journal = Journal(settings.journal)
    try:
        events, _ = tally.audited(journal)
    finally:
        journal.close()
    if events > _MOST_EVENTS:
        yield passed("audit trail", f"{events} events, too many to walk here: edge audit verify")
        return
    verdict = audit.verify(settings).verdict
    if verdict.problems:
        hint = "edge audit verify; keep a copy of journal.db and of infer's log"
        yield failed("audit trail", verdict.problems[0], hint)
    else:
        yield passed("audit trail", f"{verdict.events} events, whole; signed up to event {verdict.signed}")


def _held(counted: dict[str, dict[str, int]]) -> Check:
    held, failures = counted["delivery"]["HELD"], counted["delivery"]["FAILED"]
    if held or failures:
        kind = failed if held else warned
        return kind(
            "results", f"{held} HELD, {failures} FAILED", "edge deliveries list, then release, resend or discard"
        )
    return passed("results", "none held, none refused")


def _alarms(standing: list[alarms.Alarm]) -> Check:
    if not standing:
        return passed("alarms", "none stands")
    told = ", ".join(f"{alarm.name} ({alarm.reason})" for alarm in standing)
    return warned("alarms", told, "edge audit show --thing box; each ends by itself when its cause does")


def _clock(newest: float) -> Check:
    now = time.time()
    if now < _CLOCK_FLOOR:
        return failed("clock", time.strftime("it says %Y-%m-%d", time.gmtime(now)), "set the clock; run a time service")
    if now < newest - 2.0:
        behind = span(newest - now)
        return failed("clock", f"it is {behind} behind the journal's newest event", "set the clock; run a time service")
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if not _is_synchronised():
        return warned("clock", f"{shown}; no time service keeps it", "run chrony or systemd-timesyncd")
    return passed("clock", f"{shown}, kept by a time service")


def _is_synchronised() -> bool:
    """What the kernel was told by a time service (adjtimex(2))."""
    report = ctypes.create_string_buffer(_TIMEX_BYTES)
    return int(ctypes.CDLL(None).adjtimex(report)) not in (_TIME_ERROR, -1)


def _space(settings: Settings) -> Check:
    status = os.statvfs(settings.root)
    free = status.f_bavail * status.f_frsize / (1 << 30)
    detail = f"{free:.1f} GiB free, {settings.storage.reserve_gib:g} GiB are the reserve"
    if Reserve(settings.root, settings.storage).reached():
        return failed("disk space", f"{detail}: images are refused", "make room, or lower storage.reserve_gib")
    return passed("disk space", detail)


def _flush(root: Path) -> Check:
    """The median time of a 4 KiB write with fsync: every acknowledgement waits for one."""
    path = root / ".doctor"
    times = []
    try:
        for _ in range(_PROBES):
            started = time.perf_counter()
            with path.open("wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1e3)
    except OSError as error:
        return failed("disk flush", f"the root cannot be written ({error.strerror})", "run as the box's own user")
    finally:
        path.unlink(missing_ok=True)
    median = sorted(times)[_PROBES // 2]
    if median > _SLOW_FLUSH_MS:
        return warned("disk flush", f"{median:.1f} ms: every acknowledgement waits for it", "use a faster disk")
    return passed("disk flush", f"{median:.1f} ms")
