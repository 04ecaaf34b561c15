"""A program that is killed at the steps of a package's life: `kill_models.py EDGE_TOML ARCHIVE ACTION STRIDE`.

A child of it does the action and ends itself (SIGKILL) just before its n-th act on disk, journal or process table, for
n = 1, 1 + STRIDE, ... until the action is through. After each death the program starts the box's lifecycle anew, as the
infer room does, and prints what it found as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge.config import Settings, load
from edge.journal import Journal, packages
from edge.packages.lifecycle import Lifecycle
from edge.packages.offline import Offline
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.packages.site import policy_of, store_of

ACTS = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "subprocess.Popen")
VERSION = "2.0.0"


class Idle:
    """A bench for what only has to be there before the round."""

    def selftest(self, package: Package) -> None: ...

    def prepare(self, package: Package) -> None: ...

    def switch(self) -> None: ...


def lifecycle(settings: Settings, *, idle: bool = False) -> tuple[Lifecycle, Journal]:
    journal = Journal(settings.journal)
    bench = Idle() if idle else Offline(settings)
    made = Lifecycle(journal, store_of(settings), Registry({}), bench, policy_of(settings))
    made.recover()
    return made, journal


class Death:
    """Counts acts and ends the process before the last one it is granted."""

    def __init__(self, granted: int) -> None:
        self._left = granted

    def act(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in ACTS or writes:
            self.act()

    def watch(self, journal: Journal) -> None:
        """Also before and after each move, with the transaction open."""
        execute, insert = journal.database.execute, journal.database.insert

        def counted(run: Any) -> Any:
            def wrapped(*words: Any) -> Any:
                self.act()
                answer = run(*words)
                self.act()
                return answer

            return wrapped

        journal.database.execute, journal.database.insert = counted(execute), counted(insert)
        sys.addaudithook(self.audit)


def do(made: Lifecycle, action: str, archive: Path) -> None:
    """The action, on version 2.0.0 beside an ACTIVE 1.0.0."""
    if action == "install":
        with archive.open("rb") as source:
            made.install(source)
    elif action == "activate":
        made.activate(f"brightness-{VERSION}", "evaluation")
    elif action == "rollback":
        made.roll_back("brightness")
    else:
        made.remove(f"brightness-{VERSION}")


def make_ready(made: Lifecycle, journal: Journal, action: str, archive: Path) -> None:
    """What must be there before the action, whatever the last round left."""
    row = next((each for each in packages.listing(journal) if each.version == VERSION), None)
    state = row.state if row else ""
    if action == "install":
        if state == "ACTIVE":
            made.roll_back("brightness")
        if state in packages.HERE:
            made.remove(f"brightness-{VERSION}")
        return
    if state not in packages.HERE:
        do(made, "install", archive)
    if action == "rollback" and state != "ACTIVE":
        do(made, "activate", archive)
    if action in ("activate", "remove") and state == "ACTIVE":
        do(made, "rollback", archive)


def killed_at(settings: Settings, archive: Path, action: str, step: int) -> bool:
    """Whether the child died of it; False when the action needs no more than `step` - 1 acts."""
    child = os.fork()
    if child == 0:
        made, journal = lifecycle(settings)
        Death(step).watch(journal)
        do(made, action, archive)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def found(settings: Settings) -> dict[str, Any]:
    """What is there after a start: states, what lies in the store, what of it can be loaded."""
    _, journal = lifecycle(settings)
    try:
        rows = packages.listing(journal)
        here = [each for each in rows if each.state in packages.HERE]
        store = store_of(settings)
        return {
            "states": {each.version: each.state for each in rows},
            "names": sorted(path.name for path in settings.store.iterdir()),
            "wanted": sorted(each.digest for each in here),
            "loaded": sorted(store.load(each.digest).digest for each in here),
        }
    finally:
        journal.close()


def main(file: Path, archive: Path, action: str, stride: int) -> None:
    settings = load(file)
    step, killed = 1 - stride, True
    while killed:
        step += stride
        made, journal = lifecycle(settings, idle=True)
        make_ready(made, journal, action, archive)
        journal.close()
        killed = killed_at(settings, archive, action, step)
        print(json.dumps({"step": step, "killed": killed, **found(settings)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
