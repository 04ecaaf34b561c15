"""A rejection note of ours (IHE IOCM): a Key Object Selection that takes back results which were sent (PS3.3 A.35.4).

Comes in: which results, and why. Goes out: a DICOM file of UIDs and codes; whom it is about, nobody can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.records import UID, Code
from edge.report.codes import DEIDENTIFICATION
from edge.report.content import code_data_set, reference_data_set
from edge.report.encode import data_set, part10, sequence, text
from edge.report.identity import BoxIdentity, rejection_series_uid, rejection_uid
from edge.report.kinds import KO, SEG
from edge.report.skeleton import EMPTY, Referenced, evidence
from edge.report.words import NO_DATE, NO_TIME, Phrase

TITLES: Mapping[str, Code] = MappingProxyType(
    {
        "rejected-quality": Code("113001", "DCM", "Rejected for Quality Reasons"),
        "rejected-safety": Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
        "rejected-worklist": Code("113038", "DCM", "Incorrect Modality Worklist Entry"),
        "rejected-retention": Code("113039", "DCM", "Data Retention Policy Expired"),
    }
)
"""Titles of rejection notes (CID 7011), by the reason that the journal has for them."""
SERIES_NUMBER = 9001 + KO.series_offset
DESCRIPTION = "Rejected results"


@dataclass(frozen=True, slots=True)
class Note:
    """Results of one study that are no longer valid, all at one destination; `title` is one of `TITLES`."""

    study_instance_uid: UID
    title: Code
    rejected: tuple[Referenced, ...]

    @property
    def sop_instance_uid(self) -> UID:
        """The same for the same results, whenever it is written."""
        uids = (each.sop_instance_uid for each in self.rejected)
        return rejection_uid(self.study_instance_uid, self.title.value, uids)

    @property
    def series_instance_uid(self) -> UID:
        return rejection_series_uid(self.study_instance_uid)


def build_note(note: Note, box: BoxIdentity) -> bytes:
    """The note as a DICOM file (Explicit VR Little Endian; TID 2010)."""
    template = data_set((text("MappingResource", "DCMR"), text("TemplateIdentifier", "2010")))
    elements = (
        *(text(keyword) for keyword in EMPTY),
        text("SOPClassUID", KO.sop_class_uid),
        text("SOPInstanceUID", note.sop_instance_uid),
        text("StudyInstanceUID", note.study_instance_uid),
        text("SeriesInstanceUID", note.series_instance_uid),
        text("Modality", KO.modality),
        text("SeriesNumber", str(SERIES_NUMBER)),
        text("InstanceNumber", "1"),
        text("SeriesDescription", DESCRIPTION),
        text("ContentDate", NO_DATE),
        text("ContentTime", NO_TIME),
        text("Manufacturer", box.manufacturer),
        text("ManufacturerModelName", box.manufacturer_model_name),
        text("DeviceSerialNumber", box.device_serial_number),
        text("SoftwareVersions", box.software_versions),
        text("PatientIdentityRemoved", "YES"),
        text("DeidentificationMethod", Phrase.DEIDENTIFICATION_METHOD),
        sequence("DeidentificationMethodCodeSequence", (code_data_set(code) for code in DEIDENTIFICATION)),
        text("LongitudinalTemporalInformationModified", "REMOVED"),
        sequence("ReferencedPerformedProcedureStepSequence"),
        evidence("CurrentRequestedProcedureEvidenceSequence", note.rejected),
        text("ValueType", "CONTAINER"),
        sequence("ConceptNameCodeSequence", [code_data_set(note.title)]),
        text("ContinuityOfContent", "SEPARATE"),
        sequence("ContentTemplateSequence", [template]),
        sequence("ContentSequence", (_item(each) for each in note.rejected)),
    )
    return part10(KO.sop_class_uid, note.sop_instance_uid, data_set(elements))


def _item(rejected: Referenced) -> bytes:
    reference = reference_data_set(rejected.sop_class_uid, rejected.sop_instance_uid)
    return data_set(
        (
            text("RelationshipType", "CONTAINS"),
            text("ValueType", "IMAGE" if rejected.sop_class_uid == SEG.sop_class_uid else "COMPOSITE"),
            sequence("ReferencedSOPSequence", [reference]),
        )
    )
