"""`edge notify`: the hospital's own program, run once for each message, with the message as JSON on standard input."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time

from edge.config import Settings
from edge.journal import Journal, following
from edge.operate import alerts

POLL_SECONDS = 1.0
_FOLLOWER = "notify-command"
_COMMAND_SECONDS = 60.0
_AGAIN_SECONDS = 30.0

log = logging.getLogger("edge.notify")


class Notifier:
    """Follows the audit trail. A command that fails is run again for the same message until it ends with 0."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._command = list(settings.notify.command)
        self._journal = journal
        self._heartbeat = settings.notify.heartbeat_minutes * 60.0
        self._beat_due = time.monotonic()

    def run(self, stopping: threading.Event, *, once: bool = False) -> None:
        """Tell everything until `stopping` is set, or `once`."""
        while not stopping.is_set():
            told = self.step() and self.beat()
            if once and told:
                return
            stopping.wait(POLL_SECONDS if told else _AGAIN_SECONDS)

    def step(self) -> bool:
        """Tell what is waiting; whether all of it could be told."""
        position = following.position(self._journal, _FOLLOWER)
        while events := following.after(self._journal, position):
            for event in events:
                alert = alerts.of_event(event)
                if alert is not None and not self._tell(alert):
                    following.told(self._journal, _FOLLOWER, event.id - 1)
                    return False
            position = events[-1].id
            following.told(self._journal, _FOLLOWER, position)
        return True

    def beat(self) -> bool:
        """The heartbeat, when it is due; whether nothing went wrong."""
        if not self._heartbeat or time.monotonic() < self._beat_due:
            return True
        self._beat_due = time.monotonic() + self._heartbeat
        return self._tell(alerts.heartbeat(self._journal.clock()))

    def _tell(self, alert: alerts.Alert) -> bool:
        try:
            ended = subprocess.run(
                self._command, input=json.dumps(alert.as_json()).encode(), timeout=_COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("the command does not run: %s", type(error).__name__)
            return False
        if ended.returncode:
            log.warning("the command ended with %d", ended.returncode)
        return ended.returncode == 0
