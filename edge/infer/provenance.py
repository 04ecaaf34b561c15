"""Which values are provably ours in one result: the words, codes, UIDs and numbers that it may show.

A word is ours when it is one of the emitter's phrases, of the verified manifest, of the box, or a number of this
result. The name of an execution provider that we do not know is only *plausible*: the second net looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID_dictionary

from edge import reasons
from edge.infer import geometry
from edge.infer.applicability import STATISTICS
from edge.records import UID, Code, Finding, PackageIdentity, Result
from edge.report import codes
from edge.report.groups import groups
from edge.report.identity import BoxIdentity, object_uid, tracking_uid
from edge.report.kinds import KO, OLD_SR, PR, SEG, SR, Form, report_uid_for, series_of
from edge.report.objects import object_uids
from edge.report.rejection import DESCRIPTION, SERIES_NUMBER, Note
from edge.report.words import (
    Phrase,
    algorithm_parameters,
    measurement_text,
    plain,
    plain_code,
    plain_package,
    score_text,
    series_description,
    threshold_percent,
    threshold_text,
)

Triple = tuple[str, str, str]
"""Code Value, Coding Scheme Designator, Code Meaning."""

_WORD = re.compile(r"[^\s();:,=]+")
_PROVIDER = re.compile(r"[A-Za-z0-9]{1,40}")
_KNOWN_PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider")


@dataclass(frozen=True, slots=True)
class Ours:
    """Everything that one result may show. `received_uids` came from the hospital; `words` are in upper case.

    `objects` maps the SOP Instance UID of each object that the result may become to its SOP Class UID.
    """

    uids: frozenset[str]
    received_uids: frozenset[str]
    codes: frozenset[Triple]
    texts: Mapping[str, frozenset[str]]
    words: frozenset[str]
    plausible_words: frozenset[str]
    numbers: frozenset[str]
    coordinates: frozenset[bytes]
    pixels: frozenset[bytes]
    objects: Mapping[str, str]


def words_of(text: str) -> Iterator[str]:
    """The words of `text` in upper case, without the punctuation that a sentence puts around them."""
    for word in _WORD.findall(text.upper()):
        stripped = word.strip(".")
        if stripped:
            yield stripped


def ours(result: Result, box: BoxIdentity) -> Ours:
    """What `result`, made on `box`, may show."""
    package = plain_package(result.package)
    coded = [package.family, *(plain_code(code) for code in _manifest_codes(result))]
    numbers = _numbers(result)
    received = _received_uids(result)
    objects = {str(uid): str(kind.sop_class_uid) for uid, kind in object_uids(result).items()}
    return Ours(
        uids=received | _own_uids(result, box, objects),
        received_uids=received,
        codes=_FIXED_CODES | {_triple(code) for code in coded},
        texts=_texts(result, package, box),
        words=_vocabulary(result, package, box, coded, numbers),
        plausible_words=_plausible_words(result),
        numbers=numbers | geometry.numbers(result) | _document_numbers(result),
        coordinates=geometry.coordinates(result),
        pixels=geometry.pixels(result),
        objects=MappingProxyType(objects),
    )


def ours_of_note(note: Note, box: BoxIdentity) -> Ours:
    """What a rejection note may show: UIDs that have left already with the results it rejects, and its title."""
    rejected = {uid for each in note.rejected for uid in (each.sop_class_uid, each.sop_instance_uid)}
    own = {note.sop_instance_uid, note.series_instance_uid, note.study_instance_uid, KO.sop_class_uid}
    texts = {
        "SeriesDescription": {DESCRIPTION},
        "Manufacturer": {box.manufacturer},
        "ManufacturerModelName": {box.manufacturer_model_name},
        "SoftwareVersions": {box.software_versions},
        "DeviceSerialNumber": {box.device_serial_number},
    }
    nothing: frozenset[str] = frozenset()
    return Ours(
        uids=frozenset(own | rejected | {each.series_instance_uid for each in note.rejected}),
        received_uids=nothing,
        codes=frozenset({_triple(note.title), *(_triple(code) for code in codes.DEIDENTIFICATION)}),
        texts=MappingProxyType({keyword: frozenset(values) for keyword, values in texts.items()}),
        words=nothing,
        plausible_words=nothing,
        numbers=frozenset({str(SERIES_NUMBER), "1"}),
        coordinates=frozenset(),
        pixels=frozenset(),
        objects=MappingProxyType({str(note.sop_instance_uid): str(KO.sop_class_uid)}),
    )


def _manifest_codes(result: Result) -> Iterator[Code]:
    yield from (finding.code for finding in result.findings)
    for segment in result.segments:
        yield from (segment.code, segment.category, segment.type)
    for measurement in result.measurements:
        yield from (measurement.code, measurement.unit)
        if measurement.finding is not None:
            yield measurement.finding


def _document_numbers(result: Result) -> frozenset[str]:
    offsets = (0, SEG.series_offset, PR.series_offset)
    return frozenset({str(result.revision), *(str(result.series_number + offset) for offset in offsets)})


def _triple(code: Code) -> Triple:
    return code.value, code.scheme, code.meaning


def _fixed_codes() -> Iterator[Code]:
    for value in vars(codes).values():
        match value:
            case Code():
                yield value
            case MappingProxyType():
                yield from value.values()
            case tuple():
                yield from value
    yield from (reason.code for reason in reasons.CATALOGUE.values())


def _words_of_all(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(word for text in texts for word in words_of(text))


_FIXED_CODES = frozenset(_triple(code) for code in _fixed_codes())
_FIXED_WORDS = _words_of_all(
    (
        *Phrase,
        *(reason.sentence for reason in reasons.CATALOGUE.values()),
        *reasons.CATALOGUE,
        *_KNOWN_PROVIDERS,
        "sha256",
        "provider",
    )
)


def _received_uids(result: Result) -> frozenset[str]:
    uids = {str(result.study_instance_uid)}
    for source in result.sources:
        uids |= {
            source.sop_class_uid,
            source.sop_instance_uid,
            source.series_instance_uid,
            source.study_instance_uid,
        }
        if source.plane is not None:
            uids.add(source.plane.frame_of_reference_uid)
    return frozenset(uid for uid in uids if not _is_standard(uid))


def _is_standard(uid: str) -> bool:
    """Whether PS3.6 registers `uid`: then it is a constant of DICOM, not something a device made up."""
    return uid in UID_dictionary


def _own_uids(result: Result, box: BoxIdentity, objects: Mapping[str, str]) -> frozenset[str]:
    own = {*objects, *objects.values(), result.series_uid, result.device_uid, box.device_uid}
    own |= {series_of(result, SEG), series_of(result, PR)}
    own |= {object_uid(UID(uid), "dimensions") for uid in objects}
    own |= {tracking_uid(result.study_instance_uid, result.package.digest, None, 0)}
    own |= {group.uid for group in groups(result)}
    own |= {source.sop_class_uid for source in result.sources if _is_standard(source.sop_class_uid)}
    own |= {source.plane.frame_of_reference_uid for source in result.sources if source.plane}
    if result.predecessor is not None:
        forms = (Form(kind, segmentation) for kind in (SR, OLD_SR) for segmentation in (True, False))
        own |= {report_uid_for(result.predecessor, form, has_segments=has) for form in forms for has in (True, False)}
    return frozenset(own)


def _texts(result: Result, package: PackageIdentity, box: BoxIdentity) -> Mapping[str, frozenset[str]]:
    thresholds = (None, *(finding.threshold for finding in result.findings))
    parameters = (text for threshold in thresholds for text in algorithm_parameters(package, "", threshold))
    identifiers = {group.identifier for group in groups(result)}
    values = {
        "PatientOrientation": {"", *("\\".join(source.patient_orientation or ()) for source in result.sources)},
        "TrackingID": identifiers,
        "SegmentLabel": {plain(segment.code.meaning)[:64] for segment in result.segments},
        "SegmentAlgorithmName": {package.name},
        "AlgorithmName": {package.name},
        "AlgorithmVersion": {package.version},
        "AlgorithmSource": {package.vendor},
        "ContentDescription": {series_description(package)},
        "SeriesDescription": {series_description(package)},
        "Manufacturer": {box.manufacturer, package.vendor},
        "ManufacturerModelName": {box.manufacturer_model_name, package.name},
        "SoftwareVersions": {box.software_versions, package.version},
        "DeviceSerialNumber": {box.device_serial_number},
        "TextValue": {
            *parameters,
            *identifiers,
            box.manufacturer_model_name,
            package.vendor,
            package.name,
            package.version,
            package.purpose,
            package.population,
        },
    }
    return MappingProxyType({keyword: frozenset(texts) for keyword, texts in values.items()})


def _vocabulary(
    result: Result, package: PackageIdentity, box: BoxIdentity, coded: list[Code], numbers: frozenset[str]
) -> frozenset[str]:
    manifest = (
        package.name,
        package.version,
        package.digest,
        package.vendor,
        package.status,
        package.purpose,
        package.population,
        *(code.meaning for code in coded),
        *(plain(measurement.unit.value) for measurement in result.measurements),
    )
    equipment = (
        box.manufacturer,
        box.manufacturer_model_name,
        box.software_versions,
        box.device_serial_number,
    )
    indices = (str(index + 1) for index in range(len(groups(result))))
    return _FIXED_WORDS | _words_of_all((*manifest, *equipment, *numbers, *indices, *_keyword(result.reason)))


def _keyword(reason: str) -> tuple[str, ...]:
    """What a reason names after its colon: a DICOM keyword or a statistic of the input, nothing else is ours."""
    keyword = reason.partition(":")[2]
    return (keyword,) if keyword in STATISTICS or tag_for_keyword(keyword) is not None else ()


def _plausible_words(result: Result) -> frozenset[str]:
    return frozenset({result.provider.upper()}) if _PROVIDER.fullmatch(result.provider) else frozenset()


def _numbers(result: Result) -> frozenset[str]:
    measured = (measurement_text(measurement.value) for measurement in result.measurements)
    return frozenset(text for finding in result.findings for text in _finding_numbers(finding)) | frozenset(measured)


def _finding_numbers(finding: Finding) -> tuple[str, ...]:
    return score_text(finding), threshold_text(finding.threshold), threshold_percent(finding.threshold)
