"""Patients whose identifying values do their worst: an endless row of data sets, the same for the same number.

All identities are invented. `Patient.expected` is the reason for which a result on this image has to be HELD; empty
where it must not be.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from golden.sr_cases import PACKAGE
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ROOT = "1.2.826.0.1.3680043.8.498"
_SYLLABLES = (
    "BAL",
    "DER",
    "FIM",
    "GOR",
    "HUL",
    "JAX",
    "KIP",
    "LOM",
    "NEV",
    "PYR",
    "QUO",
    "RIS",
    "TAV",
    "VOX",
    "WEM",
    "ZUN",
)
_OUR_WORDS = (
    "Pneumonia", "Present", "Detected", "Threshold", "Percent", "Pleural^Effusion", "Comment", "Finding^Source",
    "Device", "Edge", "Invented^Imaging", "Looked^For", "Left^Side", "Not^Detected", "POLYLINE", "INVERSE",
    PACKAGE.name, PACKAGE.vendor, "cpuexecutionprovider", "sha256", "Lung", "Volume", "SUCCEEDED", "demonstration",
)  # fmt: skip
_FOREIGN = (
    "\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
    "\u042e\u0440\u0438\u0439^\u041c",
    "\U0001f600\U0001f480^\U0001f9e0",
    "\u5f20\u4e09^\u56db",
    "\u00c4rzte^\u00d6zg\u00fcr",
    "\u0645\u062d\u0645\u062f^\u0639\u0644\u064a",
    "e\u0301^\u200d\u202e",
)
_PRIVATE = "INVENTED MAKER"


@dataclass(frozen=True)
class Patient:
    """One image of somebody who does not exist."""

    dataset: Dataset
    expected: str


def patient(number: int) -> Patient:
    """The patient with this number; every kind of malice comes again and again."""
    chance = random.Random(number)
    dataset = _image(number)
    name = _name(chance)
    patient_id, birth = (
        _identifier(chance),
        f"{chance.randint(1900, 2020)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}",
    )
    accession = str(chance.randint(10**6, 10**9)) if chance.random() < 0.6 else f"ACC{chance.randint(1000, 99999)}"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = name, patient_id, birth
    dataset.AccessionNumber, dataset.StudyID = accession[:16], patient_id[:16]
    dataset.StudyDate = dataset.ContentDate = (
        f"20{chance.randint(10, 26)}0{chance.randint(1, 9)}1{chance.randint(0, 9)}"
    )
    dataset.ReferringPhysicianName, dataset.OperatorsName = _name(chance), _name(chance)
    dataset.PatientComments = dataset.ImageComments = f"{name} {patient_id} lives beside the harbour"
    dataset.RetrieveAETitle = dataset.StationName = name.encode("ascii", "ignore").decode()[:16] or "NOBODY"
    dataset.SeriesDescription = dataset.ProtocolName = f"{name}"[:60]
    _hide(dataset, chance, name, patient_id, birth)
    expected = _in_uid(dataset, chance, patient_id, birth, accession)
    return Patient(dataset, expected)


def _image(number: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.StudyInstanceUID = f"{ROOT}.31.{number % 97}.7"
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        f"{dataset.StudyInstanceUID}.1",
        f"{dataset.StudyInstanceUID}.1.1",
    )
    dataset.Modality, dataset.PatientOrientation = "DX", ["L", "F"]
    dataset.Rows, dataset.Columns, dataset.PhotometricInterpretation = 1000, 1200, "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    return dataset


def _name(chance: random.Random) -> str:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(_OUR_WORDS)
    if kind == 1:
        return chance.choice(_FOREIGN)
    if kind == 2:
        return "^".join(("".join(chance.choices(_SYLLABLES, k=20))[:63], "Q"))
    if kind == 3:  # numbers of the report itself
        return chance.choice(
            ("0.9312", "1000^1200", "20000101", "9001", "93.12", "000000", "2048^4096", "0.5", "200\\300")
        )
    if kind == 4:
        return f"INVENTED^{''.join(chance.choices(_SYLLABLES, k=2))}"
    return "".join(chance.choices(_SYLLABLES, k=3)) + chance.choice(("", "^MD", "^^DR", " "))


def _identifier(chance: random.Random) -> str:
    kind = chance.randrange(6)
    if kind == 0:
        return str(chance.randint(1000, 99_999_999))
    if kind == 1:
        return "".join(chance.choices("ABCDEFGHKLMNPQ0123456789", k=64))
    if kind == 2:
        return chance.choice(
            ("233604007", "60046008", "126000", "2.25", "1.2.840.10008", "0.9312", "9001", "SCT", "CPU")
        )
    if kind == 3:
        return f"{chance.randint(100, 999)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"
    if kind == 4:
        return f"MRN {chance.randint(1, 10**9):010}"
    return "\u75c5\u9662-" + str(chance.randint(100, 9999))


def _hide(dataset: Dataset, chance: random.Random, name: str, patient_id: str, birth: str) -> None:
    """The same values where nobody looks: private and nested elements, overlays, requests, numbers."""
    inner = Dataset()
    inner.PatientName, inner.PatientID, inner.ScheduledStationAETitle = name, patient_id, "INVENTED"
    dataset.RequestAttributesSequence = Sequence([inner])
    deeper = Dataset()
    deeper.OtherPatientIDsSequence = Sequence([inner])
    dataset.ReferencedStudySequence = Sequence([deeper])
    block = dataset.private_block(0x0019, _PRIVATE, create=True)
    block.add_new(0x01, "LO", name[:64])
    block.add_new(0x02, "SQ", Sequence([inner]))
    block.add_new(0x03, "UN", f"{name}{patient_id}".encode())
    dataset.add_new(0x60004000, "LT", f"{name} {birth}")
    dataset.add_new(0x60001500, "LO", patient_id[:64])
    if chance.random() < 0.15:
        dataset.WindowCenter = birth
    if chance.random() < 0.15 and patient_id.isdigit():
        dataset.RescaleIntercept = f"-{patient_id}"
    if chance.random() < 0.1:
        dataset.PatientOrientation = [name[:16].upper().replace("\\", "") or "L", "F"]


def _in_uid(dataset: Dataset, chance: random.Random, patient_id: str, birth: str, accession: str) -> str:
    """Sometimes a device builds its UIDs from what it knows: then the result has to be HELD."""
    kind = chance.randrange(12)
    digits = {0: patient_id, 1: birth, 2: accession}.get(kind, "").lstrip("0")
    if digits.isascii() and digits.isdigit():
        keyword = chance.choice(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        setattr(dataset, keyword, f"{ROOT}.{chance.randint(1, 9)}{digits}.{chance.randint(1, 99)}")
    known = (patient_id, birth, accession)
    uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    return "identity-in-uid" if any(run in uid for each in known for run in _runs(each) for uid in uids) else ""


def _runs(text: str) -> set[str]:
    """What the gate means by an identifier inside a UID, written anew: its digits, at least five."""
    bare = "".join(part for part in text if part not in "-/._ ")
    found = set()
    for each in (text, bare):
        run = ""
        for part in f"{each}x":
            if part.isascii() and part.isdigit():
                run += part
                continue
            found |= {run, run.lstrip("0")}
            run = ""
    if bare.isascii() and bare.isdigit():
        found.add(text)
    return {run for run in found if len(run) >= 5 and run.strip(".")}
