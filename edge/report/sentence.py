"""The first thing a radiologist reads: what was looked for, what was found and where, how sure, by what."""

from __future__ import annotations

from collections.abc import Mapping

from edge import reasons
from edge.records import UID, Finding, Measurement, Outcome, PackageIdentity, Result, Source
from edge.report.side import side
from edge.report.words import (
    Phrase,
    measurement_text,
    plain,
    plain_package,
    score_text,
    threshold_percent,
    threshold_text,
    waiver_text,
)


def sentence(result: Result) -> str:
    """The report in plain English, of fixed phrases, the manifest's words and numbers only."""
    package = plain_package(result.package)
    parts = [
        *_caution(package),
        *_urgent(result),
        *_body(result),
        _author(package),
        *_waiver(package),
        Phrase.NOT_VERIFIED,
    ]
    return " ".join(f"{part}." for part in parts)


def urgent_findings(result: Result) -> list[Finding]:
    """What was found of what the manifest calls urgent."""
    return [finding for finding in result.findings if finding.present and finding.urgent]


def _urgent(result: Result) -> list[str]:
    names = dict.fromkeys(plain(finding.code.meaning) for finding in urgent_findings(result))
    return [f"{Phrase.URGENT}: {'; '.join(names)}"] if names else []


def _caution(package: PackageIdentity) -> list[str]:
    return [] if package.status == "cleared" else [Phrase.NOT_FOR_CLINICAL_USE]


def _author(package: PackageIdentity) -> str:
    return f"{Phrase.MODEL} {package.name} {package.version}, {Phrase.STATUS} {package.status}"


def _waiver(package: PackageIdentity) -> list[str]:
    return [waiver_text(package.waiver)] if package.waiver else []


def _body(result: Result) -> list[str]:
    if result.outcome is Outcome.SUCCEEDED:
        return _analysed(result)
    reason = f": {plain(reasons.sentence(result.reason))}" if result.reason else ""
    if result.outcome is Outcome.PARTIAL:
        found = _analysed(result) if result.findings else []
        return [*found, f"{Phrase.ONLY_IN_PART}{reason}", Phrase.PART_NEVER_NORMAL]
    return [f"{Phrase.NOT_ANALYSED}{reason}", Phrase.NEVER_NORMAL]


def _analysed(result: Result) -> list[str]:
    parts = [*_outlined(result), *_measured(result)]
    if not result.findings:
        return parts or [Phrase.NOTHING_DETECTED]
    sources = {source.sop_instance_uid: source for source in result.sources}
    detected_first = sorted(result.findings, key=lambda finding: not finding.present)
    found = "; ".join(finding_sentence(finding, sources) for finding in detected_first)
    parts.insert(0, f"{Phrase.LOOKED_FOR} {found}")
    if any(not finding.present and not finding.rule_out for finding in result.findings):
        parts.append(Phrase.NOT_DETECTED_IS_NOT_ABSENT)
    return parts


def _outlined(result: Result) -> list[str]:
    names = dict.fromkeys(plain(segment.code.meaning) for segment in result.segments)
    return [f"{Phrase.OUTLINED}: {'; '.join(names)}"] if names else []


def _measured(result: Result) -> list[str]:
    numbers = [_measurement(measurement) for measurement in result.measurements]
    return [f"{Phrase.MEASURED}: {'; '.join(numbers)}"] if numbers else []


def _measurement(measurement: Measurement) -> str:
    of = f" {Phrase.OF} {plain(measurement.finding.meaning)}" if measurement.finding else ""
    number = f"{measurement_text(measurement.value)} {plain(measurement.unit.value)}"
    return f"{plain(measurement.code.meaning)}{of}: {number}"


def finding_sentence(finding: Finding, sources: Mapping[UID, Source]) -> str:
    """One finding: whether it was detected, on which side where there is a region, and how sure."""
    where = _where(finding, sources) if finding.present and finding.regions else ""
    return f"{plain(finding.code.meaning)}: {_presence(finding)}{where} ({_certainty(finding)})"


def _where(finding: Finding, sources: Mapping[UID, Source]) -> str:
    # attention is no finding: only the place that it was on most is told, and as what it is
    if finding.regions[0].attention:
        return f", {Phrase.STRONGEST_ATTENTION}: {side(finding.regions[:1], sources)}"
    return f", {side(finding.regions, sources)}"


def label(finding: Finding) -> str:
    """One present finding in the few words that there is room for beside its outline."""
    lead = Phrase.ATTENTION if finding.regions and finding.regions[0].attention else Phrase.AI
    unit = f" {Phrase.PERCENT}" if finding.calibrated else ""
    kind = Phrase.CERTAINTY if finding.calibrated else Phrase.SCORE
    return f"{lead}: {plain(finding.code.meaning)}, {kind} {score_text(finding)}{unit}"


def _presence(finding: Finding) -> str:
    if finding.present:
        return Phrase.DETECTED
    return Phrase.ABSENT if finding.rule_out else Phrase.NOT_DETECTED


def _certainty(finding: Finding) -> str:
    score = score_text(finding)
    if finding.calibrated:
        threshold = threshold_percent(finding.threshold)
        return f"{Phrase.CERTAINTY} {score} {Phrase.PERCENT}, {Phrase.THRESHOLD} {threshold} {Phrase.PERCENT}"
    threshold = threshold_text(finding.threshold)
    return f"{Phrase.SCORE} {score}, {Phrase.THRESHOLD} {threshold}, {Phrase.NOT_A_PROBABILITY}"
