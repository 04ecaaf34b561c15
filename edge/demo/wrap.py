"""A picture as a Digital X-Ray Image object (PS3.3 A.26), with an identity that is invented and says so.

Comes in: gray pixel values. Goes out: a whole DICOM file, Explicit VR Little Endian. Every name, ID and date in it is
made up here; nothing of the picture's own metadata is read.
"""

from __future__ import annotations

import time
import uuid
from io import BytesIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from edge.dimse import IMPLEMENTATION_CLASS_UID

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
CHILD = "004Y"

Gray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def as_dx(image: Gray, *, bits_stored: int, age: str = CHILD) -> bytes:
    """`image`, (rows, columns), as a frontal (AP) chest radiograph of an invented patient of `age` (PS3.5 AS)."""
    data_set = Dataset()
    for module in (_patient_and_study(age), _equipment(), _anatomy(), _pixels(image, bits_stored)):
        data_set.update(module)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    data_set.file_meta = meta
    file = BytesIO()
    dcmwrite(file, data_set, enforce_file_format=True)
    return file.getvalue()


def new_uid() -> str:
    """A UID that was never used before (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def _patient_and_study(age: str) -> Dataset:
    today, now = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
    part = Dataset()
    part.SOPClassUID = DX_FOR_PRESENTATION
    part.SOPInstanceUID, part.StudyInstanceUID, part.SeriesInstanceUID = new_uid(), new_uid(), new_uid()
    part.PatientName, part.PatientID = "INVENTED^DEMONSTRATION", "INVENTED-0001"
    part.PatientBirthDate, part.PatientSex, part.PatientAge = "", "O", age
    part.StudyDate = part.SeriesDate = part.ContentDate = part.AcquisitionDate = today
    part.StudyTime = part.SeriesTime = part.ContentTime = part.AcquisitionTime = now
    part.AccessionNumber, part.StudyID, part.ReferringPhysicianName = "INVENTED0001", "INVENTED", ""
    part.SeriesNumber, part.InstanceNumber = 1, 1
    return part


def _equipment() -> Dataset:
    part = Dataset()
    part.Manufacturer, part.ManufacturerModelName = "INVENTED", "Demonstration"
    part.DeviceSerialNumber, part.SoftwareVersions = "0", "0"
    return part


def _anatomy() -> Dataset:
    part = Dataset()
    part.Modality, part.PresentationIntentType = "DX", "FOR PRESENTATION"
    part.BodyPartExamined, part.ViewPosition, part.PatientOrientation = "CHEST", "AP", ["L", "F"]
    part.ImageLaterality = "U"
    part.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    part.ViewCodeSequence = [_code("399348003", "SCT", "Antero-posterior")]
    part.ViewCodeSequence[0].ViewModifierCodeSequence = []
    part.AcquisitionContextSequence = []
    return part


def _pixels(image: Gray, bits_stored: int) -> Dataset:
    part = Dataset()
    part.ImageType = ["DERIVED", "PRIMARY"]
    part.SamplesPerPixel, part.PhotometricInterpretation = 1, "MONOCHROME2"
    part.Rows, part.Columns = image.shape
    part.BitsAllocated, part.BitsStored, part.HighBit = 16, bits_stored, bits_stored - 1
    part.PixelRepresentation = 0
    part.PixelIntensityRelationship, part.PixelIntensityRelationshipSign = "LOG", 1
    part.RescaleIntercept, part.RescaleSlope, part.RescaleType = "0", "1", "US"
    part.PresentationLUTShape, part.LossyImageCompression, part.BurnedInAnnotation = "IDENTITY", "00", "NO"
    part.WindowCenter, part.WindowWidth = str(1 << (bits_stored - 1)), str(1 << bits_stored)
    part.ImagerPixelSpacing = ["0.2", "0.2"]
    part.DetectorType, part.DerivationDescription = "DIRECT", "Made for a demonstration"
    part.PositionerType = ""
    part.PixelData = image.astype("<u2").tobytes()
    return part


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
