"""[storage]: how much disk, how long."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.types import Days, Percent, Section


class Storage(Section, frozen=True, kw_only=True):
    """The reserve below which nothing more is stored, and how long objects stay.

    `prepared_mib`: files made beforehand for objects below 1 MiB, which spare their flushes; 0 = none.
    """

    prepared_mib: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 128
    reserve_gib: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    refuse_at_percent: Percent = 90
    keep_days: Days = 3
    max_days: Days = 14
