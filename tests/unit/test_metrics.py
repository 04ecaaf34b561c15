"""The page of metrics: well-formed, and no way for a value that is not ours to get on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import support

from edge.infer.applicability import STATISTICS as MEASURED
from edge.infer.process import STAGES as WORKER_STAGES
from edge.operate.metrics import METRICS, REFUSALS, SECONDS, STAGES, STATISTICS, Histogram, Page

CANARY = "INVENTED^CANARY"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? (\S+)')


def parsed(text: str) -> dict[str, float]:
    """Every sample; fails on a line that no Prometheus would take."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name, _, value = line.rpartition(" ")
            assert name not in samples, line
            samples[name] = float(value)
    return samples


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("value", [CANARY, "19990101", '"} 1\nedge_up', "1.2.840.113619.2.55", "DOE", "doe-john"])
def test_a_label_shows_nothing_but_its_own_values(metric: object, value: str) -> None:
    page = Page(["archive"], ["cxr"])
    labels = [value] * len(metric.labels)  # type: ignore[attr-defined]
    if metric.kind == "histogram":  # type: ignore[attr-defined]
        page.add_histogram(metric.name, Histogram(), *labels)  # type: ignore[attr-defined]
    else:
        page.add(metric.name, 1, *labels)  # type: ignore[attr-defined]
    assert value not in page.render().replace(metric.help, "")  # type: ignore[attr-defined]
    assert parsed(page.render())


def test_values_that_are_ours_are_shown() -> None:
    page = Page(["archive"], ["cxr-pneumonia"])
    page.add("edge_deliveries", 3, "archive", "HELD")
    page.add("edge_model_info", 1, "cxr-pneumonia", "1.0.0", "0123456789ab")
    page.add("edge_dicom_refusals_total", 2, "calling-ae-not-recognized")
    page.add("edge_dicom_refusals_total", 5, "status-a700")
    assert parsed(page.render()) == {
        'edge_dicom_refusals_total{code="calling-ae-not-recognized"}': 2,
        'edge_dicom_refusals_total{code="status-a700"}': 5,
        'edge_deliveries{dest_alias="archive",state="HELD"}': 3,
        'edge_model_info{model="cxr-pneumonia",version="1.0.0",sha="0123456789ab"}': 1,
    }


def test_what_is_other_is_added_up() -> None:
    page = Page([], [])
    page.add("edge_results_sent_total", 1, "gone")
    page.add("edge_results_sent_total", 2, "gone-too")
    assert parsed(page.render()) == {'edge_results_sent_total{dest_alias="other"}': 3}


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.001, 0.3, 9999.0):
        histogram.add(seconds)
    page = Page([], [])
    page.add_histogram("edge_stage_duration_seconds", histogram, "decode")
    samples = parsed(page.render())
    buckets = [value for name, value in samples.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert (buckets[0], buckets[-2], buckets[-1], len(buckets)) == (1, 2, 3, len(SECONDS) + 1)
    assert samples['edge_stage_duration_seconds_count{stage="decode"}'] == 3


def test_the_closed_sets_are_those_of_the_code() -> None:
    source = "".join(path.read_text() for path in Path(support.REPOSITORY, "edge", "receive").glob("*.py"))
    said = set(re.findall(r'(?:Rejected|Violation|refuse)\("([a-z-]+)"', source))
    said |= set(re.findall(r'self\._end\(.*, "([a-z-]+)"\)', source))
    assert said == set(REFUSALS)
    assert (STAGES, STATISTICS) == (WORKER_STAGES, MEASURED)
