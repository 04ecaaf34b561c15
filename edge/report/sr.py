"""A Result as a Comprehensive 3D SR by TID 1500 "Imaging Measurement Report" (PS3.16; PS3.3 A.35.13).

Comes in: a Result (codes, UIDs, numbers) and the box's identity. Goes out: the bytes of a whole DICOM file.
The same two values give the same bytes for ever: there is no clock, no random number and no mapping order here.

    Imaging Measurement Report (TID 1500)
    ├── language (TID 1204), device observer (TID 1001, 1004), procedure reported
    └── Imaging Measurements
        ├── group 1 (TID 1501): the plain sentence, outcome, reason, algorithm (TID 4019), source images
        └── one group per finding (TID 1501, or TID 1410 with a region): present or not, score, algorithm
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping

from edge import reasons
from edge.records import UID, Code, Finding, Outcome, PackageIdentity, Region, Result, Source
from edge.report import codes
from edge.report.content import (
    Item,
    Relationship,
    code_item,
    container,
    image_item,
    item_elements,
    num_item,
    scoord_item,
    text_item,
    uidref_item,
)
from edge.report.encode import Element, data_set, part10, sequence, text
from edge.report.identity import BoxIdentity, tracking_uid
from edge.report.sentence import sentence
from edge.report.skeleton import evidence, predecessor, skeleton
from edge.report.words import Phrase, algorithm_parameters, plain, plain_code, plain_package, score_text

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
MOST_SOURCES_PER_FINDING = 20
"""Above this a finding group does not repeat the source images; the first group names them all once."""

_CONTAINS = Relationship.CONTAINS
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_CONTEXT = Relationship.HAS_OBS_CONTEXT


def build_sr(result: Result, *, box: BoxIdentity) -> bytes:
    """The report on `result` as a DICOM file (Explicit VR Little Endian).

    Raises
    ------
    PackageError
        If a text of the manifest does not fit the attribute it belongs in.
    RuntimeFailure
        If a score is not a number of 0..1.
    """
    elements = [
        *skeleton(result, box, sop_class_uid=COMPREHENSIVE_3D_SR, modality="SR"),
        *_document(result),
        *item_elements(_report(_in_ascii(result), box)),
    ]
    return part10(COMPREHENSIVE_3D_SR, result.report_uid, data_set(elements))


def tracked(result: Result) -> Iterator[tuple[Finding, str, UID]]:
    """Each finding with its Tracking Identifier and Tracking Unique Identifier.

    The index counts findings of one code, so that a finding keeps its UID when another class comes or goes.
    """
    seen: Counter[Code] = Counter()
    for finding in result.findings:
        index = seen[finding.code]
        seen[finding.code] += 1
        uid = tracking_uid(result.study_instance_uid, result.package.digest, finding.code, index)
        yield finding, f"{plain(finding.code.meaning)} {index + 1}", uid


def _in_ascii(result: Result) -> Result:
    return dataclasses.replace(result, package=plain_package(result.package))


def _document(result: Result) -> list[Element]:
    """SR Document General module (PS3.3 C.17.2)."""
    complete = result.outcome is Outcome.SUCCEEDED
    elements = [
        text("CompletionFlag", "COMPLETE" if complete else "PARTIAL"),
        text("VerificationFlag", "UNVERIFIED"),
        text("PreliminaryFlag", "PRELIMINARY"),
        sequence("ReferencedPerformedProcedureStepSequence"),
        sequence("PerformedProcedureCodeSequence"),
    ]
    if result.sources:
        elements.append(evidence("CurrentRequestedProcedureEvidenceSequence", result.sources))
    if result.predecessor is not None:
        elements.append(predecessor(result, result.predecessor, COMPREHENSIVE_3D_SR))
    return elements


def _report(result: Result, box: BoxIdentity) -> Item:
    groups = [_summary_group(result), *_finding_groups(result)]
    children = [
        code_item(_MODIFIER, codes.LANGUAGE, codes.ENGLISH),
        *_observer(result, box),
        code_item(_MODIFIER, codes.PROCEDURE_REPORTED, procedure_reported(result.sources)),
        container(_CONTAINS, codes.IMAGING_MEASUREMENTS, groups),
    ]
    return container(Relationship.ROOT, codes.IMAGING_MEASUREMENT_REPORT, children, "1500")


def procedure_reported(sources: tuple[Source, ...]) -> Code:
    """The procedure by the Modality of the first source, from a closed table."""
    return codes.PROCEDURES.get(sources[0].modality, codes.ANY_PROCEDURE) if sources else codes.ANY_PROCEDURE


def _observer(result: Result, box: BoxIdentity) -> list[Item]:
    return [
        code_item(_CONTEXT, codes.OBSERVER_TYPE, codes.DEVICE),
        uidref_item(_CONTEXT, codes.DEVICE_OBSERVER_UID, result.device_uid),
        text_item(_CONTEXT, codes.DEVICE_OBSERVER_NAME, box.manufacturer_model_name),
        text_item(_CONTEXT, codes.DEVICE_OBSERVER_MANUFACTURER, result.package.vendor),
        text_item(_CONTEXT, codes.DEVICE_OBSERVER_MODEL_NAME, result.package.name),
    ]


def _summary_group(result: Result) -> Item:
    package = result.package
    uid = tracking_uid(result.study_instance_uid, package.digest, None, 0)
    children = [
        text_item(_CONTAINS, codes.COMMENT, sentence(result)),
        *_tracking(Phrase.SUMMARY, uid),
        *_algorithm(package, result.provider, None),
        code_item(_CONTAINS, codes.SUMMARY_OF_ANALYSES, codes.OUTCOMES[result.outcome]),
        *_reason(result.reason),
        text_item(_CONTAINS, codes.INTENDED_PURPOSE, package.purpose),
        text_item(_CONTAINS, codes.INTENDED_POPULATION, package.population),
        *_source_images(result.sources),
    ]
    return container(_CONTAINS, codes.MEASUREMENT_GROUP, children, "1501")


def _reason(reason: str) -> list[Item]:
    if not reason:
        return []
    return [
        code_item(_CONTAINS, codes.OUTCOME_REASON, reasons.look_up(reason).code),
        text_item(_CONTAINS, codes.OUTCOME_REASON_NAME, plain(reason)),
    ]


def _finding_groups(result: Result) -> Iterator[Item]:
    sources = {source.sop_instance_uid: source for source in result.sources}
    repeated = result.sources if len(result.sources) <= MOST_SOURCES_PER_FINDING else ()
    for finding, identifier, uid in tracked(result):
        code = plain_code(finding.code)
        regions = _regions(finding.regions, sources)
        children = [
            *_tracking(identifier, uid),
            code_item(_CONTAINS, codes.FINDING, code),
            *_algorithm(result.package, result.provider, finding.threshold),
            *(regions or _source_images(repeated)),
            _score(finding),
            code_item(_CONTAINS, code, presence(finding)),
        ]
        yield container(_CONTAINS, codes.MEASUREMENT_GROUP, children, "1410" if regions else "1501")


def presence(finding: Finding) -> Code:
    """Present, Not detected, or Absent where the manifest claims a validated rule-out (DESIGN 6)."""
    if finding.present:
        return codes.PRESENT
    return codes.ABSENT if finding.rule_out else codes.NOT_DETECTED


def _score(finding: Finding) -> Item:
    if finding.calibrated:
        return num_item(_CONTAINS, codes.CERTAINTY_OF_FINDING, score_text(finding), codes.PERCENT)
    return num_item(_CONTAINS, codes.MODEL_OUTPUT, score_text(finding), codes.NO_UNITS)


def _tracking(identifier: str, uid: UID) -> list[Item]:
    return [
        text_item(_CONTEXT, codes.TRACKING_IDENTIFIER, identifier),
        uidref_item(_CONTEXT, codes.TRACKING_UNIQUE_IDENTIFIER, uid),
    ]


def _algorithm(package: PackageIdentity, provider: str, threshold: float | None) -> list[Item]:
    parameters = algorithm_parameters(package, provider, threshold)
    return [
        text_item(_MODIFIER, codes.ALGORITHM_NAME, package.name),
        text_item(_MODIFIER, codes.ALGORITHM_VERSION, package.version),
        *(text_item(_MODIFIER, codes.ALGORITHM_PARAMETERS, parameter) for parameter in parameters),
        code_item(_MODIFIER, codes.ALGORITHM_FAMILY, package.family),
    ]


def _source_images(sources: tuple[Source, ...]) -> list[Item]:
    name = codes.SOURCE_OF_MEASUREMENT
    return [image_item(_CONTAINS, name, source.sop_class_uid, source.sop_instance_uid) for source in sources]


def _regions(regions: tuple[Region, ...], sources: Mapping[UID, Source]) -> list[Item]:
    outlines = [_outline(region, sources[region.source]) for region in regions]
    if not regions:
        return []
    if regions[0].attention:
        return [*outlines, code_item(_CONTAINS, codes.REGION_KIND, codes.ATTENTION_OUTLINE)]
    return [*outlines, code_item(_MODIFIER, codes.GEOMETRIC_PURPOSE, codes.BOUNDED_BY)]


def _outline(region: Region, source: Source) -> Item:
    image = image_item(Relationship.SELECTED_FROM, codes.SOURCE, source.sop_class_uid, source.sop_instance_uid)
    return scoord_item(_CONTAINS, codes.IMAGE_REGION, region.points, image)
