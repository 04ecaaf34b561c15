"""[infer]: how models are run."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.config.types import Count, Section


class Infer(Section, frozen=True, kw_only=True):
    """`workers = 0` is one per core, one thread each; `providers` is a fixed order, verified, never silently left."""

    workers: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    providers: tuple[Literal["auto", "cpu", "cuda", "tensorrt"], ...] = ("auto",)
    attempts: Count = 3
    max_frame_mib: Count = 1024
    max_unit_mib: Count = 2048
