"""The journal: see README.md."""

from edge.journal.journal import Journal, create

__all__ = ["Journal", "create"]
