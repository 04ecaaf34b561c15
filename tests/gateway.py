"""A relink gateway run by a thread, a box's side of it, and images for the PACS. All identities are invented."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
from acceptance.objects import chest_dx
from golden import sr_cases
from golden.sr_cases import DETECTED, IMAGE, STUDY, result
from pydicom.dataset import Dataset
from support import Orthanc

from edge.config import load
from edge.part10 import split
from edge.records import Result
from edge.relink.room import Room
from edge.report.sr import build_sr
from edge.scu import Peer, Scu

RELINK_TOML = """
[box]
root = "root"
[relink]
port = 0
{relink}
[[relink.boxes]]
alias = "ward"
ae_title = "EDGE"
hosts = ["127.0.0.1"]
{box}
[relink.pacs]
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
{pacs}
"""
PATIENT = MappingProxyType(
    {
        "PatientName": "INVENTED^Mary", "PatientID": "INVENTED-77", "IssuerOfPatientID": "INVENTED-HOSPITAL",
        "PatientBirthDate": "20210203", "PatientSex": "F", "StudyDate": "20240506", "StudyTime": "070809.123",
        "AccessionNumber": "INVENTED-ACC", "StudyID": "INVENTED-S1", "ReferringPhysicianName": "INVENTED^Referrer",
        "StudyDescription": "Invented chest",
    }
)  # fmt: skip
REPORT = result()


@contextmanager
def running(folder: Path, port: int, *, relink: str = "", box: str = "", pacs: str = "") -> Iterator[Room]:
    """The relink room of an edge.toml in `folder`, with the PACS at `port`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "edge.toml"
    file.write_text(RELINK_TOML.format(port=port, relink=relink, box=box, pacs=pacs))
    room = Room(load(file))
    room.start()
    stopping = threading.Event()
    thread = threading.Thread(target=room.run, args=(stopping,))
    thread.start()
    try:
        yield room
    finally:
        stopping.set()
        room.wake()
        thread.join(30)
        room.stop()
        assert not thread.is_alive()


def send(port: int, *files: bytes, peer: Peer | None = None) -> list[int]:
    """The statuses that a box gets for DICOM files of its own, sent on one association."""
    parts = [split(each) for each in files]
    proposals = [(each.sop_class_uid, each.transfer_syntax_uid) for each in parts]
    with Scu(peer or Peer("127.0.0.1", port, "RELINK", "EDGE"), proposals) as scu:
        return [
            scu.store(each.sop_class_uid, each.sop_instance_uid, each.transfer_syntax_uid, each.data_set)
            for each in parts
        ]


def report(case: Result = REPORT) -> bytes:
    """A whole SR as a box writes it."""
    return build_sr(case, box=sr_cases.BOX)


def image(**changes: object) -> Dataset:
    """The image that `REPORT` is about, of the invented patient."""
    dataset = chest_dx(np.zeros((64, 64), np.uint16), sop_instance_uid=IMAGE.sop_instance_uid)
    identity = {**PATIENT, "StudyInstanceUID": STUDY, "SeriesInstanceUID": IMAGE.series_instance_uid}
    for keyword, value in {**identity, **changes}.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def put(orthanc: Orthanc, *datasets: Dataset) -> None:
    """Store images in the PACS by C-STORE, as a modality does."""
    for dataset in datasets:
        file = written(dataset)
        parts = split(file)
        peer = Peer("127.0.0.1", orthanc.port, "ARCHIVE", "MODALITY")
        with Scu(peer, [(parts.sop_class_uid, parts.transfer_syntax_uid)]) as scu:
            assert (
                scu.store(parts.sop_class_uid, parts.sop_instance_uid, parts.transfer_syntax_uid, parts.data_set) == 0
            )


def written(dataset: Dataset) -> bytes:
    """The data set as a whole DICOM file."""
    import io

    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


__all__ = ["DETECTED", "IMAGE", "PATIENT", "REPORT", "STUDY", "image", "put", "report", "running", "send", "written"]
