"""The small types that a manifest is made of: each says what it takes, so that editors and messages can."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MEMBER_NAME = r"^(MODEL_CARD\.md|LICENSE|[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*){0,3})$(?!\n)"
"""What a member may be called: no hidden file, no `..`, no absolute path, nothing that a shell could misread."""

Name = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$(?!\n)", description="lower case, digits, dashes")
]
Version = Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+$(?!\n)", description="MAJOR.MINOR.PATCH")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Keyword = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$(?!\n)", description="a DICOM keyword")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
Index = Annotated[int, msgspec.Meta(ge=0)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
MemberName = Annotated[str, msgspec.Meta(pattern=MEMBER_NAME, max_length=200)]
Unit01 = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Absent = Literal["accept", "refuse"]
Over = Literal["max", "mean", "median"]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Closed and frozen: an unknown key is an error."""


class CodeEntry(Closed, frozen=True, kw_only=True):
    """A coded concept, e.g. {value = "233604007", scheme = "SCT", meaning = "Pneumonia"}."""

    value: ShortText
    scheme: ShortText
    meaning: ShortText
