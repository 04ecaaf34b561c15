"""[models]: whose packages may be installed."""

from __future__ import annotations

from edge.config.types import Section


class Models(Section, frozen=True, kw_only=True):
    """`trusted_keys`: files with vendors' Ed25519 public keys. Packages inside the wheel need none."""

    trusted_keys: tuple[str, ...] = ()
