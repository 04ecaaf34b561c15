"""What a person must know, as short messages: made of events of the audit trail, so nothing is told that is not there.

A message holds codes, UIDs and configured aliases only (the journal's own CHECKs), as one line of syslog (RFC 5424)
or one JSON document.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from edge.journal.alarms import CLEARED, RAISED
from edge.journal.following import Event

EMERGENCY, CRITICAL, ERROR, WARNING, NOTICE, INFORMATIONAL = 0, 2, 3, 4, 5, 6
"""Severities of RFC 5424 6.2.1."""
DAEMON = 3
"""A facility of RFC 5424 6.2.1."""

_TURNS = MappingProxyType(
    {
        ("delivery", "HELD"): ("delivery-held", ERROR),
        ("delivery", "FAILED"): ("delivery-failed", ERROR),
        ("job", "QUARANTINED"): ("job-quarantined", WARNING),
        ("instance", "QUARANTINED"): ("object-quarantined", WARNING),
        ("package", "FAILED"): ("package-failed", ERROR),
    }
)
_ALARM = MappingProxyType({"disk": CRITICAL, "room": CRITICAL, "selftest": ERROR})
_PRINTABLE = re.compile(r"[^A-Za-z0-9_.:-]")


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. `at` in seconds since the epoch, `severity` by RFC 5424, `event` its place in the audit trail."""

    event: int
    at: float
    name: str
    subject: str
    reason: str
    severity: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `edge notify` hands them to its command."""
        return asdict(self)

    def text(self) -> str:
        """One line for people."""
        return f"{self.name} {self.subject} {self.reason}".strip()


def of_event(event: Event) -> Alert | None:
    """The message that `event` is worth, or None."""
    if event.thing == "box" and event.new in (RAISED, CLEARED):
        kind, _, subject = event.name.partition(".")
        severity = NOTICE if event.new == CLEARED else _ALARM.get(kind, WARNING)
        return Alert(event.id, event.at, f"{kind}-{event.new.lower()}", subject, event.reason, severity)
    known = _TURNS.get((event.thing, event.new))
    if known is None or event.old == event.new:
        return None
    return Alert(event.id, event.at, known[0], event.name, event.reason, known[1])


def heartbeat(at: float) -> Alert:
    """A sign of life, so that silence means something."""
    return Alert(0, at, "heartbeat", "", "", INFORMATIONAL)


def syslog_line(
    at: float, severity: int, message_id: str, message: bytes, host: str, facility: int = DAEMON, bom: bool = False
) -> bytes:
    """A message by RFC 5424 6, without the framing of its transport.

    `bom` marks the message as UTF-8 as 6.4 wants it; without it the message is plain ASCII.
    """
    stamp = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = _PRINTABLE.sub("-", host)[:255] or "-"
    head = f"<{facility * 8 + severity}>1 {stamp} {host} edge - {message_id[:32]} - ".encode("ascii")
    return head + (b"\xef\xbb\xbf" if bom else b"") + message
