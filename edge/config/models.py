"""[models]: whose packages may be installed, and what must hold before one works."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.types import Section

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="a package digest: 64 hexadecimal digits")]


class Models(Section, frozen=True, kw_only=True):
    """`trusted_keys`: files with vendors' Ed25519 public keys. Packages inside the wheel need none.

    `promotion_min_shadow`, `promotion_max_disagreement`: what a package must show as a shadow before it is activated.
    `revoked`: digests that are not installed or activated without a reason. `keep_warm_seconds`: how long the package
    that was replaced keeps its workers, so that `edge models rollback` waits for nothing.
    """

    trusted_keys: tuple[str, ...] = ()
    revoked: tuple[Digest, ...] = ()
    promotion_min_shadow: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    promotion_max_disagreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    keep_warm_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 900.0
