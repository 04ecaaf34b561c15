"""[destinations.ALIAS]: where results may go. Hosts are IP addresses; nothing else is ever connected to."""

from __future__ import annotations

from typing import Literal

from edge.config.receive import Tls
from edge.config.types import AETitle, Port, Section


class Destination(Section, frozen=True, kw_only=True):
    """A relink gateway, or (`deidentified`) an archive that takes the PHI-free object as it is."""

    kind: Literal["relink", "deidentified"] = "relink"
    ae_title: AETitle
    host: str
    port: Port
    accept_unfiled_results: bool = False
    tls: Tls | None = None
