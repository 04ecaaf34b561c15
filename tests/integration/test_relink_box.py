"""The whole way: modality, box, gateway by mutual TLS, a real Orthanc. Identities are invented."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from acceptance.objects import chest_dx
from certificates import Authority, Pair
from gateway import PATIENT, put, running, written
from pydicom.dataset import Dataset
from support import EDGE_TOML, Box, Orthanc, wait_until


def xray(number: int, study: str) -> Dataset:
    """A chest X-ray of the invented patient whose pixels are noise with a seed."""
    pixels = np.random.default_rng(number).integers(0, 4096, (640, 600)).astype(np.uint16)
    return chest_dx(pixels, **PATIENT, StudyInstanceUID=study)


def tls(pair: Pair, ca: Path) -> str:
    return f'tls = {{ certificate = "{pair.certificate}", key = "{pair.key}", ca = "{ca}" }}'


def test_results_wait_for_their_images_and_are_filed_beside_them(
    tmp_path: Path, box: Callable[..., Box], orthanc: Orthanc
) -> None:
    authority = Authority(tmp_path / "ca")
    sides = tls(authority.pair("relink", "127.0.0.1"), authority.ca), tls(authority.pair("box"), authority.ca)
    images = [xray(number, f"1.2.826.0.1.3680043.8.498.7{number // 2}") for number in range(4)]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(images))]
    for path, dataset in zip(paths, images, strict=True):
        path.write_bytes(written(dataset))
    with running(tmp_path / "relink", orthanc.port, relink=sides[0]) as room:
        text = EDGE_TOML.format(port=room.port).replace('kind = "deidentified"', 'kind = "relink"')
        text = text.replace('deliver = ["archive"]', 'deliver = ["archive"]\nallow_demonstration = true')
        started = box(text=text.replace('ae_title = "ARCHIVE"', f'ae_title = "RELINK"\n{sides[1]}')).start()
        assert started.push(*paths).returncode == 0
        wait_until(lambda: _deliveries(started) == [("PENDING", "status-A701")] * 4, 60, "four results that wait")
        assert orthanc.get("/instances") == []
        put(orthanc, *images)
        wait_until(lambda: _deliveries(started) == [("SENT", "")] * 4, 60, "four results that are sent")
    studies = orthanc.get("/studies?expand")
    assert sorted(len(study["Series"]) for study in studies) == [3, 3]
    assert {study["PatientMainDicomTags"]["PatientName"] for study in studies} == {PATIENT["PatientName"]}
    assert len(orthanc.get("/instances")) == 8
    reports = [each for each in _instances(orthanc) if each.Modality == "SR"]
    assert {str(each.AccessionNumber) for each in reports} == {PATIENT["AccessionNumber"]}
    assert {str(_source(each)) for each in reports} == {str(each.SOPInstanceUID) for each in images}


def _deliveries(box: Box) -> list[tuple[str, str]]:
    return [(each["state"], each["reason"]) for each in box.json("deliveries", "list")]


def _instances(orthanc: Orthanc) -> list[Dataset]:
    files = [orthanc.read(f"/instances/{each}/file") for each in orthanc.get("/instances")]
    return [pydicom.dcmread(io.BytesIO(file)) for file in files]


def _source(report: Dataset) -> str:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
