"""A filed result as FHIR R5: a transaction of one DiagnosticReport, an Observation for each finding, and the Device.

Ids follow from the report's SOP Instance UID, so that the same result, told twice, is the same resources. The patient
is named by identifier, never written: whoever receives this knows the patient already. Status `preliminary`: nobody
has verified it. Along the lines of HL7's "DICOM SR to FHIR Resource Mapping".
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from edge.records import Code
from edge.relink.person import Person
from edge.report.reader import FindingView, ReportView

_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "DCM": "http://dicom.nema.org/resources/ontology/DCM",
        "SCT": "http://snomed.info/sct",
        "LN": "http://loinc.org",
        "UCUM": "http://unitsofmeasure.org",
        "RADLEX": "http://radlex.org",
    }
)
_DICOM_UID = "urn:dicom:uid"
_REPORT = Code("18748-4", "LN", "Diagnostic imaging report")
_CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
_RADIOLOGY = "http://terminology.hl7.org/CodeSystem/v2-0074"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def bundle(view: ReportView, person: Person, issued: datetime.datetime) -> dict[str, Any]:
    """The transaction as JSON can hold it.

    Parameters
    ----------
    issued : datetime
        The moment of filing, with its time zone.
    """
    device = _device(view)
    subject = _subject(person)
    observations = [
        _observation(view, number, finding, subject, device["id"]) for number, finding in enumerate(view.findings, 1)
    ]
    report = _report(view, person, subject, issued, [each["id"] for each in observations])
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(each) for each in (device, *observations, report)],
    }


def _report(
    view: ReportView, person: Person, subject: dict[str, Any], issued: datetime.datetime, results: list[str]
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": _id(view, "report"),
        "identifier": [_uid(view.sop_instance_uid)],
        "status": "preliminary",
        "category": [{"coding": [{"system": _RADIOLOGY, "code": "RAD", "display": "Radiology"}]}],
        "code": _concept(_REPORT),
        "subject": subject,
        "issued": issued.isoformat(timespec="seconds"),
        "study": [_study(view)],
        "conclusion": view.sentence,
    }
    if person.accession_number:
        report["basedOn"] = [{"type": "ServiceRequest", "identifier": _accession(person)}]
    if results:
        report["result"] = [{"reference": f"Observation/{each}"} for each in results]
    return report


def _observation(
    view: ReportView, number: int, finding: FindingView, subject: dict[str, Any], device: str
) -> dict[str, Any]:
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "id": _id(view, f"finding-{number}"),
        "status": "preliminary",
        "category": [{"coding": [{"system": _CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": _concept(finding.code),
        "subject": subject,
        "device": {"reference": f"Device/{device}"},
        "derivedFrom": [_study(view)],
    }
    if finding.presence.value:
        observation["valueCodeableConcept"] = _concept(finding.presence)
    if finding.present:
        urgent = ("AA", "Critical abnormal") if finding.urgent else ("A", "Abnormal")
        coding = {"system": _INTERPRETATION, "code": urgent[0], "display": urgent[1]}
        observation["interpretation"] = [{"coding": [coding]}]
    components = list(_components(finding))
    if components:
        observation["component"] = components
    return observation


def _components(finding: FindingView) -> Iterator[dict[str, Any]]:
    if finding.score is not None and finding.calibrated:
        percent = round(100 * finding.score, 4)
        yield {"code": _concept(_CERTAINTY), "valueQuantity": _quantity(percent, "%")}
    elif finding.score is not None:
        yield {"code": {"text": "Model output, not a probability"}, "valueQuantity": _quantity(finding.score, "1")}
    if finding.threshold is not None:
        yield {"code": {"text": "Threshold of the model output"}, "valueQuantity": _quantity(finding.threshold, "1")}
    for item in finding.measurements:
        yield {"code": {"text": item.name}, "valueQuantity": _quantity(float(item.value), item.unit)}


def _device(view: ReportView) -> dict[str, Any]:
    package = view.package
    return {
        "resourceType": "Device",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"package {package.digest}")),
        "displayName": package.name,
        "manufacturer": package.vendor,
        "version": [{"value": package.version}],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:sha256:{package.digest}"}],
    }


def _subject(person: Person) -> dict[str, Any]:
    identifier: dict[str, Any] = {"value": person.patient_id}
    if person.issuer:
        identifier["assigner"] = {"display": person.issuer}
    family, given, middle, prefix, suffix = person.name
    display = " ".join(part for part in (prefix, given, middle, family, suffix) if part)
    return {"type": "Patient", "identifier": identifier} | ({"display": display} if display else {})


def _accession(person: Person) -> dict[str, Any]:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}
    return {"type": {"coding": [kind]}, "value": person.accession_number}


def _study(view: ReportView) -> dict[str, Any]:
    return {"type": "ImagingStudy", "identifier": _uid(view.study_instance_uid)}


def _uid(uid: str) -> dict[str, str]:
    return {"system": _DICOM_UID, "value": f"urn:oid:{uid}"}


def _concept(code: Code) -> dict[str, Any]:
    if not code.value:
        return {"text": code.meaning or "Finding"}
    system = _SYSTEMS.get(code.scheme, f"urn:dicom:scheme:{code.scheme}")
    return {"coding": [{"system": system, "code": code.value, "display": code.meaning}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _SYSTEMS["UCUM"], "code": unit}


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    where = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": where}}


def _id(view: ReportView, what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{view.sop_instance_uid} {what}"))
