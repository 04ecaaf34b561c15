"""The dashboard and the alert rules ask for metrics that are there, with labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from support import REPOSITORY

from edge.operate.metrics import METRICS

FOLDER = REPOSITORY / "edge/docs/monitoring"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
RULES = (FOLDER / "alerts.yml").read_text()
LABELS = {metric.name: set(metric.labels) for metric in METRICS}


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def rule_expressions() -> list[str]:
    return re.findall(r"^\s+expr: (.+)$", RULES, re.M)


def metrics_in(expression: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bedge_[a-z_]+", expression)}


@pytest.mark.parametrize("expression", [*panel_expressions(), *rule_expressions()])
def test_every_expression_asks_for_what_is_there(expression: str) -> None:
    used = metrics_in(expression)
    assert used
    assert used <= LABELS.keys()
    known = set.union(*(LABELS[name] for name in used)) | {"le"}
    asked = set(re.findall(r"([a-z_]+)=[~\"]", expression))
    for inside in re.findall(r"by \(([^)]*)\)", expression):
        asked |= {name.strip() for name in inside.split(",")}
    assert asked <= known


def test_the_dashboard_shows_every_metric_but_the_switches() -> None:
    shown = set.union(*map(metrics_in, panel_expressions()))
    assert LABELS.keys() - shown <= {"edge_paused", "edge_jobs", "edge_dicom_bytes_total", "edge_audit_events_total"}


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_rule_says_what_to_try() -> None:
    assert len(rule_expressions()) == RULES.count("try: ") == RULES.count("summary: ") == RULES.count("- alert: ")


def test_prometheus_takes_the_rules() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    subprocess.run([tool, "check", "rules", FOLDER / "alerts.yml"], check=True, capture_output=True)
