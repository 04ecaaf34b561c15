"""One job from lease to result: members, verdict, report, egress gate, outbox, signature, journal.

Comes in: a leased job. Goes out: the job DONE or QUARANTINED with an outcome and its deliveries queued, or READY
again when another attempt may help. Whatever one object does, the room goes on.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from edge import crypto, reasons
from edge.config import Settings
from edge.errors import GateHit, JournalError, SealError
from edge.infer import egress, outbox, parcels, pipeline, trace
from edge.infer.caretaker import CRASHES
from edge.infer.gather import Gathered
from edge.infer.headers import Headers
from edge.infer.identity import identity_tokens
from edge.infer.meter import Meter
from edge.infer.parcels import Parcels
from edge.infer.pipeline import Request, Verdict
from edge.infer.pool import Pool
from edge.infer.postprocess import mask_bytes
from edge.infer.protocol import Answer
from edge.infer.refusal import Refusal
from edge.infer.roster import Line, Roster
from edge.journal import Journal, alarms, shadows, work
from edge.journal.database import DatabaseError, is_full
from edge.journal.work import Outgoing
from edge.operate.logs import frames
from edge.packages.package import Package
from edge.records import UID, Instance, Job, Outcome, Result, Scope, Source
from edge.report.identity import BoxIdentity
from edge.report.kinds import Form
from edge.statement import NO_SIGNATURE, result_statement
from edge.vault import Opener

log = logging.getLogger("edge.infer")


@dataclass(frozen=True, slots=True)
class Seen:
    """The images of a job: what is stored, and as far as they could be read."""

    members: tuple[Instance, ...]
    sources: tuple[Source, ...]
    datasets: tuple[Dataset, ...]


class Dispatcher:
    """Runs jobs; one instance serves all lanes."""

    def __init__(
        self, settings: Settings, journal: Journal, roster: Roster, *, opener: Opener, headers: Headers,
        pool: Pool, box: BoxIdentity, sign_key: bytes, meter: Meter, suspect: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._opener = opener
        self._headers = headers
        self._pool = pool
        self._box = box
        self._sign_key = sign_key
        self._meter = meter
        self._suspect = suspect
        self._software = trace.software()
        self._owed: deque[int] = deque()

    def process(self, job: Job) -> bool:
        """Bring `job` to its end, or back to READY; whether something waits to be delivered. Never raises."""
        started = time.perf_counter()
        try:
            with self._roster.hold(job.route) as line:
                own = line.of_unit(job.uid) if line else None
                verdict, sending = self._process(job, own)
                self._follow_up(job, own, verdict)
        except JournalError:
            log.warning("job %d belongs to someone else now", job.id)
            return False
        except Exception as error:  # noqa: BLE001 - the last net: one job, not the room
            log.error("job %d: %s\n%s", job.id, type(error).__name__, frames(error))
            if is_full(error):
                self._owed.append(job.id)
                return False
            return self._after_a_bug(job)
        digest = own.package.digest if own and own.package else ""
        self._meter.job(job.package, digest, verdict)
        _log(job, verdict, (time.perf_counter() - started) * 1e3)
        return sending

    @property
    def is_blocked(self) -> bool:
        """Whether jobs met a full disk and are not given back yet: another one would meet it too."""
        return bool(self._owed)

    def settle(self) -> None:
        """Give back the jobs that met a full disk, as soon as the journal, on that same disk, has room to say so.

        Their attempts do not count. Only the room's own thread calls this, once a second or so: meanwhile lanes rest.
        """
        while self._owed:
            try:
                work.give_back(self._journal, self._owed[0], "disk-full")
            except JournalError:
                log.warning("job %d belongs to someone else now", self._owed[0])
            except (OSError, DatabaseError) as error:
                log.error("no job can be given back: %s", type(error).__name__)
                return
            self._owed.popleft()

    def _follow_up(self, job: Job, line: Line | None, verdict: Verdict) -> None:
        """A package whose worker crashed is tested; a shadow may look too."""
        if line is None:
            return
        if verdict.reason in CRASHES and line.package is not None:
            self._suspect(line.package.digest)
        if line.candidate is not None:
            shadows.queue(self._journal, job.id, line.candidate.digest)

    def _process(self, job: Job, line: Line | None) -> tuple[Verdict, bool]:
        if line is None or line.package is None or line.problem:
            # nobody can say in whose name a report would speak, so there is none
            verdict = pipeline.stopped("package-unavailable")
            return verdict, self._finish(job, verdict, UID(""), "", [])
        request = Request(
            job.scope, job.uid, job.study_instance_uid, job.revision, job.route, line.package, self._box.device_uid,
            work.predecessor(self._journal, job) if job.revision > 1 else None,
        )  # fmt: skip
        wanted = parcels.forms(self._settings, line.route)
        written = outbox.find(self._settings.outbox, request.report_uid)
        found = parcels.adopted(request.report_uid, written, wanted) if written else None
        if written is not None and found is not None:
            verdict = Verdict(written.outcome, written.reason)
            seen = Seen(tuple(work.members(self._journal, job)), (), ())
            return verdict, self._deliver(job, line, request, verdict, found, seen)
        return self._run(job, line, request, wanted)

    def _run(self, job: Job, line: Line, request: Request, wanted: Mapping[str, Form]) -> tuple[Verdict, bool]:
        seen, verdict = self._look(job, request)
        if self._may_retry(job, verdict):
            work.retry_later(self._journal, job.id, verdict.reason)
            return verdict, False
        if verdict.outcome not in line.route.send or not line.route.deliver:
            told = self._told(request, seen, verdict, {})
            return verdict, self._finish(job, verdict, UID(""), request.package.digest, [], told)
        result = pipeline.result(request, seen.sources, self._calmed(request, verdict))
        made = parcels.make(result, self._box, wanted)
        try:
            self._release(made, result, seen)
        except GateHit as hit:
            log.warning("report %s held: %s", request.report_uid, hit.reason)
            return verdict, self._deliver(job, line, request, verdict, made, seen, held=hit.reason)
        for uid, each in made.built.items():
            outbox.write(self._settings.outbox, uid, each.blob)
        return verdict, self._deliver(job, line, request, verdict, made, seen)

    def _calmed(self, request: Request, verdict: Verdict) -> Verdict:
        """While the package flags more or less than its vendor expects, nothing that it finds is called urgent."""
        if not any(each.urgent for each in verdict.findings):
            return verdict
        if not alarms.stands(self._journal, f"flag-rate.{request.package.manifest.name}"):
            return verdict
        return replace(verdict, findings=tuple(replace(each, urgent=False) for each in verdict.findings))

    def _look(self, job: Job, request: Request) -> tuple[Seen, Verdict]:
        members = tuple(work.members(self._journal, job))
        if not members:
            return Seen((), (), ()), pipeline.stopped("no-images")
        if job.attempts > self._settings.infer.attempts:
            # the room itself ended during every attempt, so there is no later one
            sources = tuple(pipeline.source(each, None) for each in members)
            return Seen(members, sources, ()), pipeline.stopped("internal")
        return self.examine(request, members)

    def examine(self, request: Request, members: tuple[Instance, ...]) -> tuple[Seen, Verdict]:
        """Let the package look at `members`; what `edge replay` does again. Nothing is recorded."""
        if request.scope is Scope.IMAGE:
            members = members[-1:]
        try:
            datasets = tuple(self._headers.take(instance) for instance in members)
        except (Refusal, SealError) as error:
            reason = error.reason if isinstance(error, Refusal) else "sealed-object-damaged"
            return Seen(members, tuple(pipeline.source(each, None) for each in members), ()), pipeline.stopped(reason)
        manifest = request.package.manifest
        received = datetime.datetime.fromtimestamp(max(each.received_at for each in members), datetime.UTC).date()
        verdict = pipeline.look(
            manifest, datasets, received, lambda images: self._evaluate(request.package, members, datasets, images)
        )
        looked = verdict.images or tuple(range(len(members)))
        sources = tuple(pipeline.source(members[image], datasets[image]) for image in looked)
        return Seen(members, sources, tuple(datasets[image] for image in looked)), verdict

    def _evaluate(
        self, package: Package, members: tuple[Instance, ...], datasets: tuple[Dataset, ...], images: tuple[int, ...]
    ) -> tuple[Answer, str]:
        """Unseal into anonymous memory that only the worker gets, and let it look."""
        infer = self._settings.infer
        try:
            gathered = Gathered(
                self._opener, [members[image] for image in images],
                most_each=infer.max_frame_mib << 20, most=infer.max_unit_mib << 20,
                mask_bytes=mask_bytes(package.manifest, [datasets[image] for image in images]),
            )  # fmt: skip
        except SealError:
            return Answer(reason="sealed-object-damaged"), ""
        except Refusal as refusal:
            return Answer(reason=refusal.reason), ""
        with gathered:
            return self._pool.evaluate(package.digest, gathered.descriptor, gathered.run)

    def _release(self, made: Parcels, result: Result, seen: Seen) -> None:
        """Let every object pass, or none: raises GateHit."""
        if not seen.datasets or len(seen.datasets) < len(seen.sources):
            raise GateHit(
                "an image cannot be read, so nobody can say whether its UIDs hold a patient identifier",
                hint="send the study again, or discard the held delivery",
                reason="identity-unknown",
            )
        tokens: frozenset[str] = frozenset()
        for dataset in seen.datasets:
            tokens |= identity_tokens(dataset)
        for each in made.built.values():
            egress.release(each.blob, result=result, box=self._box, identity=tokens)

    def _may_retry(self, job: Job, verdict: Verdict) -> bool:
        retryable = bool(verdict.reason) and reasons.look_up(verdict.reason).retryable
        return retryable and job.attempts < self._settings.infer.attempts

    def _told(self, request: Request, seen: Seen, verdict: Verdict, outputs: Mapping[UID, str]) -> str:
        return trace.told(request, seen.members, verdict, outputs=outputs, versions=self._software)

    def _deliver(
        self, job: Job, line: Line, request: Request, verdict: Verdict, made: Parcels, seen: Seen, held: str = ""
    ) -> bool:
        """Queue every object for its destinations, in the order in which they were made.

        Of what is `held` nothing was written and nothing is signed: a person looks, corrects the cause, and
        `edge jobs retry` makes it anew.
        """
        digests = made.digests()
        urgent_seconds = line.route.urgent_seconds if made.urgent else 0.0
        outgoing = [
            Outgoing(
                uid, made.built[uid].kind.sop_class_uid, alias, digests[uid],
                NO_SIGNATURE if held else self._sign(uid, alias, digests[uid]), held, urgent_seconds,
            )
            for alias, uid in made.addresses
        ]  # fmt: skip
        told = self._told(request, seen, verdict, digests)
        return self._finish(job, verdict, request.report_uid, request.package.digest, outgoing, told)

    def _sign(self, uid: UID, alias: str, digest: str) -> str:
        return crypto.sign(self._sign_key, result_statement(uid, alias, digest)).hex()

    def _finish(
        self, job: Job, verdict: Verdict, report: UID, digest: str, outgoing: list[Outgoing], told: str = ""
    ) -> bool:
        work.finish(
            self._journal, job, outcome=verdict.outcome, reason=verdict.reason, report=report, digest=digest,
            quarantine=verdict.outcome is Outcome.FAILED, outgoing=outgoing, trace=told,
        )  # fmt: skip
        return any(not item.held for item in outgoing)

    def _after_a_bug(self, job: Job) -> bool:
        """Another attempt, or the end. Where even that cannot be recorded, the job is taken again after its lease."""
        try:
            if job.attempts < self._settings.infer.attempts:
                work.retry_later(self._journal, job.id, "internal")
            else:
                self._finish(job, pipeline.stopped("internal"), UID(""), "", [])
        except Exception as error:  # noqa: BLE001 - a full disk, a locked journal: the lane must live on
            log.error("job %d: %s", job.id, type(error).__name__)
        return False


def _log(job: Job, verdict: Verdict, milliseconds: float) -> None:
    stages = " ".join(f"{name}={value:.1f}" for name, value in verdict.milliseconds.items())
    log.info(
        "job %d attempt %d: %s %s %s%.1f ms %s", job.id, job.attempts, verdict.outcome, verdict.reason or "-",
        f"{verdict.error} " if verdict.error else "", milliseconds, stages,
    )  # fmt: skip
