"""The first thing a radiologist reads: what was looked for, what was found, how sure, by what."""

from __future__ import annotations

from edge import reasons
from edge.records import Finding, Outcome, PackageIdentity, Result
from edge.report.words import Phrase, plain, plain_package, score_text, threshold_percent, threshold_text


def sentence(result: Result) -> str:
    """The report in plain English, of fixed phrases, the manifest's words and numbers only."""
    package = plain_package(result.package)
    parts = [*_caution(package), *_body(result), _author(package), Phrase.NOT_VERIFIED]
    return " ".join(f"{part}." for part in parts)


def _caution(package: PackageIdentity) -> list[str]:
    return [] if package.status == "cleared" else [Phrase.NOT_FOR_CLINICAL_USE]


def _author(package: PackageIdentity) -> str:
    return f"{Phrase.MODEL} {package.name} {package.version}, {Phrase.STATUS} {package.status}"


def _body(result: Result) -> list[str]:
    if result.outcome is Outcome.SUCCEEDED:
        return _analysed(result)
    reason = f": {plain(reasons.sentence(result.reason))}" if result.reason else ""
    if result.outcome is Outcome.PARTIAL:
        found = _analysed(result) if result.findings else []
        return [*found, f"{Phrase.ONLY_IN_PART}{reason}", Phrase.PART_NEVER_NORMAL]
    return [f"{Phrase.NOT_ANALYSED}{reason}", Phrase.NEVER_NORMAL]


def _analysed(result: Result) -> list[str]:
    if not result.findings:
        return [Phrase.NOTHING_DETECTED]
    detected_first = sorted(result.findings, key=lambda finding: not finding.present)
    parts = [f"{Phrase.LOOKED_FOR} " + "; ".join(finding_sentence(finding) for finding in detected_first)]
    if any(not finding.present and not finding.rule_out for finding in result.findings):
        parts.append(Phrase.NOT_DETECTED_IS_NOT_ABSENT)
    return parts


def finding_sentence(finding: Finding) -> str:
    """One finding: whether it was detected, and how sure."""
    return f"{plain(finding.code.meaning)}: {_presence(finding)} ({_certainty(finding)})"


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
