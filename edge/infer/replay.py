"""`edge replay`: the same images through the same package again; every difference named, nothing recorded or sent.

What a report was made from is told by its job's trace. The report is built anew, byte for byte, and compared by
digest; where it differs, what differs is told: scores with every digit, and versions.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from edge.config import Settings
from edge.errors import BadObject, JournalError, PackageError, UsageError
from edge.infer import parcels, pipeline, trace
from edge.infer.dispatcher import Dispatcher
from edge.infer.pipeline import Request
from edge.infer.roster import Line, Roster
from edge.journal import Journal, traces, work
from edge.records import UID, Instance, Job, parse_uid
from edge.report.identity import BoxIdentity

_SIGN_SECONDS = 5.0
_COMPARED = ("provider", "outcome", "reason", "scores", "outputs")


class Replayer:
    """Looks again; used by one thread at a time, beside the lanes."""

    def __init__(
        self, settings: Settings, journal: Journal, roster: Roster, dispatcher: Dispatcher, box: BoxIdentity
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._dispatcher = dispatcher
        self._box = box
        self._software = trace.software()

    def replay(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The act `replay`: {report}.

        Raises
        ------
        UsageError
            If `report` is not a UID.
        JournalError
            If no result of this box has that UID, or its study is erased.
        PackageError
            If the package that made it is not here any more.
        """
        report = _asked(request)
        job, then = self._recorded(report)
        with self._roster.hold(job.route) as line:
            again = self._request(job, line.of_unit(job.uid) if line else None, then)
            members = self._members(report, then)
            now = yield from _heard(lambda: self._now(again, members))
        differences = list(_differences(then, now))
        self._journal.note("job", job.id, "", "REPLAYED", "different" if differences else "same")
        yield {
            "end": True, "report": report, "job": job.id, "same": not differences, "package": then["package"],
            "scores": now["scores"], "milliseconds": now["milliseconds"], "differences": differences,
        }  # fmt: skip

    def _recorded(self, report: str) -> tuple[Job, dict[str, Any]]:
        number = traces.job_of(self._journal, report)
        job = work.job(self._journal, number) if number else None
        if job is None:
            raise JournalError("no result of this box has that UID", which=report, hint="`edge jobs list` names them")
        then = traces.of_job(self._journal, job.id)
        if then is None:
            raise _erased(report)
        return job, then

    def _request(self, job: Job, line: Line | None, then: Mapping[str, Any]) -> Request:
        wanted = then["package"]
        if line is None or line.package is None or line.problem or line.package.digest != wanted["digest"]:
            raise PackageError(
                "the package that made this report does not run here any more",
                which=f"{wanted['name']} {wanted['version']} {wanted['digest']}",
                hint="make it the one of its route again; `edge jobs retry` looks with the package of today",
            )
        predecessor = UID(then["predecessor"]) if then["predecessor"] else None
        package = dataclasses.replace(line.package, waiver=wanted.get("waiver", ""))
        return Request(
            job.scope, job.uid, job.study_instance_uid, job.revision, job.route, package, self._box.device_uid,
            predecessor,
        )  # fmt: skip

    def _members(self, report: str, then: Mapping[str, Any]) -> tuple[Instance, ...]:
        found = [work.stored(self._journal, each["uid"], each["tag"]) for each in then["sources"]]
        members = tuple(each for each in found if each is not None)
        if not members or len(members) < len(found):
            raise _erased(report)
        return members

    def _now(self, request: Request, members: tuple[Instance, ...]) -> dict[str, Any]:
        seen, verdict = self._dispatcher.examine(request, members)
        route = next(each for each in self._settings.routes if each.name == request.route)
        wanted = parcels.forms(self._settings, route)
        outputs = parcels.make(pipeline.result(request, seen.sources, verdict), self._box, wanted).digests()
        told: dict[str, Any] = json.loads(
            trace.told(request, members, verdict, outputs=outputs, versions=self._software)
        )
        return told


def _heard(work: Callable[[], dict[str, Any]]) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """What `work` returns; while it lasts, a sign of life for whoever asked."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not wait([future], _SIGN_SECONDS).done:
            yield {"progress": 0, "of": 1}
        return future.result()


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is not as it was, as {what, then, now}. The versions are told as soon as anything else differs."""
    found = [_difference(name, then[name], now[name]) for name in _COMPARED if then[name] != now[name]]
    yield from found
    if found:
        names = sorted({*then["versions"], *now["versions"]})
        versions = ((name, then["versions"].get(name, ""), now["versions"].get(name, "")) for name in names)
        yield from (_difference(f"versions.{name}", was, is_) for name, was, is_ in versions if was != is_)


def _difference(what: str, then: Any, now: Any) -> dict[str, Any]:
    return {"what": what, "then": then, "now": now}


def _asked(request: Mapping[str, Any]) -> str:
    try:
        return parse_uid(str(request.get("report", "")), "REPORT_UID")
    except BadObject as error:
        raise UsageError(error.what, which="REPORT_UID", hint="digits and dots; `edge jobs show` names it") from None


def _erased(report: str) -> JournalError:
    return JournalError(
        "what this report was made from is not stored any more",
        which=report,
        hint="a report can be replayed as long as [storage] keeps its images",
    )
