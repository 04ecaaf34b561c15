"""Power cuts: what a box did to its files is written down once, then cut short at any record, in any order allowed.

Between two flushes a disk may keep any of the writes, in any order, and tear them at sectors; and any of the names that
were made, renamed and removed since their folder was flushed. `Disk.cut` picks one such state. `check` starts a box on
it. SQLite's own writes (database and log) are recorded and cut like all others.

    python tests/integration/power_cut.py --cuts 1000 [--infer-every 50] [--seed N]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

import numpy as np  # noqa: E402
from acceptance.objects import chest_dx  # noqa: E402
from infer_box import encoded, made_package  # noqa: E402
from power_cut_disk import Disk, records  # noqa: E402

from edge import keys, rooms, sealed, vault  # noqa: E402
from edge.config import Settings, load  # noqa: E402
from edge.deliver import outbox as deliver_outbox  # noqa: E402
from edge.errors import SealError  # noqa: E402
from edge.infer.room import Room as InferRoom  # noqa: E402
from edge.journal import Journal, outgoing, views  # noqa: E402
from edge.packages.registry import Registry  # noqa: E402
from edge.receive.room import Room as ReceiveRoom  # noqa: E402
from edge.receive.room import recover  # noqa: E402
from edge.scu import Peer, Scu  # noqa: E402

EXPLICIT = "1.2.840.10008.1.2.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
TOML = """
[box]
root = "root"
[receive]
port = 0
[[receive.peers]]
alias = "dx"
ae_title = "TEST"
hosts = ["127.0.0.1"]
[storage]
reserve_gib = 0.001
prepared_mib = 1
refuse_at_percent = 100
[infer]
workers = 1
[[routes]]
name = "chest"
package = "brightness"
when = { Modality = ["DX"] }
deliver = ["archive"]
send = ["succeeded", "partial", "failed", "not-attempted"]
max_study_age_days = 36500
[destinations.archive]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 11113
"""


def make_box(folder: Path) -> Settings:
    """A box that has been made and never started."""
    (folder / "edge.toml").write_text(TOML)
    settings = load(folder / "edge.toml")
    rooms.make_root(settings)
    return settings


class House:
    """Both rooms of a box, in threads."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._rooms = (ReceiveRoom(settings), InferRoom(settings, registry))
        self._stopping = threading.Event()
        for room in self._rooms:
            room.start()
        self.port = self._rooms[0].port
        self._threads = [threading.Thread(target=room.run, args=(self._stopping,)) for room in self._rooms]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for room, thread in zip(self._rooms, self._threads, strict=True):
            room.wake()
            thread.join(60)
            room.stop()


def registry_of(folder: Path) -> Registry:
    return Registry({"brightness": made_package(folder / "package")})


