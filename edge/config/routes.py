"""[[routes]]: which objects meet which package, and where its results go."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.config.types import Alias, Days, Percent, Seconds, Section

MATCHABLE = (
    "Modality", "SOPClassUID", "BodyPartExamined", "ViewPosition", "StationName", "Manufacturer",
    "ManufacturerModelName", "StudyDescription", "SeriesDescription", "ProtocolName", "PresentationIntentType",
    "peer",
)  # fmt: skip
"""What `when` can look at. It can only narrow what the package's own manifest allows."""

Deliverable = Literal["succeeded", "partial", "failed", "not-attempted"]


class Canary(Section, frozen=True, kw_only=True):
    """A share of a route's units that another installed and accepted version of its package works on, by their UIDs."""

    version: Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+\Z", description="a version: MAJOR.MINOR.PATCH")]
    percent: Percent


class Route(Section, frozen=True, kw_only=True):
    """One route. An object that matches several makes a job for each package, and one for a package named twice."""

    name: Alias
    package: Annotated[
        str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{1,62}\Z", description="a package name: a-z, 0-9, dash")
    ]
    when: dict[str, tuple[str, ...]] = {}
    deliver: tuple[Alias, ...] = ()
    send: tuple[Deliverable, ...] = ("succeeded", "partial", "failed")
    priority: Literal["stat", "routine", "backfill"] = "routine"
    urgent_seconds: Seconds = 3600.0
    quiet_seconds: Seconds = 30.0
    max_wait_seconds: Seconds = 600.0
    max_study_age_days: Days = 7
    allow_demonstration: bool = False
    canary: Canary | None = None
