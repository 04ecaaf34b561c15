"""Which values are provably ours in one result: the words, codes, UIDs and numbers that it may show.

A word is ours when it is one of the emitter's phrases, of the verified manifest, of the box, or a number of this
result. The name of an execution provider that we do not know is only *plausible*: the second net looks at it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID_dictionary

from edge import reasons
from edge.infer.applicability import STATISTICS
from edge.records import Code, Finding, PackageIdentity, Region, Result
from edge.report import codes
from edge.report.encode import EXPLICIT_VR_LITTLE_ENDIAN
from edge.report.identity import BoxIdentity, tracking_uid
from edge.report.sr import COMPREHENSIVE_3D_SR, tracked
from edge.report.words import (
    Phrase,
    algorithm_parameters,
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
    """Everything that one result may show. `received_uids` came from the hospital; `words` are in upper case."""

    uids: frozenset[str]
    received_uids: frozenset[str]
    codes: frozenset[Triple]
    texts: Mapping[str, frozenset[str]]
    words: frozenset[str]
    plausible_words: frozenset[str]
    numbers: frozenset[str]
    coordinates: frozenset[bytes]


def words_of(text: str) -> Iterator[str]:
    """The words of `text` in upper case, without the punctuation that a sentence puts around them."""
    for word in _WORD.findall(text.upper()):
        stripped = word.strip(".")
        if stripped:
            yield stripped


def ours(result: Result, box: BoxIdentity) -> Ours:
    """What `result`, made on `box`, may show."""
    package = plain_package(result.package)
    coded = [package.family, *(plain_code(finding.code) for finding in result.findings)]
    numbers = _numbers(result)
    received = _received_uids(result)
    return Ours(
        uids=received | _own_uids(result, box),
        received_uids=received,
        codes=_FIXED_CODES | {_triple(code) for code in coded},
        texts=_texts(result, package, box),
        words=_vocabulary(result, package, box, coded, numbers),
        plausible_words=_plausible_words(result),
        numbers=numbers | {str(result.series_number), str(result.revision)},
        coordinates=frozenset(_packed(region) for finding in result.findings for region in finding.regions),
    )


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
    return frozenset(uid for uid in uids if not _is_standard(uid))


def _is_standard(uid: str) -> bool:
    """Whether PS3.6 registers `uid`: then it is a constant of DICOM, not something a device made up."""
    return uid in UID_dictionary


def _own_uids(result: Result, box: BoxIdentity) -> frozenset[str]:
    own = {COMPREHENSIVE_3D_SR, EXPLICIT_VR_LITTLE_ENDIAN, result.report_uid, result.series_uid}
    own |= {result.device_uid, box.device_uid}
    own |= {tracking_uid(result.study_instance_uid, result.package.digest, None, 0)}
    own |= {uid for _, _, uid in tracked(result)}
    own |= {source.sop_class_uid for source in result.sources if _is_standard(source.sop_class_uid)}
    if result.predecessor is not None:
        own.add(result.predecessor)
    return frozenset(own)


def _texts(result: Result, package: PackageIdentity, box: BoxIdentity) -> Mapping[str, frozenset[str]]:
    thresholds = (None, *(finding.threshold for finding in result.findings))
    parameters = (text for threshold in thresholds for text in algorithm_parameters(package, "", threshold))
    values = {
        "SeriesDescription": {series_description(package)},
        "Manufacturer": {box.manufacturer, package.vendor},
        "ManufacturerModelName": {box.manufacturer_model_name, package.name},
        "SoftwareVersions": {box.software_versions, package.version},
        "DeviceSerialNumber": {box.device_serial_number},
        "TextValue": {
            *parameters,
            *(identifier for _, identifier, _ in tracked(result)),
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
    )
    equipment = (
        box.manufacturer,
        box.manufacturer_model_name,
        box.software_versions,
        box.device_serial_number,
    )
    indices = (str(index + 1) for index in range(len(result.findings)))
    return _FIXED_WORDS | _words_of_all((*manifest, *equipment, *numbers, *indices, *_keyword(result.reason)))


def _keyword(reason: str) -> tuple[str, ...]:
    """What a reason names after its colon: a DICOM keyword or a statistic of the input, nothing else is ours."""
    keyword = reason.partition(":")[2]
    return (keyword,) if keyword in STATISTICS or tag_for_keyword(keyword) is not None else ()


def _plausible_words(result: Result) -> frozenset[str]:
    return frozenset({result.provider.upper()}) if _PROVIDER.fullmatch(result.provider) else frozenset()


def _numbers(result: Result) -> frozenset[str]:
    return frozenset(text for finding in result.findings for text in _finding_numbers(finding))


def _finding_numbers(finding: Finding) -> tuple[str, ...]:
    return score_text(finding), threshold_text(finding.threshold), threshold_percent(finding.threshold)


def _packed(region: Region) -> bytes:
    points = region.points if region.points[0] == region.points[-1] else (*region.points, region.points[0])
    flat = [coordinate for point in points for coordinate in point]
    return struct.pack(f"<{len(flat)}f", *flat)
