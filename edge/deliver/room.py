"""The deliver room: the only way out. It reads the journal, the outbox and one public key, and nothing else.

start: journal, key, doorbell, a sender per destination. run: on every ring (and once a second) wake the senders.
stop: let what is being sent end, then cut what hangs; that stays PENDING.
"""

from __future__ import annotations

import threading
import time

from edge import keys
from edge.config import Settings
from edge.deliver.herald import Heart, tellers
from edge.deliver.pace import Pace
from edge.deliver.sender import Sender, Way
from edge.deliver.watch import Watch
from edge.deliver.web import Web
from edge.errors import EnvironmentFailure
from edge.journal import Journal
from edge.rooms import Heartbeat, announce
from edge.scu import Peer
from edge.secret import secret_line
from edge.tls import client_context
from edge.wake import Doorbell

_DRAIN_SECONDS = 5.0


class Room:
    """See edge.rooms.Room."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        """Open what is needed. Raises EdgeError when something is missing."""
        settings = self._settings
        verify_key = keys.load(settings.keys, "verify.pub")
        ways = [Way(alias, settings.outbox, verify_key, self._peer(alias)) for alias in sorted(settings.destinations)]
        self._journal = Journal(settings.journal)
        self._senders = [
            Sender(self._journal, way, Pace(settings.destinations[way.alias].max_per_minute)) for way in ways
        ]
        self._tellers = tellers(settings, self._journal)
        self._watch = Watch(settings, self._journal)
        self._heart = Heart(settings)
        self._bell = Doorbell(settings.run, "deliver")

    def run(self, stopping: threading.Event) -> None:
        """Wake the senders whenever there may be something new."""
        for sender in self._senders:
            sender.start()
        for teller in self._tellers:
            teller.start()
        announce(self._settings, "deliver", destinations=len(self._senders))
        heart = Heartbeat()
        while not stopping.is_set():
            self._bell.wait()
            for sender in self._senders:
                sender.wake()
                if sender.failed.is_set():
                    raise EnvironmentFailure("a sender ended", hint="see the lines above, then `edge doctor`")
            for teller in self._tellers:
                teller.wake()
                if teller.failed.is_set():
                    raise EnvironmentFailure("a teller ended", hint="see the lines above, then `edge doctor`")
            self._watch.look()
            self._heart.beat()
            heart.beat()

    def wake(self) -> None:
        """Make `run` look at `stopping` now."""
        self._bell.ring_self()

    def stop(self) -> None:
        """Let what is being sent end, within bounds."""
        for teller in self._tellers:
            teller.stop()
        for sender in self._senders:
            sender.stop()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for sender in self._senders:
            if not sender.join(max(0.0, deadline - time.monotonic())):
                sender.cut()
                sender.join(_DRAIN_SECONDS)
        self._bell.close()
        self._journal.close()

    def _peer(self, alias: str) -> Peer | Web:
        settings, destination = self._settings, self._settings.destinations[alias]
        tls = client_context(destination.tls, settings, f"destinations.{alias}.tls")
        if destination.protocol == "stow-rs":
            secret = secret_line(settings, destination.authorization, f"destinations.{alias}.authorization")
            return Web(destination.host, destination.port, destination.path, tls, secret)
        return Peer(destination.host, destination.port, destination.ae_title or "", settings.receive.ae_title, tls)
