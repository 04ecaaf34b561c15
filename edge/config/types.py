"""The kinds of value that edge.toml takes, shared by the sections."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A closed section: an unknown key is an error that names key, line and nearest known key."""


Alias = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z", description="a name of a-z, 0-9, dash, underscore")
]
AETitle = Annotated[
    str, msgspec.Meta(pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}\Z", description="1 to 16 ASCII characters, no backslash")
]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36500)]
Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Pin = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z", description="sha256: and 64 hexadecimal digits")]
