"""What the gateway does with a filed report besides: a plain rendering for the PACS, messages with the real subject.

All of it is done again when the box sends the result again, under the same UIDs, ids and names, so nothing is doubled
at a receiver that knows them; and all of it comes before the box is told Success, so nothing needs a queue.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.config.relink import Fhir, Messages
from edge.config.settings import Settings
from edge.errors import BadObject, EnvironmentFailure
from edge.relink import fhir, hl7, relay
from edge.relink.archive import Archive
from edge.relink.elements import EXPLICIT_VR_LITTLE_ENDIAN, write
from edge.relink.merge import merge
from edge.relink.person import Person, person_of
from edge.relink.relay import Address
from edge.relink.rendering import BASIC_TEXT_SR, as_basic_text
from edge.relink.result import SOP_CLASSES, Result
from edge.relink.status import Refused, Status
from edge.relink.subject import Subject
from edge.report.encode import part10
from edge.report.reader import ReportView, read_report
from edge.secret import secret_line
from edge.tls import client_context

Tell = Callable[[ReportView, Person, datetime], None]


@dataclass(frozen=True, slots=True)
class Also:
    """What is asked for; nothing by default."""

    rendering: bool = False
    tells: tuple[Tell, ...] = ()

    def __bool__(self) -> bool:
        return self.rendering or bool(self.tells)

    @property
    def sop_classes(self) -> tuple[str, ...]:
        """What must be proposed to the PACS besides the result's own class."""
        return (BASIC_TEXT_SR,) if self.rendering else ()

    def do(self, filed: Result, owner: Subject, pacs: Archive, now: datetime) -> None:
        """Render and tell what `filed` says, if it is a report. Raises Refused, or PeerFailure of the PACS."""
        if not self or SOP_CLASSES[filed.sop_class_uid] != "SR":
            return
        try:
            data = write(filed.data_set, EXPLICIT_VR_LITTLE_ENDIAN)
            view = read_report(part10(filed.sop_class_uid, filed.sop_instance_uid, data))
        except BadObject:
            raise Refused(Status.CANNOT_UNDERSTAND, "report-unreadable") from None
        if self.rendering:
            _render(as_basic_text(filed, view), owner, pacs, now)
        person = person_of(owner)
        for tell in self.tells:
            tell(view, person, now.astimezone())


def from_settings(settings: Settings) -> Also:
    """What [relink] asks for. Raises EnvironmentFailure when a folder or a file that it names cannot be used."""
    relink = settings.relink
    if relink is None:
        return Also()
    tells: list[Tell] = []
    if relink.fhir is not None:
        tells.append(_fhir(settings, relink.fhir))
    if relink.hl7 is not None:
        tells.append(_hl7(settings, relink.hl7))
    return Also(relink.rendering == "basic-text-sr", tuple(tells))


def _fhir(settings: Settings, endpoint: Fhir) -> Tell:
    folder, address = _where(settings, endpoint, "relink.fhir")
    if address is not None:
        secret = secret_line(settings, endpoint.authorization, "relink.fhir.authorization")
        address = dataclasses.replace(address, path=endpoint.path, authorization=secret)

    def tell(view: ReportView, person: Person, now: datetime) -> None:
        bundle = fhir.bundle(view, person, now)
        if folder is not None:
            relay.to_folder(folder, f"{view.sop_instance_uid}.json", json.dumps(bundle, indent=2).encode())
        if address is not None:
            relay.post(address, bundle)

    return tell


def _hl7(settings: Settings, endpoint: Messages) -> Tell:
    folder, address = _where(settings, endpoint, "relink.hl7")

    def tell(view: ReportView, person: Person, now: datetime) -> None:
        message = hl7.message(view, person, now)
        if folder is not None:
            relay.to_folder(folder, f"{view.sop_instance_uid}.hl7", message)
        if address is not None:
            relay.tell(address, message)

    return tell


def _where(settings: Settings, endpoint: Messages, which: str) -> tuple[Path | None, Address | None]:
    folder = settings.path(endpoint.folder) if endpoint.folder else None
    if folder is not None and not folder.is_dir():
        raise EnvironmentFailure(
            "the folder is not there", which=f"{which}.folder", hint="make it, for the gateway's user"
        )
    if endpoint.host is None:
        return folder, None
    return folder, Address(endpoint.host, endpoint.port, client_context(endpoint.tls, settings, f"{which}.tls"))


def _render(text: Result, owner: Subject, pacs: Archive, now: datetime) -> None:
    if pacs.holds(text):
        return
    if not pacs.takes(text.sop_class_uid):
        raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "pacs-takes-no-text")
    status = pacs.store(text, merge(text.data_set, owner, now))
    if status:
        raise Refused(Status.PACS_AWAY, f"rendering-{status:04X}")
