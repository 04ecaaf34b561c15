"""The whole of edge.toml, frozen, with the paths that follow from it."""

from __future__ import annotations

from pathlib import Path

from edge.config.box import Box
from edge.config.destinations import Destination
from edge.config.infer import Infer
from edge.config.models import Models
from edge.config.receive import Receive
from edge.config.relink import Relink
from edge.config.routes import Route
from edge.config.storage import Storage
from edge.config.types import Section


class Document(Section, frozen=True, kw_only=True):
    """edge.toml as it is written."""

    box: Box = Box()
    receive: Receive = Receive()
    storage: Storage = Storage()
    infer: Infer = Infer()
    routes: tuple[Route, ...] = ()
    destinations: dict[str, Destination] = {}
    models: Models = Models()
    relink: Relink | None = None


class Settings(Document, frozen=True, kw_only=True):
    """A checked document and the file it came from. Relative paths start at that file."""

    file: Path

    def path(self, text: str) -> Path:
        """A path of the config as an absolute one."""
        return (self.file.parent / text).resolve()

    @property
    def root(self) -> Path:
        return self.path(self.box.root)

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def journal(self) -> Path:
        # where three users share it, it lies in a folder of its own: SQLite needs room for its two other files
        shared = self.root / "journal"
        return (shared if shared.is_dir() else self.root) / "journal.db"
