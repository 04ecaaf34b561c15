"""Tells the outside what the audit trail says: short messages to `notify.syslog`, audit messages to the collector.

Each teller is a thread that follows the trail from where it stopped last. An outside that cannot be reached is tried
again with patience and holds up nobody; the trail keeps what it has not heard.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from edge.config import Settings
from edge.deliver.retry import Backoff
from edge.deliver.syslog import SyslogStream, send_datagram
from edge.journal import Journal, following
from edge.journal.database import DatabaseError
from edge.journal.following import Event
from edge.operate import alerts, audit_message
from edge.tls import client_context

POLL_SECONDS = 1.0
_BATCH = 256

log = logging.getLogger("edge.deliver")

Tell = Callable[[list[Event]], None]
"""Tells some events; raises OSError when they could not be told."""


class Teller:
    """A thread that hands every event after its position to `tell`, in order, each at least once."""

    def __init__(self, journal: Journal, name: str, tell: Tell, stream: SyslogStream | None = None) -> None:
        self._journal = journal
        self._name = name
        self._tell = tell
        self._stream = stream
        self._bell = threading.Event()
        self._stopping = threading.Event()
        following.position(journal, name)  # a new one tells what happens from now on
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._guarded, name=f"tell-{name}", daemon=True)
        self.failed = threading.Event()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to tell."""
        self._bell.set()

    def stop(self) -> None:
        """End soon; what is not told yet is told after the next start."""
        self._stopping.set()
        self._bell.set()
        if self._stream is not None:
            self._stream.cut()
        self._thread.join()
        if self._stream is not None:
            self._stream.close()

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException:
            self.failed.set()
            raise

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                more = self.step()
                failures = 0
            except (OSError, DatabaseError) as error:
                if failures == 0:
                    log.warning("%s cannot be told: %s", self._name, type(error).__name__)
                more = False
                self._stopping.wait(self._backoff.seconds(failures))
                failures += 1
            if not more:
                self._bell.wait(POLL_SECONDS)

    def step(self) -> bool:
        """Tell the next events; whether there were any. Raises OSError, DatabaseError."""
        events = following.after(self._journal, following.position(self._journal, self._name), _BATCH)
        if events:
            self._tell(events)
            following.told(self._journal, self._name, events[-1].id)
        return bool(events)


def tellers(settings: Settings, journal: Journal) -> list[Teller]:
    """Those that edge.toml asks for. Raises EnvironmentFailure for TLS files that cannot be used."""
    found = []
    if settings.notify.syslog:
        host, _, port = settings.notify.syslog.rpartition(":")
        found.append(Teller(journal, "notify", _Notifier(settings, host.strip("[]"), int(port)).tell))
    collector = settings.audit.collector
    if collector is not None:
        tls = client_context(collector.tls, settings, "audit.collector.tls")
        stream = SyslogStream(collector.host, collector.port, tls)
        found.append(Teller(journal, "audit", _Collector(settings, stream).tell, stream))
    return found


class _Notifier:
    """Alerts as datagrams to a syslog collector, and a heartbeat."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._address = (host, port)
        self._name = settings.receive.ae_title

    def tell(self, events: list[Event]) -> None:
        for event in events:
            alert = alerts.of_event(event)
            if alert is not None:
                self.send(alert)

    def send(self, alert: alerts.Alert) -> None:
        line = alerts.syslog_line(alert.at, alert.severity, alert.name, alert.text().encode("ascii"), self._name)
        send_datagram(*self._address, line)


class Heart:
    """Says every `notify.heartbeat_minutes` that the box lives, so that silence means something."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        host, _, port = settings.notify.syslog.rpartition(":")
        self._pause = settings.notify.heartbeat_minutes * 60.0 if host else 0.0
        self._notifier = _Notifier(settings, host.strip("[]"), int(port)) if host else None
        self._clock = clock
        self._due = 0.0

    def beat(self) -> None:
        """Send one when it is due. One that cannot be sent is missed, and so noticed."""
        if self._notifier is None or not self._pause or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._pause
        try:
            self._notifier.send(alerts.heartbeat(self._clock()))
        except OSError as error:
            log.warning("the heartbeat cannot be sent: %s", type(error).__name__)


class _Collector:
    """Audit messages to the hospital's repository."""

    def __init__(self, settings: Settings, stream: SyslogStream) -> None:
        self._stream = stream
        self._box = settings.receive.ae_title

    def tell(self, events: list[Event]) -> None:
        lines = [line for event in events if (line := self._line(event)) is not None]
        try:
            if lines:
                self._stream.send(lines)
        except OSError:
            self._stream.close()
            raise

    def _line(self, event: Event) -> bytes | None:
        message = audit_message.audit_message(event, self._box)
        if message is None:
            return None
        return alerts.syslog_line(
            event.at, alerts.NOTICE, audit_message.MESSAGE_ID, message, self._box, audit_message.FACILITY, bom=True
        )
