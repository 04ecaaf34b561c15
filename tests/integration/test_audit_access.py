"""Every access to a stored image has its record: what the kernel saw infer open, held against the audit trail."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import support
from acceptance.objects import chest_dx, save
from support import tool, wait_until

from edge.journal import Journal, following

MakeBox = Callable[..., support.Box]
OPENED = re.compile(r'openat\([^"]*"[^"]*spool/[^"]*?([0-9a-f]{32})[^"]*", ([A-Z_|]+)')
ACCESSION = "INVENTEDACC17"
OPENED_BY_A_JOB = 3
"""One look opens an image for its size, its head and its data."""


@contextmanager
def traced(process: int, log: Path) -> Iterator[None]:
    """The kernel's record of what `process` and its threads open."""
    strace = subprocess.Popen(
        [tool("strace"), "-f", "-qq", "-e", "trace=openat", "-o", str(log), "-p", str(process)],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        status = Path(f"/proc/{process}/status")
        wait_until(lambda: f"TracerPid:\t{strace.pid}" in status.read_text(), what="the tracer")
        yield
    finally:
        strace.terminate()
        strace.communicate(timeout=20)


def opened_for_reading(log: Path) -> Counter[str]:
    """How often each object was opened."""
    return Counter(name for name, mode in OPENED.findall(log.read_text()) if "O_WRONLY" not in mode)


def test_whatever_is_opened_is_in_the_trail(box: MakeBox, storescp: support.Storescp, tmp_path: Path) -> None:
    made = box(storescp.port).start()
    assert made.household is not None
    chest = chest_dx(np.full((256, 256), 90, np.uint8), AccessionNumber=ACCESSION)
    other = chest_dx(np.full((64, 64), 90, np.uint8), Modality="OT")  # no route takes it
    log = tmp_path / "trace"
    with traced(made.household.pid("infer"), log):
        assert made.push(save(chest, tmp_path / "a.dcm"), save(other, tmp_path / "b.dcm")).returncode == 0
        wait_until(lambda: made.json("deliveries", "list", "--state", "SENT"), 60, "the report")
        asked = support.run_edge("find", "--accession", "-", "--json", "--config", made.file, input=f"{ACCESSION}\n")
        assert asked.returncode == 0, asked.stderr
    found = opened_for_reading(log)
    records = records_by_object(made)
    assert len(found) == 2
    assert found.total() >= 4, "routing, the job and the search each open an image"
    assert {name: count for name, count in found.items() if count > records[name]} == {}


def records_by_object(made: support.Box) -> Counter[str]:
    """How often each object may have been opened for what the trail says: routed, looked at, searched."""
    journal = Journal(made.settings.journal)
    try:
        studies = {
            row["object_id"]: row["study_instance_uid"]
            for row in journal.database.rows("SELECT object_id, study_instance_uid FROM instance")
        }
        events = following.after(journal, 0, 1 << 20)
    finally:
        journal.close()
    searches = sum((each.thing, each.new) == ("box", "SEARCHED") for each in events)
    records: Counter[str] = Counter()
    for name, study in studies.items():
        routed = sum((each.thing, each.name) == ("instance", name) for each in events)
        looked = sum(each.study == study and (each.thing, each.new) == ("job", "RUNNING") for each in events)
        records[name] = routed + OPENED_BY_A_JOB * looked + searches
    return records
