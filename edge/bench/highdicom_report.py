"""The same report and the same segmentation by highdicom: the peer of `edge bench report`, and nothing else.

It is fed data sets that were made here, without a patient.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
from highdicom import sr
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code

Points = Sequence[tuple[float, float]]


def version() -> str:
    """As the table of the benchmark names it."""
    return f"highdicom {highdicom.__version__}"


def image(rows: int, columns: int) -> Dataset:
    """A DX image's attributes, without pixels and without a patient."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "2.25.103"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "2.25.101", "2.25.102", "DX"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(made, keyword, "")
    made.StudyDate = made.StudyTime = made.ReferringPhysicianName = ""
    made.Rows, made.Columns = rows, columns
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return made


def report(source: Dataset, finding: tuple[str, str, str], regions: Sequence[Points | None]) -> bytes:
    """TID 1500 with a group for each of `regions`: a planar one, or where it is None one without a region."""
    groups = [_group(source, Code(*finding), number, points) for number, points in enumerate(regions)]
    device = sr.DeviceObserverIdentifyingAttributes(uid="2.25.301", name="Edge")
    observer = sr.ObserverContext(Code("121007", "DCM", "Device"), device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("43468-8", "LN", "XR unspecified body region"),
        imaging_measurements=groups,
    )
    return _written(
        sr.Comprehensive3DSR(
            evidence=[source],
            content=content,
            series_number=9001,
            series_instance_uid="2.25.2",
            sop_instance_uid="2.25.3",
            instance_number=1,
            manufacturer="Edge",
        )
    )


def segmentation(source: Dataset, mask: npt.NDArray[np.bool_], code: tuple[str, str, str]) -> bytes:
    """One segment on one image."""
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="bench", version="1", family=Code("123110", "DCM", "Artificial Intelligence")
    )
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label=code[2],
        segmented_property_category=Code("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=Code(*code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
    )
    return _written(
        highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=mask,
            segmentation_type="BINARY",
            segment_descriptions=[segment],
            series_instance_uid="2.25.4",
            series_number=9101,
            sop_instance_uid="2.25.5",
            instance_number=1,
            manufacturer="Edge",
            manufacturer_model_name="Edge",
            software_versions="1",
            device_serial_number="1",
        )
    )


def _group(source: Dataset, finding: Code, number: int, points: Points | None) -> Any:
    common = {
        "tracking_identifier": sr.TrackingIdentifier(uid=f"2.25.9{number}", identifier=f"finding {number}"),
        "finding_type": finding,
        "algorithm_id": sr.AlgorithmIdentification(
            name="bench",
            version="1",
            family=Code("123110", "DCM", "Artificial Intelligence"),
            parameters=["threshold=0.5"],
        ),
        "measurements": [
            sr.Measurement(
                name=Code("111012", "DCM", "Certainty of Finding"), value=93.12, unit=Code("%", "UCUM", "Percent")
            )
        ],
        "qualitative_evaluations": [sr.QualitativeEvaluation(name=finding, value=Code("52101004", "SCT", "Present"))],
    }
    where = (source.SOPClassUID, source.SOPInstanceUID)
    if points is None:
        images = [sr.SourceImageForMeasurementGroup(*where)]
        return sr.MeasurementsAndQualitativeEvaluations(source_images=images, **common)
    region = sr.ImageRegion(
        sr.GraphicTypeValues.POLYLINE, np.array([*points, points[0]]), sr.SourceImageForRegion(*where)
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **common)


def _written(dataset: Dataset) -> bytes:
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(stream)
    return stream.getvalue()
