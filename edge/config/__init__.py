"""edge.toml as frozen settings. One file per section; `load` reads, checks and names what is wrong."""

from edge.config.load import find, load
from edge.config.settings import Settings

__all__ = ["Settings", "find", "load"]
