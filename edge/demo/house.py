"""A whole appliance for a few seconds: a box of three rooms, on loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge import rooms
from edge.config import Settings, load
from edge.errors import EnvironmentFailure
from edge.scu import Peer

CALLING = "DEMO"
_START_SECONDS = 30.0
_EDGE_TOML = """\
# made by `edge demo`
[box]
root = "box"
[receive]
ae_title = "EDGE"
bind = "127.0.0.1"
port = 0
[[receive.peers]]
alias = "demo"
ae_title = "DEMO"
hosts = ["127.0.0.1/32"]
[storage]
reserve_gib = 0.0
refuse_at_percent = 100
[[routes]]
name = "demo"
package = "{package}"
deliver = ["archive"]
send = ["succeeded", "partial", "failed", "not-attempted"]
priority = "stat"
max_study_age_days = 36500
[destinations.archive]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
presentation = true
"""


@dataclass(frozen=True, slots=True)
class House:
    """A running box: its settings, and how to call it as the peer `demo`."""

    settings: Settings
    box: Peer


class Starting:
    """The rooms are on their way up; other work can be done meanwhile."""

    def __init__(self, settings: Settings, household: rooms.Household, log: Path) -> None:
        self._settings = settings
        self._household = household
        self._log = log

    def ready(self) -> House:
        """Wait for the rooms. Raises EnvironmentFailure with what they said last."""
        facts = None
        if self._household.wait_ready(_START_SECONDS):
            facts = rooms.announced(self._settings, "receive")
        if not facts:
            said = self._log.read_text("utf-8", "replace").strip().splitlines()
            raise EnvironmentFailure(
                f"the rooms did not start: {said[-1] if said else 'they said nothing'}",
                hint="`edge demo --keep`, then `edge doctor --config` with its edge.toml",
            )
        return House(self._settings, Peer("127.0.0.1", int(facts["port"]), called="EDGE", calling=CALLING))


@contextlib.contextmanager
def starting(
    folder: Path, archive_port: int, *, keep: bool = False, package: str = "cxr-pneumonia"
) -> Iterator[Starting]:
    """Start a box in a new folder below `folder`; it is stopped and, unless `keep`, removed afterwards.

    Parameters
    ----------
    archive_port : int
        Where on loopback the reports are to go.
    package : str
        What the box's only route runs.
    """
    home = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    log = home / "rooms.log"
    try:
        (home / "edge.toml").write_text(_EDGE_TOML.format(port=archive_port, package=package))
        settings = load(home / "edge.toml")
        rooms.make_root(settings)
        with log.open("ab") as output:
            household = rooms.Household(settings, output.fileno())
            household.start()
        try:
            yield Starting(settings, household, log)
        finally:
            household.stop()
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def workplace() -> Path:
    """./edge-demo, or a folder in $TMPDIR where the current one cannot be written."""
    here = Path("edge-demo").resolve()
    with contextlib.suppress(OSError):
        here.mkdir(exist_ok=True)
    return here if os.access(here, os.W_OK | os.X_OK) else Path(tempfile.mkdtemp(prefix="edge-demo-"))