def work(folder: Path, count: int) -> None:
    """The recorded process: three modalities push at once, with re-sends and corrections, while infer works."""
    settings = load(folder / "edge.toml")
    house = House(settings, registry_of(folder))
    marks = os.open(settings.root / "marks", os.O_WRONLY | os.O_APPEND)
    pushers = [threading.Thread(target=_push, args=(settings, house.port, marks, number, count)) for number in range(3)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()
    journal = Journal(settings.journal)
    told: set[str] = set()
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        jobs = views.jobs(journal)
        for job in jobs:
            if job.state == "DONE" and job.report not in told:
                told.add(job.report)
                digest = hashlib.sha256((settings.outbox / f"{job.report}.dcm").read_bytes()).hexdigest()
                os.write(marks, f"DONE {job.report} {digest}\n".encode())
        if len(told) >= 3 * count and all(job.state == "DONE" for job in jobs):
            break
        time.sleep(0.05)
    journal.close()
    house.stop()


def _push(settings: Settings, port: int, marks: int, number: int, count: int) -> None:
    """Small objects, first into new files, then into blanks; and a large one."""
    noise = np.random.default_rng(number)
    for each in range(count):
        if each and each % 2 == 0:
            _wait_for_blanks(settings.spool)
        shape = (1200, 900) if each == 7 else (48, 48)
        image = chest_dx(noise.integers(0, 255, shape, np.uint8))
        versions = [encoded(image)]
        if each % 3 == 1:
            versions *= 2
        if each % 3 == 2:
            image.PatientID = "INVENTED-CORRECTED"
            versions.append(encoded(image))
        with Scu(Peer("127.0.0.1", port, "EDGE", "TEST"), [(DX, EXPLICIT)]) as scu:
            for version in versions:
                assert scu.store(DX, str(image.SOPInstanceUID), EXPLICIT, version) == 0
                digest = hashlib.sha256(version).hexdigest()
                os.write(marks, f"ACK {image.SOPInstanceUID} {digest}\n".encode())


def _wait_for_blanks(spool: Path) -> None:
    deadline = time.monotonic() + 30
    while len(list(spool.glob(f"*{sealed.BLANK}"))) < 16:
        assert time.monotonic() < deadline, "no blanks are made"
        time.sleep(0.05)


@dataclass(frozen=True)
class Recording:
    """A box before the work, and everything that the work did to its files."""

    start: Path
    steps: tuple[tuple[str, str, str, int, bytes], ...]


def make_recording(folder: Path, count: int) -> Recording:
    """Let a process work under the shim. Raises FileNotFoundError without a C compiler."""
    shim = folder / "shim.so"
    source = HERE.with_name("power_cut_shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl", "-lpthread"], check=True)
    box = folder / "box"
    box.mkdir()
    settings = make_box(box)
    (settings.root / "marks").touch()
    start = folder / "start"
    shutil.copytree(settings.root, start)
    shutil.copy(box / "edge.toml", folder / "edge.toml")
    log = folder / "steps"
    environment = os.environ | {
        "LD_PRELOAD": str(shim), "POWER_CUT_ROOT": str(settings.root), "POWER_CUT_LOG": str(log),
        "PYTHONPATH": f"{HERE.parents[2]}:{HERE.parents[1]}", "ORT_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    subprocess.run([sys.executable, HERE, "--work", box, "--count", str(count)], check=True, env=environment)
    return Recording(start, tuple(records(log, settings.root)))


def cut_and_check(recording: Recording, folder: Path, cuts: int, seed: int, infer_every: int = 0) -> Counter[str]:
    """Cut the recording `cuts` times, each anywhere; what was seen. Raises AssertionError for the first lie."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(len(recording.steps)) for _ in range(cuts))
    disk, done, seen = Disk(recording.start), 0, Counter[str]()
    registry = registry_of(folder) if infer_every else None
    for number, moment in enumerate(moments):
        for step in recording.steps[done:moment]:
            disk.do(*step)
        done = moment
        box = folder / "cut"
        shutil.copytree(
            recording.start, box / "root", ignore=lambda where, names: [n for n in names if Path(where, n).is_file()]
        )
        shutil.copy(recording.start.parent / "edge.toml", box / "edge.toml")
        disk.cut(box / "root", chance)
        marks = bytes(disk.names["marks"].after_cut(chance, 1.0)).decode().splitlines()
        through = registry if infer_every and number % infer_every == 0 else None
        try:
            seen += check(load(box / "edge.toml"), marks, through)
        except BaseException:
            sys.stderr.write(f"cut {number} at step {moment} of {len(recording.steps)}, seed {seed}\n")
            raise
        seen["cuts"] += 1
        shutil.rmtree(box)
    return seen


def check(settings: Settings, marks: list[str], registry: Registry | None) -> Counter[str]:
    """Start on what the cut left: nothing acknowledged is lost, no row lies, no report is gone."""
    acknowledged = {tuple(mark.split()[1:]) for mark in marks if mark.startswith("ACK")}
    reports = dict(mark.split()[1:] for mark in marks if mark.startswith("DONE"))
    before = {path.stem for path in settings.spool.glob(f"*{sealed.BLANK}")}
    sealed.sweep(settings.spool)
    named = sum((settings.spool / object_id).exists() for object_id in before)
    journal = Journal(settings.journal)
    try:
        rebuilt = recover(journal, settings.spool, refuse_conflicts=False)
        assert views.damage(journal) == "", views.damage(journal)
        held, torn = _held(settings, journal)
        assert acknowledged <= held, f"lost: {acknowledged - held}"
        kept = _reports(settings, journal)
    finally:
        journal.close()
    seen = Counter(acknowledged=len(acknowledged), rebuilt=rebuilt, reports=len(kept), torn=torn, named=named)
    if registry is not None:
        _infer(settings, registry, reports)
        seen["inferred"] += 1
    return seen


def _held(settings: Settings, journal: Journal) -> tuple[set[tuple[str, str]], int]:
    """(SOP Instance UID, digest) of every instance that can be opened, and how many cannot.

    Only what was never acknowledged can be torn; tests/acceptance/test_break_torn.py says what it does then.
    """
    opener = vault.Opener(settings.spool, keys.load(settings.keys, "open.key"))
    held, torn = set(), 0
    try:
        for row in journal.database.rows("SELECT object_id, sop_instance_uid FROM instance"):
            try:
                held.add((row["sop_instance_uid"], hashlib.sha256(opener.read(row["object_id"])).hexdigest()))
            except SealError:
                torn += 1
    finally:
        opener.slots.close()
    return held, torn


def _reports(settings: Settings, journal: Journal) -> list[str]:
    """Digests of the reports whose delivery the journal promises: each is whole, and signed."""
    verify = keys.load(settings.keys, "verify.pub")
    kept = []
    for row in journal.database.rows("SELECT * FROM delivery"):
        item = outgoing.delivery(row)
        deliver_outbox.read(settings.outbox, item, verify)
        kept.append(item.sha256)
    return kept


def _infer(settings: Settings, registry: Registry, reports: dict[str, str]) -> None:
    """Let the box go on: every image comes to one report, and a report that was there has the same bytes."""
    house = House(settings, registry)
    journal = Journal(settings.journal)
    try:
        deadline = time.monotonic() + 60
        while not _quiet(journal):
            assert time.monotonic() < deadline, "the box did not become quiet"
            time.sleep(0.02)
        assert {job.state for job in views.jobs(journal)} <= {"DONE", "QUARANTINED"}
        _reports(settings, journal)
        for report, digest in reports.items():
            path = settings.outbox / f"{report}.dcm"
            assert path.exists(), "a finished report is gone"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, "one UID has two byte strings"
    finally:
        journal.close()
        house.stop()


def _quiet(journal: Journal) -> bool:
    waiting = journal.database.row("SELECT count(*) AS n FROM instance WHERE state = 'STORED'")
    return not waiting["n"] and not any(job.state in ("READY", "RUNNING") for job in views.jobs(journal))


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut the power of a box at any moment, many times.")
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--count", type=int, default=12, help="images of each of three modalities")
    parser.add_argument("--infer-every", type=int, default=50, help="run infer on every n-th cut")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.count)
        return
    folder = Path(tempfile.mkdtemp(prefix="edge-power-cut-"))
    started = time.monotonic()
    recording = make_recording(folder, args.count)
    flushes = sum(step[0] == "S" for step in recording.steps)
    seen = cut_and_check(recording, folder, args.cuts, args.seed, args.infer_every)
    print(f"{len(recording.steps)} steps, {flushes} flushes; {dict(seen)}; {time.monotonic() - started:.0f} s")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
