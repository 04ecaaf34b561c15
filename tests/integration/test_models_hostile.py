"""More than 200 packages that no box may take: refused, nothing kept, nothing escapes, the active one serves on."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_packages import GRAPHS, Maker, archives, graphs
from model_site import Site, site

from edge.errors import EdgeError
from edge.journal import packages
from edge.packages.offline import request

__all__ = ["site"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ALSO_RUN = ("no number", "8 GiB when it runs", "weights in the journal")
"""Of the graphs, these go the whole way in the default run too: child, store, sandbox."""


def refused(here: Site, blob: bytes) -> tuple[str, float]:
    """What the room says to this archive, in one line, and how many seconds it took; fails if it takes it."""
    memory = os.memfd_create("archive")
    try:
        os.write(memory, blob) if len(blob) < 1 << 20 else Path(f"/proc/self/fd/{memory}").write_bytes(blob)
        os.lseek(memory, 0, os.SEEK_SET)
        started = time.perf_counter()
        with contextlib.suppress(EdgeError):
            taken = request(here.box.settings, {"do": "install"}, memory)
            return f"TAKEN {taken}", 0.0
        return "", time.perf_counter() - started
    finally:
        os.close(memory)


def around(here: Site) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file near the box, but for what the box itself writes."""
    root = here.box.settings.root
    own = (root / "journal.db", root / "run", root / "spool", root / "outbox")
    found = {}
    for path in root.parent.parent.rglob("*"):
        if path.is_file() and not any(str(path).startswith(str(each)) for each in own):
            state = path.stat()
            found[str(path)] = (state.st_size, state.st_mtime_ns)
    return found


@pytest.fixture
def target(site: Callable[..., Site]) -> Site:
    """A running site with an active package."""
    here = site()
    here.works("0.1.0", 1.0)
    here.box.start()
    here.answered()
    return here


def test_two_hundred_archives_are_refused(target: Site) -> None:
    before = around(target)
    told = {name: refused(target, blob)[0] for name, blob in archives(Maker(target.vendor.private))}
    assert [name for name, taken in told.items() if taken] == []
    assert len(told) + len(GRAPHS) >= 200
    assert around(target) == before
    assert target.states() == {"0.1.0": "ACTIVE"}
    assert target.answered()[0] == "0.1.0"


def test_graphs_that_must_not_run_are_refused(target: Site) -> None:
    before = around(target)
    chosen = {name: blob for name, blob in graphs(Maker(target.vendor.private)) if name.partition(": ")[2] in ALSO_RUN}
    assert len(chosen) == len(ALSO_RUN)
    assert [name for name, blob in chosen.items() if refused(target, blob)[0]] == []
    assert around(target) == before
    assert {each.state for each in packages.listing(target.box.journal)} == {"ACTIVE", "FAILED"}
    assert target.answered()[0] == "0.1.0"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_one_within_its_time(target: Site, record_property: Callable[[str, object], None]) -> None:
    """1 s; 5 s where a limit of memory, time or processor must be met first."""
    maker = Maker(target.vendor.private)
    before = around(target)
    took: dict[str, float] = {}
    for name, blob in (*archives(maker), *graphs(maker)):
        taken, took[name] = refused(target, blob)
        assert not taken, name
    slowest = sorted(((seconds, name) for name, seconds in took.items()), reverse=True)[:10]
    print(json.dumps({"packages": len(took), "slowest": slowest}, indent=1))
    record_property("hostile", json.dumps({"packages": len(took), "slowest": slowest}))
    assert [
        name for name, seconds in took.items() if seconds > (5.0 if name.startswith(("graph", "self")) else 1.0)
    ] == []
    assert around(target) == before
    assert target.answered()[0] == "0.1.0"
