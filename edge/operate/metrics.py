"""What can be measured from outside: Prometheus text (exposition format 0.0.4). Numbers, codes and aliases only.

Every metric is in `METRICS`, every label has a closed set or a narrow pattern. A value outside it is shown as `other`:
a mistake elsewhere cannot put a name on the page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edge.reasons import CATALOGUE
from edge.records import Priority

REFUSALS = (
    "application-context", "called-ae-not-recognized", "calling-ae-not-recognized", "command-expected",
    "command-malformed", "command-too-long", "command-unexpected", "context-unknown", "data-set-expected", "dropped",
    "internal", "local-limit", "object-too-large", "pdu-length", "pdu-too-long", "pdu-unexpected", "pdu-unknown",
    "pdv-header", "pdv-length", "protocol-version", "release-in-data-set", "request-malformed", "too-slow",
)  # fmt: skip
"""What receive calls an association that it refused or ended."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of a histogram's buckets."""

ALARMS = ("certificate", "disk", "drift", "flag-rate", "peer-silent", "room", "selftest")
"""Kinds of alarms."""

STATISTICS = ("InputMean", "InputStandardDeviation", "InputMinimum", "InputMaximum", "Polarity")
"""What is measured of every prepared input."""

STAGES = ("parse", "decode", "prepare", "run")
FILE = "metrics.prom"
SOCKET = "metrics.sock"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name without a histogram's suffixes, its kind, what it counts, its labels in order."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric("edge_up", "gauge", "1 while the room runs", ("room",)),
    Metric("edge_paused", "gauge", "1 during a maintenance window"),
    Metric("edge_written_timestamp_seconds", "gauge", "When this page was written; an old one means infer is down"),
    Metric("edge_dicom_associations_total", "counter", "Associations that peers opened, since receive started"),
    Metric(
        "edge_dicom_refusals_total", "counter", "Associations and requests refused, since receive started", ("code",)
    ),
    Metric("edge_dicom_objects_total", "counter", "Objects stored, in all"),
    Metric("edge_dicom_bytes_total", "counter", "Bytes of the objects stored, in all"),
    Metric("edge_spool_objects", "gauge", "Objects that are stored now"),
    Metric("edge_spool_bytes", "gauge", "Bytes of the objects that are stored now"),
    Metric("edge_disk_free_bytes", "gauge", "Free space of the file system of the root"),
    Metric("edge_queue_depth", "gauge", "Jobs that wait", ("priority",)),
    Metric("edge_jobs", "gauge", "Jobs by state", ("state",)),
    Metric("edge_deliveries", "gauge", "Deliveries by destination and state", ("dest_alias", "state")),
    Metric("edge_results_sent_total", "counter", "Results that a destination took, in all", ("dest_alias",)),
    Metric("edge_stage_duration_seconds", "histogram", "Time of each stage in the worker", ("stage",)),
    Metric("edge_inference_seconds", "histogram", "Time of the model's run", ("model", "provider")),
    Metric(
        "edge_inference_failures_total", "counter", "Attempts that failed, since infer started", ("model", "reason")
    ),
    Metric(
        "edge_score_psi", "gauge", "Drift of a finding's scores: population stability index", ("model", "code_value")
    ),
    Metric(
        "edge_input_psi", "gauge", "Drift of the prepared inputs: population stability index", ("model", "statistic")
    ),
    Metric("edge_end_to_end_seconds", "histogram", "From the object stored to its result taken", ("priority",)),
    Metric("edge_model_info", "gauge", "1 for each package in use", ("model", "version", "sha")),
    Metric("edge_alarms", "gauge", "Alarms that stand, by kind", ("kind",)),
    Metric("edge_audit_events_total", "counter", "Events in the audit trail"),
    Metric("edge_audit_unsigned_events", "gauge", "Events after the last signed head"),
)

_BY_NAME = MappingProxyType({metric.name: metric for metric in METRICS})
_STATES = ("READY", "RUNNING", "DONE", "QUARANTINED", "DISCARDED", "PENDING", "SENT", "HELD", "FAILED", "SUPERSEDED")
_CLOSED: Mapping[str, Collection[str]] = MappingProxyType(
    {
        "room": ("receive", "infer", "deliver"),
        "priority": tuple(Priority),
        "state": _STATES,
        "stage": STAGES,
        "kind": ALARMS,
        "statistic": STATISTICS,
        "reason": tuple(CATALOGUE),
        "provider": ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider",
                     "OpenVINOExecutionProvider"),
    }
)  # fmt: skip
_PATTERNS = MappingProxyType(
    {"version": re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}"), "sha": re.compile(r"[0-9a-f]{12}"),
     "code": re.compile(rf"status-[0-9a-f]{{4}}|{'|'.join(REFUSALS)}")}
)  # fmt: skip
_LONGEST = 64


@dataclass(slots=True)
class Histogram:
    """Counts by `SECONDS`, their sum and number."""

    counts: list[int] = field(default_factory=lambda: [0] * len(SECONDS))
    sum: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.sum += seconds
        self.count += 1
        for at, bound in enumerate(SECONDS):
            self.counts[at] += seconds <= bound


class Page:
    """Samples, rendered in the order of `METRICS`.

    Parameters
    ----------
    aliases, models : collection of str
        What edge.toml names: the only values of the labels `dest_alias` and `model`.
    codes : collection of str
        Code Values of the findings of the packages in use: the only values of `code_value`.
    """

    def __init__(self, aliases: Collection[str], models: Collection[str], codes: Collection[str] = ()) -> None:
        self._closed = {**_CLOSED, "dest_alias": aliases, "model": models, "code_value": codes}
        self._samples: dict[str, dict[str, float]] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """One sample; `labels` in the metric's order."""
        self._line(name, "", labels, value)

    def add_histogram(self, name: str, histogram: Histogram, *labels: str) -> None:
        """All samples of one histogram."""
        for bound, count in zip(SECONDS, histogram.counts, strict=True):
            self._line(name, "_bucket", labels, count, f'le="{bound:g}"')
        self._line(name, "_bucket", labels, histogram.count, 'le="+Inf"')
        self._line(name, "_sum", labels, histogram.sum)
        self._line(name, "_count", labels, histogram.count)

    def render(self) -> str:
        """The whole page."""
        parts = []
        for metric in METRICS:
            samples = self._samples.get(metric.name, {})
            if samples:
                parts += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
                parts += [f"{name} {value:.17g}" for name, value in samples.items()]
        return "\n".join(parts) + "\n"

    def _line(self, name: str, suffix: str, labels: tuple[str, ...], value: float, more: str = "") -> None:
        pairs = [
            f'{label}="{self._safe(label, given)}"' for label, given in zip(_BY_NAME[name].labels, labels, strict=True)
        ] + [more] * bool(more)
        shown = "{" + ",".join(pairs) + "}" if pairs else ""
        samples = self._samples.setdefault(name, {})
        key = f"{name}{suffix}{shown}"
        samples[key] = samples.get(key, 0.0) + value  # several may be `other`

    def _safe(self, label: str, value: str) -> str:
        """`value`, or `other` where it is none of the label's own."""
        closed = self._closed.get(label)
        if closed is not None:
            return value if value in closed else "other"
        return value if len(value) <= _LONGEST and _PATTERNS[label].fullmatch(value) else "other"
