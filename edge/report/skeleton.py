"""The PHI-free header that every object of the box starts from (DESIGN 3; PS3.3 A.35.13.3, C.7, C.17).

Attributes that would identify a patient are present and empty where the standard wants them present, and
absent everywhere else. Nothing here comes from a received data set but UIDs.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.records import UID, Result, Source
from edge.report.codes import DEIDENTIFICATION, PROCESSING_EQUIPMENT
from edge.report.content import code_data_set, reference, reference_data_set
from edge.report.encode import Element, data_set, sequence, text
from edge.report.identity import BoxIdentity
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


def skeleton(result: Result, box: BoxIdentity, *, sop_class_uid: str, modality: str) -> list[Element]:
    """Patient, General Study, Series, Equipment and SOP Common modules of one result."""
    package = plain_package(result.package)
    return [
        *(text(keyword) for keyword in EMPTY),
        text("SOPClassUID", sop_class_uid),
        text("SOPInstanceUID", result.report_uid),
        text("StudyInstanceUID", result.study_instance_uid),
        text("SeriesInstanceUID", result.series_uid),
        text("Modality", modality),
        text("SeriesNumber", str(result.series_number)),
        text("InstanceNumber", str(result.revision)),
        text("SeriesDescription", series_description(package)),
        text("ContentDate", NO_DATE),
        text("ContentTime", NO_TIME),
        *_general_equipment(box),
        *_deidentification(),
        sequence("ContributingEquipmentSequence", [_processing_equipment(result)]),
    ]


def evidence(keyword: str, sources: Iterable[Source]) -> Element:
    """A Hierarchical SOP Instance Reference of `sources`: study, series, instance (PS3.3 C.17.2.1)."""
    studies: dict[UID, dict[UID, list[bytes]]] = {}
    for source in sources:
        series = studies.setdefault(source.study_instance_uid, {})
        references = series.setdefault(source.series_instance_uid, [])
        references.append(reference_data_set(source.sop_class_uid, source.sop_instance_uid))
    return sequence(keyword, (_study(uid, series) for uid, series in studies.items()))


def predecessor(result: Result, uid: UID, sop_class_uid: str) -> Element:
    """The report that this one replaces; it stands in the same series (one per study and package)."""
    series = data_set((text("SeriesInstanceUID", result.series_uid), reference(sop_class_uid, uid)))
    study = (text("StudyInstanceUID", result.study_instance_uid), sequence("ReferencedSeriesSequence", [series]))
    return sequence("PredecessorDocumentsSequence", [data_set(study)])


def _study(uid: UID, series: dict[UID, list[bytes]]) -> bytes:
    items = (
        data_set((text("SeriesInstanceUID", series_uid), sequence("ReferencedSOPSequence", references)))
        for series_uid, references in series.items()
    )
    return data_set((text("StudyInstanceUID", uid), sequence("ReferencedSeriesSequence", items)))


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
