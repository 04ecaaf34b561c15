"""[box]: where everything lies."""

from __future__ import annotations

from edge.config.types import Section


class Box(Section, frozen=True, kw_only=True):
    """`root` holds spool/, outbox/, keys/, models/, run/ and journal.db; relative paths start at the config file."""

    root: str = "/var/lib/edge"
