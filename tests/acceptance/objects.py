"""DICOM objects for the acceptance tests: X-rays of the shared data wrapped as DX, and identities full of markers.

Every identity is invented; a marker is a token that occurs nowhere else, so that finding it anywhere is a leak.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from pydicom.charset import encode_string
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def chest_dx(pixels: np.ndarray, *, sop_instance_uid: str | None = None, **overrides: object) -> Dataset:
    """A DX of a child's chest around 8 or 16 bit grey `pixels`; `overrides` set or (None) remove attributes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DX
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid or generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientName, ds.PatientID = "INVENTED^CHILD", "INVENTED-1"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "20210101", "O", "004Y"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = _today()
    ds.StudyTime = ds.ContentTime = "101112"
    ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = "INVENTED-ACC-1", "1", "INVENTED^DOCTOR"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "AP"
    ds.PresentationIntentType, ds.ImageType = "FOR PRESENTATION", ["DERIVED", "PRIMARY"]
    ds.PatientOrientation, ds.ImageLaterality = ["L", "F"], "U"
    ds.Manufacturer, ds.SeriesNumber, ds.InstanceNumber = "Invented Devices", 1, 1
    bits = pixels.dtype.itemsize * 8
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape, ds.LossyImageCompression, ds.BurnedInAnnotation = "IDENTITY", "00", "NO"
    data = pixels.tobytes()
    ds["PixelData"] = DataElement("PixelData", "OW" if bits == 16 else "OB", data + b"\0" * (len(data) % 2))
    for keyword, value in overrides.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def full_size_xrays(data: Path) -> list[tuple[str, np.ndarray]]:
    """The 40 original X-rays of the shared data as (name, grey pixels)."""
    with tarfile.open(data / "cxr" / "cxr_fullres_sample.tar") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return [(member.name, _decode(archive, member)) for member in sorted(members, key=lambda each: each.name)]


def _decode(archive: tarfile.TarFile, member: tarfile.TarInfo) -> np.ndarray:
    file = archive.extractfile(member)
    assert file is not None
    return cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_GRAYSCALE)


def _today() -> str:
    import datetime

    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")


def save(ds: Dataset, path: Path) -> Path:
    """Write `ds` as a Part 10 file."""
    ds.save_as(path, enforce_file_format=True)
    return path


def encoded(ds: Dataset) -> bytes:
    """`ds` as the bytes of a Part 10 file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class Markers:
    """Hands out unique tokens and remembers how each looks on disk or on the wire."""

    prefix: str
    count: int = 0
    needles: list[bytes] = field(default_factory=list)

    def token(self, length: int = 12) -> str:
        """A new ASCII marker of upper-case letters and digits."""
        self.count += 1
        text = f"{self.prefix}{self.count:04d}".ljust(length, "Q")[:length]
        self.needles.append(text.encode())
        return text

    def date(self) -> str:
        """A new date that no clock will show: the years 1601 to 1699."""
        self.count += 1
        text = f"16{self.count % 99 + 1:02d}{self.count % 12 + 1:02d}{self.count % 28 + 1:02d}"
        self.needles.append(text.encode())
        return text

    def japanese(self) -> str:
        """A name in three groups; its Kanji and Kana bytes are markers too, in ISO 2022 JP and in UTF-8."""
        ideographic, phonetic = "鬱齟齬^龍璽", "ウツソゴ^リュウジ"
        for text in (ideographic, phonetic):
            for part in text.split("^"):
                forms = (part.encode(), encode_string(part, ["shift_jis", "iso2022_jp"])[3:-3])
                self.needles += [form for form in forms if len(form) >= 6]  # shorter ones occur by chance
        return f"{self.token()}={ideographic}={phonetic}"


def mark_identity(ds: Dataset, markers: Markers, *, charset: str | list[str] = "ISO_IR 192") -> Dataset:
    """Put unique markers into every identifying attribute: nested, private, names of several components."""
    token = markers.token
    ds.SpecificCharacterSet = charset
    ds.PatientName = markers.japanese() if charset != "ISO_IR 100" else f"{token()}^{token()}^{token()}"
    ds.PatientID, ds.PatientBirthDate, ds.AccessionNumber, ds.StudyID = token(), markers.date(), token(), token()
    for keyword in _PERSON_NAMES:
        setattr(ds, keyword, f"{token()}^{token()}")
    for keyword in _TEXTS:
        setattr(ds, keyword, token())
    other = Dataset()
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = token(), "TEXT", token()
    ds.OtherPatientIDsSequence = Sequence([other])
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = token(), token()
    request.RequestedProcedureDescription, request.AccessionNumber = token(), token()
    ds.RequestAttributesSequence = Sequence([request])
    physician = Dataset()
    physician.InstitutionName, physician.PersonAddress = token(), token()
    ds.ReferringPhysicianIdentificationSequence = Sequence([physician])
    block = ds.private_block(0x0099, "INVENTED PRIVATE", create=True)
    block.add_new(1, "LO", token())
    block.add_new(2, "PN", f"{token()}^{token()}")
    inner = Dataset()
    inner.PatientName, inner.PatientComments = f"{token()}^{token()}", token(40)
    block.add_new(3, "SQ", Sequence([inner]))
    return ds


_PERSON_NAMES = (
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy", "RequestingPhysician", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "ResponsiblePerson",
)  # fmt: skip
_TEXTS = (
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "StudyDescription",
    "SeriesDescription", "ProtocolName", "PatientComments", "ImageComments", "AdditionalPatientHistory",
    "PatientAddress", "MedicalRecordLocator", "IssuerOfPatientID", "PatientTelephoneNumbers", "Occupation",
    "CurrentPatientLocation", "AdmissionID", "RequestedProcedureDescription", "DeviceSerialNumber", "DetectorID",
)  # fmt: skip


ORIENTATIONS = ("L\\F", "R\\F", "L\\H", "R\\H", "F\\L", "F\\R", "H\\L", "H\\R")
"""What PatientOrientation may say of a frontal image."""


def stored_as(upright: np.ndarray, orientation: str) -> np.ndarray:
    """`upright` (L\\F) as a device stores it that writes `orientation`."""
    row, column = orientation.split("\\")
    if row in "FH":
        upright = upright.T
    upright = upright[:, ::-1] if row in "RH" else upright
    return np.ascontiguousarray(upright[::-1] if column in "RH" else upright)
