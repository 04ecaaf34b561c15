"""A ReportView for people (plain text) and for programs (one JSON object)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from edge.records import Code
from edge.report.reader import FindingView, PackageView, RegionView, ReportView
from edge.report.tree import Node

_WIDTH = 100
_LABEL = 12
_DULL = frozenset({"UIDREF", "IMAGE", "COMPOSITE"})


def as_text(view: ReportView) -> str:
    """The report on as few lines as it needs: sentence, findings, then who made it from what."""
    body = _ours(view) if view.sentence else _foreign(view)
    return "\n".join([*body, "", *_footer(view)]) + "\n"


def as_json(view: ReportView) -> dict[str, object]:
    """The report as JSON values; `reason_code` is null where there is none, so is `region`, the first of `regions`."""
    return {
        "sop_instance_uid": view.sop_instance_uid,
        "study_instance_uid": view.study_instance_uid,
        "series_description": view.series_description,
        "flags": list(view.flags),
        "outcome": view.outcome,
        "reason": view.reason,
        "reason_code": _code(view.reason_code) if view.reason_code.value else None,
        "sentence": view.sentence,
        "findings": [_finding_json(finding) for finding in view.findings],
        "package": _package_json(view.package),
        "purpose": view.purpose,
        "population": view.population,
        "sources": list(view.sources),
    }


def _code(code: Code) -> dict[str, str]:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}


def _finding_json(finding: FindingView) -> dict[str, object]:
    return {
        "code": _code(finding.code),
        "present": finding.present,
        "urgent": finding.urgent,
        "presence": _code(finding.presence) if finding.presence.value else None,
        "score": finding.score,
        "calibrated": finding.calibrated,
        "threshold": finding.threshold,
        "tracking_uid": finding.tracking_uid,
        "region": _region_json(finding.regions[0]) if finding.regions else None,
        "regions": [_region_json(region) for region in finding.regions],
        "measurements": [{"name": item.name, "value": item.value, "unit": item.unit} for item in finding.measurements],
    }


def _region_json(region: RegionView) -> dict[str, object]:
    points = [list(point) for point in region.points]
    return {"source": region.source, "points": points, "attention": region.attention}


def _package_json(package: PackageView) -> dict[str, str]:
    return {
        "name": package.name,
        "version": package.version,
        "vendor": package.vendor,
        "digest": package.digest,
        "status": package.status,
        "provider": package.provider,
    }


def _ours(view: ReportView) -> Iterator[str]:
    yield from _wrapped(view.sentence, "")
    if view.findings:
        yield ""
    yield from _table(view.findings)


def _foreign(view: ReportView) -> Iterator[str]:
    yield view.tree.name.meaning or "Structured Report"
    yield ""
    if view.findings and view.tree.name.value == "126000":
        yield from _table(view.findings)
    else:
        yield from _outline(view.tree, 0)


def _table(findings: tuple[FindingView, ...]) -> Iterator[str]:
    width = min(max((len(finding.code.meaning) for finding in findings), default=0), 40)
    for finding in findings:
        name = _shortened(finding.code.meaning, width)
        yield f"  {name:<{width}}  {finding.presence.meaning:<14}{_score(finding)}".rstrip()
        for item in finding.measurements:
            yield f"    {item.name}: {item.value} {_unit(item.unit)}".rstrip()
        for region in finding.regions:
            yield f"    {_region(region)}"


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _score(finding: FindingView) -> str:
    if finding.score is None:
        return ""
    if finding.calibrated:
        limit = "" if finding.threshold is None else f" (threshold {100 * finding.threshold:g} %)"
        return f"certainty {100 * finding.score:.2f} %{limit}"
    limit = "" if finding.threshold is None else f", threshold {finding.threshold:g}"
    return f"score {finding.score:.4f} (not a probability{limit})"


def _region(region: RegionView) -> str:
    columns = [column for column, _ in region.points]
    rows = [row for _, row in region.points]
    box = f"columns {min(columns):g}..{max(columns):g}, rows {min(rows):g}..{max(rows):g}"
    kind = "attention of the model, not to be measured" if region.attention else "region"
    return f"{kind}: {box}"


def _outline(node: Node, depth: int) -> Iterator[str]:
    for child in node.children:
        if child.value_type in _DULL:
            continue
        unit = f" {_unit(child.code.value)}" if child.value_type == "NUM" else ""
        name = child.name.meaning or child.value_type
        yield from _wrapped(f"{name}: {child.text}{unit}".rstrip() if child.text else name, "  " * (depth + 1))
        yield from _outline(child, depth + 1)


def _footer(view: ReportView) -> Iterator[str]:
    package = view.package
    made_by = " ".join(part for part in (package.name, package.version) if part)
    vendor = f" by {package.vendor}" if package.vendor and made_by else ""
    status = f", {package.status}" if package.status else ""
    rows = (
        ("Outcome", f"{view.outcome}: {view.reason}" if view.reason else view.outcome),
        ("Model", f"{made_by}{vendor}{status}"),
        ("Package", f"sha256 {package.digest}" if package.digest else ""),
        ("Ran on", package.provider),
        ("Purpose", view.purpose),
        ("Population", view.population),
        ("Images", f"{len(view.sources)}" if view.sources else ""),
        ("State", ", ".join(view.flags)),
        ("Series", view.series_description),
        ("Study UID", view.study_instance_uid),
        ("Report UID", view.sop_instance_uid),
    )
    for label, value in rows:
        if value:
            yield from _wrapped(f"{label:<{_LABEL}}{value}", "", " " * _LABEL)


def _wrapped(text: str, indent: str, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
