"""[models]: whose packages may be installed, and what must hold before one works."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.types import Section

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="a package digest: 64 hexadecimal digits")]


class Models(Section, frozen=True, kw_only=True):
    """`trusted_keys`: files with vendors' Ed25519 public keys. Packages inside the wheel need none.

    `revoked`: digests that are not installed or activated without a reason.
    `promotion_min_shadow`, `promotion_max_disagreement`: what a package must show as a shadow before it is activated.
    `auto_rollback`: an earlier accepted package takes over from one that fails its self-test.
    `selftest_hours`: how often that runs (0: only after a crash).
    `keep_warm_seconds`: how long the package that was replaced keeps its workers, so that a rollback waits for nothing.
    """

    trusted_keys: tuple[str, ...] = ()
    revoked: tuple[Digest, ...] = ()
    promotion_min_shadow: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    promotion_max_disagreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    auto_rollback: bool = False
    selftest_hours: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 24.0
    keep_warm_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 900.0
