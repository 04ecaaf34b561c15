"""[relink]: the hospital-side gateway. It runs on a machine of its own, with an edge.toml of its own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.config.receive import Tls
from edge.config.types import AETitle, Alias, Count, Pin, Port, Seconds, Section

CharacterSet = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Z0-9_ ]{0,16}\Z", description='a defined term such as "ISO_IR 192", or empty for none'),
]


class RelinkBox(Section, frozen=True, kw_only=True):
    """[[relink.boxes]]: a box whose results are taken. None listed: nobody's are. `alias` is what the log says."""

    alias: Alias | None = None
    ae_title: AETitle
    hosts: tuple[str, ...]
    certificate: Pin | None = None


class Pacs(Section, frozen=True, kw_only=True):
    """[relink.pacs]: the one archive that is asked (C-FIND) and given to (C-STORE), at the same address."""

    ae_title: AETitle
    host: str
    port: Port
    character_set: CharacterSet = "ISO_IR 192"
    tls: Tls | None = None


class Messages(Section, frozen=True, kw_only=True):
    """Where messages about filed results go: a folder, one address, or both."""

    folder: str | None = None
    host: str | None = None
    port: Port = 0
    tls: Tls | None = None


class Fhir(Messages, frozen=True, kw_only=True):
    """[relink.fhir]: transactions of FHIR R5, by HTTP to `path`."""

    path: str = "/fhir"
    authorization: str | None = None


class Relink(Section, frozen=True, kw_only=True):
    """The gateway's listener and bounds; `tls` may be absent only on loopback."""

    ae_title: AETitle = "RELINK"
    bind: str = "127.0.0.1"
    port: Port = 11114
    max_associations: Count = 16
    max_object_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    idle_seconds: Seconds = 60.0
    evidence_wait_seconds: Seconds = 3600.0
    iocm: bool = False
    rendering: Literal["none", "basic-text-sr"] = "none"
    boxes: tuple[RelinkBox, ...] = ()
    pacs: Pacs
    fhir: Fhir | None = None
    hl7: Messages | None = None
    tls: Tls | None = None
