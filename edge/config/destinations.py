"""[destinations.ALIAS]: where results may go. Hosts are IP addresses; nothing else is ever connected to."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.config.receive import Tls
from edge.config.types import AETitle, Port, Section


class Destination(Section, frozen=True, kw_only=True):
    """A relink gateway, or (`deidentified`) an archive that takes the PHI-free object as it is.

    `iocm`: it is told (Key Object Selection) when images whose results it has were rejected.
    By C-STORE (`ae_title`), or, an archive alone, by STOW-RS (`path`, `authorization`).
    `max_per_minute`: results that are not urgent wait when so many left within a minute; 0 is no bound.
    """

    kind: Literal["relink", "deidentified"] = "relink"
    protocol: Literal["dimse", "stow-rs"] = "dimse"
    ae_title: AETitle | None = None
    host: str
    port: Port
    path: str = "/dicom-web"
    authorization: str | None = None
    accept_unfiled_results: bool = False
    max_per_minute: Annotated[int, msgspec.Meta(ge=0, le=60000)] = 0
    sr: Literal["comprehensive-3d", "comprehensive"] = "comprehensive-3d"
    iocm: bool = False
    segmentation: bool = True
    presentation: bool = False
    tls: Tls | None = None
