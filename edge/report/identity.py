"""Who made a report, and the UIDs that follow from what it is about.

Every UID here is a function of its arguments alone: the same unit, revision, package and route have the same
report UID on every run, so that a repeated job adopts what it finds instead of making a second report.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge.errors import ConfigError
from edge.records import UID, Code, Scope, parse_uid

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """The box as General Equipment (PS3.3 C.7.5.1). `device_serial_number` is a random id, never a host name.

    Raises
    ------
    ConfigError
        If a text is not plain ASCII of at most 64 characters, so that an identity that exists can be written.
    """

    device_uid: UID
    device_serial_number: str
    software_versions: str
    manufacturer: str = "Edge"
    manufacturer_model_name: str = "Edge inference appliance"

    def __post_init__(self) -> None:
        parse_uid(self.device_uid, "the box's device UID")
        for name in ("device_serial_number", "software_versions", "manufacturer", "manufacturer_model_name"):
            if not _PLAIN.fullmatch(getattr(self, name)):
                raise ConfigError(
                    "an identity text of the box is not plain ASCII of 1 to 64 characters",
                    which=name,
                    hint="run `edge init` in an empty root to make a new box identity",
                )


def report_uid(scope: Scope, uid: UID, revision: int, package_digest: str, route: str) -> UID:
    """SOP Instance UID of the report on one revision of one unit."""
    return _derived("report", scope, uid, str(revision), package_digest, route)


def series_uid(study_instance_uid: UID, package_digest: str, kind: str) -> UID:
    """Series Instance UID; one series per study, package and `kind` of object ("SR", "SEG", "PR")."""
    return _derived("series", study_instance_uid, package_digest, kind)


def object_uid(report: UID, kind: str) -> UID:
    """SOP Instance UID of an object that goes with a report: a presentation state, another form of it."""
    return _derived("object", report, kind)


def rejection_uid(study_instance_uid: UID, title: str, rejected: Iterable[UID]) -> UID:
    """SOP Instance UID of the note that rejects these results under this title."""
    return _derived("rejection", study_instance_uid, title, *sorted(rejected))


def rejection_series_uid(study_instance_uid: UID) -> UID:
    """Series Instance UID of a study's rejection notes."""
    return _derived("rejection series", study_instance_uid)


def tracking_uid(study_instance_uid: UID, package_digest: str, finding: Code | None, index: int) -> UID:
    """Tracking Unique Identifier of a finding, the same in every revision; `None` is the summary group."""
    concept = ("", "") if finding is None else (finding.scheme, finding.value)
    return _derived("tracking", study_instance_uid, package_digest, *concept, str(index))


def _derived(*parts: str) -> UID:
    # NUL cannot occur in a part, so different parts never make the same text (PS3.5 B.2 for the 2.25 root).
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")
