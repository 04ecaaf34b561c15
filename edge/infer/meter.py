"""Measures the room's own work and writes the whole page of metrics to `run/metrics.prom` every few seconds."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from edge import rooms
from edge.config import Settings
from edge.infer.drift import SHIFT, Drift
from edge.infer.pipeline import Verdict
from edge.infer.roster import Line
from edge.journal import Journal, alarms, pausing, tally, views
from edge.journal.database import DatabaseError
from edge.operate.metrics import FILE, STAGES, STATISTICS, Histogram, Page
from edge.records import Outcome

SECONDS = 10.0
DRIFT = frozenset({"drift"})

log = logging.getLogger("edge.infer")


class Meter:
    """Counts since the room started; `job` is called by every lane, `look` by the room's own thread."""

    def __init__(self, settings: Settings, journal: Journal, lines: Callable[[], tuple[Line, ...]]) -> None:
        self._settings = settings
        self._journal = journal
        self._lines = lines
        self._lock = threading.Lock()
        self._stages: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._runs: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self._failures: Counter[tuple[str, str]] = Counter()
        self._ends: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._counted_until = journal.clock()
        self._drift = Drift(settings.run)
        self._due = 0.0

    def job(self, package: str, digest: str, verdict: Verdict) -> None:
        """One attempt ended; `digest` is of the package that looked, which may be the canary of the route's."""
        if verdict.outcome is Outcome.SUCCEEDED:
            self._drift.add(digest, _features(verdict))
        with self._lock:
            for stage in STAGES:
                milliseconds = verdict.milliseconds.get(stage, 0.0)
                if milliseconds:
                    self._stages[stage].add(milliseconds / 1e3)
            if verdict.provider and verdict.milliseconds.get("run"):
                self._runs[package, verdict.provider].add(verdict.milliseconds["run"] / 1e3)
            if verdict.outcome is Outcome.FAILED:
                self._failures[package, verdict.reason.partition(":")[0]] += 1

    def _shifts(self) -> Iterator[tuple[str, str]]:
        """An alarm for each package whose scores or inputs are not what they were, named by what moved most."""
        for line in self._lines():
            if line.package is not None:
                moved = {name: psi for name, psi in self._drift.indices(line.package.digest).items() if psi > SHIFT}
                if moved:
                    yield f"drift.{line.route.package}", max(moved, key=lambda name: moved[name])

    def look(self) -> None:
        """Write the page when it is due. A failure costs one page, never the room."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + SECONDS
        part = self._settings.run / f"{FILE}.part"
        try:
            part.write_text(self.page())
            part.chmod(0o640)
            part.rename(part.with_suffix(""))
            self._drift.save()
            alarms.settle(self._journal, DRIFT, dict(self._shifts()))
        except (OSError, DatabaseError) as error:
            log.error("the metrics could not be written: %s", type(error).__name__)

    def page(self) -> str:
        """The whole page, now."""
        names = {line.route.package for line in self._lines()}
        page = Page(self._settings.destinations.keys(), names, self._codes())
        self._box(page)
        self._received(page)
        self._queues(page)
        self._own(page)
        return page.render()

    def _codes(self) -> set[str]:
        manifests = [line.package.manifest for line in self._lines() if line.package]
        return {entry.code.value for manifest in manifests for output in manifest.outputs for entry in output.classes}

    def _box(self, page: Page) -> None:
        for room in rooms.ROOMS:
            page.add("edge_up", rooms.announced(self._settings, room) is not None, room)
        page.add("edge_paused", pausing.current(self._journal) is not None)
        page.add("edge_written_timestamp_seconds", self._journal.clock())
        disk = os.statvfs(self._settings.root)
        page.add("edge_disk_free_bytes", disk.f_bavail * disk.f_frsize)
        for kind, count in Counter(alarm.kind for alarm in alarms.standing(self._journal)).items():
            page.add("edge_alarms", count, kind)
        events, unsigned = tally.audited(self._journal)
        page.add("edge_audit_events_total", events)
        page.add("edge_audit_unsigned_events", unsigned)

    def _received(self, page: Page) -> None:
        for code, count in _receive_counters(self._settings).items():
            if code == "associations":
                page.add("edge_dicom_associations_total", count)
            elif code.startswith("refused-"):
                page.add("edge_dicom_refusals_total", count, code.removeprefix("refused-"))
        stored = tally.stored(self._journal)
        page.add("edge_dicom_objects_total", stored.objects)
        page.add("edge_dicom_bytes_total", stored.bytes)
        page.add("edge_spool_objects", stored.objects_now)
        page.add("edge_spool_bytes", stored.bytes_now)

    def _queues(self, page: Page) -> None:
        for priority, count in tally.waiting(self._journal).items():
            page.add("edge_queue_depth", count, priority)
        for state, count in views.counts(self._journal)["job"].items():
            page.add("edge_jobs", count, state)
        for alias, state, count in tally.deliveries(self._journal):
            page.add("edge_deliveries", count, alias, state)
            if state == "SENT":
                page.add("edge_results_sent_total", count, alias)
        until = self._journal.clock()
        for priority, seconds in tally.sent_between(self._journal, self._counted_until, until):
            self._ends[priority].add(seconds)
        self._counted_until = until
        for priority, histogram in self._ends.items():
            page.add_histogram("edge_end_to_end_seconds", histogram, priority)

    def _own(self, page: Page) -> None:
        with self._lock:
            for stage, histogram in self._stages.items():
                page.add_histogram("edge_stage_duration_seconds", histogram, stage)
            for (package, provider), histogram in self._runs.items():
                page.add_histogram("edge_inference_seconds", histogram, package, provider)
            for (package, reason), count in self._failures.items():
                page.add("edge_inference_failures_total", count, package, reason)
        in_use = {line.package.digest: line.package for line in self._lines() if line.package and not line.problem}
        for digest, used in in_use.items():
            for name, psi in self._drift.indices(digest).items():
                is_input = name in STATISTICS
                page.add("edge_input_psi" if is_input else "edge_score_psi", psi, used.manifest.name, name)
            page.add("edge_model_info", 1, used.manifest.name, used.manifest.version, digest[:12])


def _features(verdict: Verdict) -> dict[str, float]:
    """What is watched of one look: the highest score of each code, and the statistics of the input."""
    scores: dict[str, float] = {}
    for finding in verdict.findings:
        scores[finding.code.value] = max(scores.get(finding.code.value, 0.0), finding.score)
    return scores | dict(verdict.statistics)


def _receive_counters(settings: Settings) -> dict[str, int]:
    """What receive wrote, as far as it is counts by code: another room's file is input like any."""
    try:
        told = json.loads((settings.run / "receive-counters.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = told.items() if isinstance(told, dict) else ()
    return {code: count for code, count in pairs if type(count) is int and count >= 0}
