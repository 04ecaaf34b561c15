"""[receive]: who may push, and within which bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.config.types import AETitle, Alias, Count, Pin, Port, Seconds, Section


class Peer(Section, frozen=True, kw_only=True):
    """[[receive.peers]]: a device that may push. None listed: nobody may.

    `expect_every_hours`: an alarm when it was silent for longer; 0 expects nothing.
    """

    alias: Alias
    ae_title: AETitle
    hosts: tuple[str, ...]
    certificate: Pin | None = None
    expect_every_hours: Annotated[int, msgspec.Meta(ge=0, le=8760)] = 0


class Tls(Section, frozen=True, kw_only=True):
    """A key pair and the CA of the other side: mutual TLS, BCP 195 non-downgrading profile (PS3.15 B.12).

    `minimum_version = "1.3"` speaks nothing older, which is more than the profile asks.
    """

    certificate: str
    key: str
    ca: str
    minimum_version: Literal["1.2", "1.3"] = "1.2"


class Receive(Section, frozen=True, kw_only=True):
    """The DICOM listener. Every bound is answered as PS3.7 and PS3.8 say, counted and audited.

    `private_sop_classes`: private SOP Class UIDs that are stored; `"*"` is any outside the standard's root.
    """

    ae_title: AETitle = "EDGE"
    bind: str = "127.0.0.1"
    port: Port = 11112
    max_associations: Count = 64
    max_associations_per_host: Count = 32
    max_pdu_bytes: Count = 131072
    max_object_mib: Count = 4096
    artim_seconds: Seconds = 10.0
    pdu_seconds: Seconds = 30.0
    idle_seconds: Seconds = 600.0
    on_conflict: Literal["keep-both", "refuse"] = "keep-both"
    private_sop_classes: tuple[str, ...] = ("*",)
    peers: tuple[Peer, ...] = ()
    tls: Tls | None = None
