"""A Result as a Structured Report by TID 1500 "Imaging Measurement Report" (PS3.16; PS3.3 A.35.13, A.35.3).

Comes in: a Result (codes, UIDs, numbers), the box's identity and the form that the destination takes. Goes out: the
bytes of a whole DICOM file. The same values give the same bytes for ever: there is no clock, no random number and no
mapping order here.

    Imaging Measurement Report (TID 1500)
    |-- language (TID 1204), device observer (TID 1001, 1004), procedure reported
    `-- Imaging Measurements
        |-- group 1 (TID 1501): the plain sentence, outcome, reason, algorithm (TID 4019), source images
        `-- one group per finding, segment or measurement (TID 1501; with a region 1410; with several, or a
            segment, 1411): present or not, score, urgent or not, algorithm, measurements (UCUM)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from edge import reasons
from edge.records import UID, Code, Finding, Measurement, Outcome, PackageIdentity, Region, Result, Source
from edge.report import codes
from edge.report.content import (
    Item,
    Relationship,
    code_item,
    container,
    image_item,
    item_elements,
    num_item,
    reference_data_set,
    scoord_item,
    text_item,
    uidref_item,
)
from edge.report.encode import Element, data_set, part10, sequence, text
from edge.report.groups import Group, groups
from edge.report.identity import BoxIdentity, tracking_uid
from edge.report.kinds import SEG, SR, Form, report_uid_for, series_of
from edge.report.segmentation import Layer, Layout, layouts
from edge.report.sentence import sentence
from edge.report.skeleton import Referenced, evidence, predecessor, skeleton
from edge.report.words import (
    Phrase,
    algorithm_parameters,
    measurement_text,
    plain,
    plain_code,
    plain_package,
    score_text,
    waiver_text,
)

COMPREHENSIVE_3D_SR = SR.sop_class_uid
MOST_SOURCES_PER_FINDING = 20
"""Above this a finding group does not repeat the source images; the first group names them all once."""

_CONTAINS = Relationship.CONTAINS
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_CONTEXT = Relationship.HAS_OBS_CONTEXT


def build_sr(result: Result, *, box: BoxIdentity, form: Form | None = None) -> bytes:
    """The report on `result` as a DICOM file (Explicit VR Little Endian).

    Raises
    ------
    PackageError
        If a text of the manifest does not fit the attribute it belongs in.
    RuntimeFailure
        If a score is not a number of 0..1, or a measurement is none.
    """
    form = form or Form()
    has_segments = bool(layouts(result))
    uid = report_uid_for(result.report_uid, form, has_segments=has_segments)
    masks = layouts(result) if form.segmentation else ()
    elements = [
        *skeleton(result, box, form.sr, uid),
        *_document(result, form, masks),
        *item_elements(_report(_in_ascii(result), box, masks)),
    ]
    return part10(form.sr.sop_class_uid, uid, data_set(elements))


def _in_ascii(result: Result) -> Result:
    return dataclasses.replace(result, package=plain_package(result.package))


def _document(result: Result, form: Form, masks: tuple[Layout, ...]) -> list[Element]:
    """SR Document General module (PS3.3 C.17.2)."""
    complete = result.outcome is Outcome.SUCCEEDED
    elements = [
        text("CompletionFlag", "COMPLETE" if complete else "PARTIAL"),
        text("VerificationFlag", "UNVERIFIED"),
        text("PreliminaryFlag", "PRELIMINARY"),
        sequence("ReferencedPerformedProcedureStepSequence"),
        sequence("PerformedProcedureCodeSequence"),
    ]
    series = series_of(result, SEG)
    made = [Referenced(SEG.sop_class_uid, mask.uid, series, result.study_instance_uid) for mask in masks]
    if result.sources or made:
        elements.append(evidence("CurrentRequestedProcedureEvidenceSequence", [*result.sources, *made]))
    if result.predecessor is not None:
        # what stood at the same destination; whether it had segments is not known here, nor does it matter elsewhere
        earlier = report_uid_for(result.predecessor, form, has_segments=bool(layouts(result)))
        elements.append(predecessor(result, earlier, form.sr.sop_class_uid))
    return elements


def _report(result: Result, box: BoxIdentity, masks: tuple[Layout, ...]) -> Item:
    children = [
        code_item(_MODIFIER, codes.LANGUAGE, codes.ENGLISH),
        *_observer(result, box),
        code_item(_MODIFIER, codes.PROCEDURE_REPORTED, procedure_reported(result.sources)),
        container(_CONTAINS, codes.IMAGING_MEASUREMENTS, [_summary_group(result), *_groups(result, masks)]),
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
        *([text_item(_CONTAINS, codes.ACCEPTANCE, f"{waiver_text(package.waiver)}.")] if package.waiver else []),
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


def _groups(result: Result, masks: tuple[Layout, ...]) -> Iterator[Item]:
    sources = {source.sop_instance_uid: source for source in result.sources}
    repeated = result.sources if len(result.sources) <= MOST_SOURCES_PER_FINDING else ()
    outcome_less = _algorithm(result.package, result.provider, None)
    for group in groups(result):
        finding = group.finding
        marked = _marked(group, masks, sources)
        regions = _regions(group.regions, sources)
        algorithm = _algorithm(result.package, result.provider, finding.threshold) if finding else outcome_less
        children = [
            *_tracking(group.identifier, group.uid),
            *_category(finding),
            code_item(_CONTAINS, codes.FINDING, group.code),
            *algorithm,
            *(marked + regions or _source_images(repeated)),
            *_decided(group.code, finding),
            *(_measured(measurement) for measurement in group.measurements),
        ]
        yield container(_CONTAINS, codes.MEASUREMENT_GROUP, children, _template(group, marked))


def _template(group: Group, marked: list[Item]) -> str:
    """TID 1411 is for several regions too: 1410 has room for one."""
    if marked or len(group.regions) > 1:
        return "1411"
    return "1410" if group.regions else "1501"


def _category(finding: Finding | None) -> list[Item]:
    if finding is None or not (finding.present and finding.urgent):
        return []
    return [code_item(_CONTAINS, codes.FINDING_CATEGORY, codes.ACTIONABLE)]


def _decided(code: Code, finding: Finding | None) -> list[Item]:
    return [] if finding is None else [_score(finding), code_item(_CONTAINS, code, presence(finding))]


def _measured(measurement: Measurement) -> Item:
    value = measurement_text(measurement.value)
    return num_item(_CONTAINS, plain_code(measurement.code), value, plain_code(measurement.unit))


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
    return [image_item(_CONTAINS, name, _reference(source)) for source in sources]


def _reference(source: Source, frame: int | None = None) -> bytes:
    return reference_data_set(source.sop_class_uid, source.sop_instance_uid, frame)


def _marked(group: Group, masks: tuple[Layout, ...], sources: Mapping[UID, Source]) -> list[Item]:
    """The segments of this group, and the images that they lie on (TID 1411)."""
    items: list[Item] = []
    for layout, layer in _segments_of(group, masks):
        there = reference_data_set(SEG.sop_class_uid, layout.uid, segments=(layer.number,))
        items.append(image_item(_CONTAINS, codes.REFERENCED_SEGMENT, there))
        for uid in dict.fromkeys(mask.source for mask in layer.masks):
            items.append(image_item(_CONTAINS, codes.SOURCE_IMAGE_FOR_SEGMENTATION, _reference(sources[uid])))
    return items


def _segments_of(group: Group, masks: tuple[Layout, ...]) -> Iterator[tuple[Layout, Layer]]:
    for layout in masks:
        yield from ((layout, layer) for layer in layout.layers if layer.in_result == group.segment)


def _regions(regions: tuple[Region, ...], sources: Mapping[UID, Source]) -> list[Item]:
    outlines = [_outline(region, sources[region.source]) for region in regions]
    if not regions:
        return []
    if regions[0].attention:
        return [*outlines, code_item(_CONTAINS, codes.REGION_KIND, codes.ATTENTION_OUTLINE)]
    return [*outlines, code_item(_CONTAINS, codes.GEOMETRIC_PURPOSE, codes.BOUNDED_BY)]


def _outline(region: Region, source: Source) -> Item:
    image = image_item(Relationship.SELECTED_FROM, codes.SOURCE, _reference(source, region.frame))
    return scoord_item(_CONTAINS, codes.IMAGE_REGION, region.points, image)
