"""[notify] and [audit]: who is told what a person must know, and where the audit trail is collected."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.receive import Tls
from edge.config.types import Port, Section

SyslogAddress = Annotated[
    str, msgspec.Meta(pattern=r"^(\S+:\d{1,5})?\Z", description='an address and port such as "10.0.0.5:514", or empty')
]


class Notify(Section, frozen=True, kw_only=True):
    """`syslog` is told by the deliver room (RFC 5424 over UDP); `command` is run by `edge notify`, once a message."""

    syslog: SyslogAddress = ""
    command: tuple[str, ...] = ()
    heartbeat_minutes: Annotated[int, msgspec.Meta(ge=0, le=10080)] = 0


class Collector(Section, frozen=True, kw_only=True):
    """[audit.collector]: takes DICOM audit messages (PS3.15 A.5) as RFC 5424 syslog over TLS (RFC 5425)."""

    host: str
    port: Port = 6514
    tls: Tls | None = None


class Audit(Section, frozen=True, kw_only=True):
    """The audit trail outside the box; the trail inside needs no setting."""

    collector: Collector | None = None
