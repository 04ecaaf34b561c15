"""The whole of edge.toml, frozen, with the paths that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.config.box import Box
from edge.config.destinations import Destination
from edge.config.infer import Infer
from edge.config.models import Models
from edge.config.notify import Audit, Notify
from edge.config.receive import Receive, Tls
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
    notify: Notify = Notify()
    audit: Audit = Audit()
    relink: Relink | None = None


class Settings(Document, frozen=True, kw_only=True):
    """A checked document and the file it came from. Relative paths start at that file."""

    file: Path

    def tls_sections(self) -> Iterator[tuple[str, Tls]]:
        """Every TLS section that is there, by its place in edge.toml."""
        found = {
            "receive.tls": self.receive.tls,
            **{f"destinations.{alias}.tls": each.tls for alias, each in self.destinations.items()},
            "audit.collector.tls": self.audit.collector.tls if self.audit.collector else None,
            **(_of_gateway(self.relink) if self.relink else {}),
        }
        yield from ((place, tls) for place, tls in found.items() if tls is not None)

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
    def store(self) -> Path:
        """Installed model packages."""
        return self.root / "models"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def journal(self) -> Path:
        # where three users share it, it lies in a folder of its own: SQLite needs room for its two other files
        shared = self.root / "journal"
        return (shared if shared.is_dir() else self.root) / "journal.db"


def _of_gateway(relink: Relink) -> dict[str, Tls | None]:
    return {
        "relink.tls": relink.tls,
        "relink.pacs.tls": relink.pacs.tls,
        "relink.fhir.tls": relink.fhir.tls if relink.fhir else None,
        "relink.hl7.tls": relink.hl7.tls if relink.hl7 else None,
    }
