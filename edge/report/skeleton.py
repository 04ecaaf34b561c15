"""The PHI-free header that every object of the box starts from (DESIGN 3; PS3.3 A.35.13.3, C.7, C.17).

Attributes that would identify a patient are present and empty where the standard wants them present, and
absent everywhere else. Nothing here comes from a received data set but UIDs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.records import UID, Result, Source
from edge.report.codes import DEIDENTIFICATION, PROCESSING_EQUIPMENT
from edge.report.content import code_data_set, reference_data_set
from edge.report.encode import Element, data_set, sequence, text
from edge.report.identity import BoxIdentity
from edge.report.kinds import Kind, series_of
from edge.report.words import NO_DATE, NO_TIME, Phrase, plain_package, series_description

EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)
"""Type 2 attributes whose value would identify a patient: present, never filled, never a pseudonym."""


@dataclass(frozen=True, slots=True)
class Referenced:
    """An instance with the series and the study that it is in."""

    sop_class_uid: UID
    sop_instance_uid: UID
    series_instance_uid: UID
    study_instance_uid: UID


def skeleton(result: Result, box: BoxIdentity, kind: Kind, sop_instance_uid: UID) -> list[Element]:
    """Patient, General Study, Series, Equipment and SOP Common modules of one object of a result."""
    package = plain_package(result.package)
    return [
        *(text(keyword) for keyword in EMPTY),
        text("SOPClassUID", kind.sop_class_uid),
        text("SOPInstanceUID", sop_instance_uid),
        text("StudyInstanceUID", result.study_instance_uid),
        text("SeriesInstanceUID", series_of(result, kind)),
        text("Modality", kind.modality),
        text("SeriesNumber", str(result.series_number + kind.series_offset)),
        text("InstanceNumber", str(result.revision)),
        text("SeriesDescription", series_description(package)),
        text(kind.date, NO_DATE),
        text(kind.time, NO_TIME),
        *_general_equipment(box),
        *_deidentification(),
        sequence("ContributingEquipmentSequence", [_processing_equipment(result)]),
    ]


def evidence(keyword: str, sources: Iterable[Referenced | Source]) -> Element:
    """A Hierarchical SOP Instance Reference of `sources`: study, series, instance (PS3.3 C.17.2.1)."""
    studies: dict[UID, list[Referenced | Source]] = {}
    for source in sources:
        studies.setdefault(source.study_instance_uid, []).append(source)
    items = (
        data_set(
            (
                text("StudyInstanceUID", study),
                references("ReferencedSeriesSequence", "ReferencedSOPSequence", members),
            )
        )
        for study, members in studies.items()
    )
    return sequence(keyword, items)


def references(keyword: str, inner: str, sources: Iterable[Referenced | Source]) -> Element:
    """A sequence of series, each with its instances in a sequence `inner`."""
    series: dict[UID, list[bytes]] = {}
    for source in sources:
        found = series.setdefault(source.series_instance_uid, [])
        found.append(reference_data_set(source.sop_class_uid, source.sop_instance_uid))
    items = (
        data_set((text("SeriesInstanceUID", series_uid), sequence(inner, found)))
        for series_uid, found in series.items()
    )
    return sequence(keyword, items)


def predecessor(result: Result, uid: UID, sop_class_uid: UID) -> Element:
    """The report that this one replaces; it stands in the same series (one per study and package)."""
    earlier = Referenced(sop_class_uid, uid, result.series_uid, result.study_instance_uid)
    return evidence("PredecessorDocumentsSequence", [earlier])


def _general_equipment(box: BoxIdentity) -> list[Element]:
    return [
        text("Manufacturer", box.manufacturer),
        text("ManufacturerModelName", box.manufacturer_model_name),
        text("DeviceSerialNumber", box.device_serial_number),
        text("SoftwareVersions", box.software_versions),
    ]


def _deidentification() -> list[Element]:
    return [
        text("PatientIdentityRemoved", "YES"),
        text("DeidentificationMethod", Phrase.DEIDENTIFICATION_METHOD),
        sequence("DeidentificationMethodCodeSequence", (code_data_set(code) for code in DEIDENTIFICATION)),
        text("LongitudinalTemporalInformationModified", "REMOVED"),
    ]


def _processing_equipment(result: Result) -> bytes:
    # IHE AIR: these equal the Device Observer items and TID 4019 of the same algorithm.
    package = plain_package(result.package)
    return data_set(
        (
            text("Manufacturer", package.vendor),
            text("ManufacturerModelName", package.name),
            text("SoftwareVersions", package.version),
            text("DeviceUID", result.device_uid),
            sequence("PurposeOfReferenceCodeSequence", [code_data_set(PROCESSING_EQUIPMENT)]),
        )
    )
