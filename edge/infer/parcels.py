"""The objects of one result, and which of them goes where: each destination takes them in its own form.

Two destinations of one form share every object. All of a result's objects leave, or none: where the gate stops one,
all are HELD.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from edge.config import Settings
from edge.config.destinations import Destination
from edge.config.routes import Route
from edge.infer.outbox import Written
from edge.records import UID, Result
from edge.report.identity import BoxIdentity
from edge.report.kinds import OLD_SR, SEG, SR, Form
from edge.report.objects import Built, build
from edge.report.sentence import urgent_findings


@dataclass(frozen=True, slots=True)
class Parcels:
    """`built` in the order in which they are to be written and sent; `addresses` are (destination, object).

    `urgent`: something was found that the manifest calls urgent.
    """

    built: Mapping[UID, Built]
    addresses: tuple[tuple[str, UID], ...]
    urgent: bool

    def digests(self) -> dict[UID, str]:
        """SHA-256 of each object."""
        return {uid: hashlib.sha256(each.blob).hexdigest() for uid, each in self.built.items()}


def forms(settings: Settings, route: Route) -> dict[str, Form]:
    """What each destination of `route` takes."""
    return {alias: form_of(settings.destinations[alias]) for alias in route.deliver}


def form_of(destination: Destination) -> Form:
    """What `destination` takes."""
    kind = OLD_SR if destination.sr == "comprehensive" else SR
    return Form(kind, destination.segmentation, destination.presentation)


def make(result: Result, box: BoxIdentity, wanted: Mapping[str, Form]) -> Parcels:
    """Build what `wanted`, by destination, asks for. Raises as `edge.report.sr.build_sr` does."""
    by_form = {form: build(result, box=box, form=form) for form in dict.fromkeys(wanted.values())}
    built = {each.sop_instance_uid: each for objects in by_form.values() for each in objects}
    addresses = ((alias, each.sop_instance_uid) for alias, form in wanted.items() for each in by_form[form])
    return Parcels(built, tuple(addresses), bool(urgent_findings(result)))


def adopted(report_uid: UID, written: Written, wanted: Mapping[str, Form]) -> Parcels | None:
    """The report that an earlier attempt left, where it is all that `wanted` asks for; else None."""
    alone = all(form.sr is SR and not form.presentation for form in wanted.values())
    if not alone or SEG.sop_class_uid.encode() in written.blob:
        return None
    built = {report_uid: Built(SR, report_uid, written.blob)}
    return Parcels(built, tuple((alias, report_uid) for alias in wanted), written.urgent)
