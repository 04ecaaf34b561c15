"""A hospital's day: a modality, a box, the gateway, a PACS, mutual TLS, and all that goes wrong. Names are invented.

Every study of the PACS ends with its images and one report for each, under its own patient, each once; also when
results come before images, the PACS restarts, the gateway is killed, two patients share a study, evidence never comes,
or a stranger knocks.
"""

from __future__ import annotations

import hashlib
import io
import random
import signal
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from acceptance.objects import chest_dx
from certificates import Authority, Pair
from gateway import RELINK_TOML, put, report, send, written
from pydicom.dataset import Dataset
from support import EDGE_TOML, REPOSITORY, Box, Orthanc, free_port, wait_until

from edge import rooms
from edge.config import load
from edge.errors import PeerFailure
from edge.journal import Journal, views
from edge.scu import Peer

KINDS = (
    ("DX", "1.2.840.10008.5.1.4.1.1.1.1"),
    ("CR", "1.2.840.10008.5.1.4.1.1.1"),
    ("CT", "1.2.840.10008.5.1.4.1.1.2"),
    ("MR", "1.2.840.10008.5.1.4.1.1.4"),
    ("US", "1.2.840.10008.5.1.4.1.1.6.1"),
)
NAMES = ("INVENTED^Ann", "INVENTED^Åsa", "INVENTED^Οδυσσέας", "INVENTED^山田=山田^太郎", "INVENTED^O'Neil^J^^Dr")
KILLS = 4


@dataclass
class Study:
    """The images of one invented patient."""

    uid: str
    images: list[Dataset]


class Gateway:
    """`edge relink` as a process of its own, after each start at the same port."""

    def __init__(self, folder: Path, pacs: int, own: Pair, box: Pair, ca: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._file, self._pacs = folder / "edge.toml", pacs
        self._tls = tls(own, ca)
        der = ssl.PEM_cert_to_DER_cert(box.certificate.read_text())
        self._pin = f'certificate = "sha256:{hashlib.sha256(der).hexdigest()}"'
        self.log = folder / "relink.log"

    def start(self, evidence_wait: int = 3600) -> None:
        lines = f"evidence_wait_seconds = {evidence_wait}\n{self._tls}"
        text = RELINK_TOML.format(port=self._pacs, relink=lines, box=self._pin, pacs="")
        self._file.write_text(text.replace("port = 0", f"port = {self.port}"))
        command = [sys.executable, "-m", "edge", "relink", "--config", str(self._file)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stderr=log, stdout=log)
        settings = load(self._file)
        wait_until(
            lambda: (found := rooms.announced(settings, "relink")) and found["pid"] == self._process.pid,
            what="the gateway",
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)


def tls(pair: Pair, ca: Path) -> str:
    return f'tls = {{ certificate = "{pair.certificate}", key = "{pair.key}", ca = "{ca}" }}'


def study(number: int) -> Study:
    """One to three small images of one modality, of a patient of its own."""
    modality, sop_class = KINDS[number % len(KINDS)]
    uid, pixels = f"1.2.826.0.1.3680043.8.498.20.{number}", np.random.default_rng(number)
    images = []
    for index in range(number % 3 + 1):
        made = chest_dx(
            pixels.integers(0, 4096, (256, 240)).astype(np.uint16), sop_instance_uid=f"{uid}.1.{index}",
            SOPClassUID=sop_class, Modality=modality, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1",
            SpecificCharacterSet="ISO_IR 192", PatientName=NAMES[number % len(NAMES)],
            PatientID=f"INVENTED-{number:05d}", AccessionNumber=f"INVENTED-A{number:04d}", StudyID=f"{number}",
        )  # fmt: skip
        made.file_meta.MediaStorageSOPClassUID = sop_class
        images.append(made)
    return Study(uid, images)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    folder = tmp_path / "pacs"
    folder.mkdir()
    server = Orthanc(folder, DefaultEncoding="Utf8", OverwriteInstances=True)
    yield server
    server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def gateway(tmp_path: Path, pacs: Orthanc, authority: Authority) -> Iterator[Gateway]:
    own, box = authority.pair("relink", "127.0.0.1"), authority.pair("box")
    made = Gateway(tmp_path / "relink", pacs.port, own, box, authority.ca)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 100])
def test_every_study_ends_with_its_reports_whatever_happens(
    tmp_path: Path, box: Callable[..., Box], pacs: Orthanc, gateway: Gateway, authority: Authority, count: int
) -> None:
    day = [study(number) for number in range(count)]
    shared, lost = study(count), study(count + 1)
    started = box(
        text=settings(gateway.port, Pair(tmp_path / "ca" / "box.pem", tmp_path / "ca" / "box.key"), authority)
    )
    started.start()
    early, late = day[: count // 2], day[count // 2 :]
    put(pacs, *(image for each in early for image in each.images))
    put(pacs, *shared.images, other_patient(shared))
    put(pacs, other_image(lost))
    push(started, tmp_path, [image for each in (*day, shared, lost) for image in each.images])
    results = sum(len(each.images) for each in day)
    journal = Journal(started.settings.journal)
    try:
        knock(gateway, authority, tmp_path)
        go_on, there = random.Random(count), sum(len(each.images) for each in early)
        wait_until(lambda: sent(journal) >= results // 5, 300, "the first results")
        for turn in range(KILLS):  # the second half of the images comes while the gateway is killed again and again
            some = late[turn * len(late) // KILLS : (turn + 1) * len(late) // KILLS]
            put(
                pacs, *go_on.sample([image for each in some for image in each.images], sum(len(e.images) for e in some))
            )
            there += sum(len(each.images) for each in some)
            least = min(there, sent(journal) + 1)
            gateway.kill()
            gateway.start()
            if turn == 1:
                pacs.stop()
                pacs.start()
            wait_until(lambda least=least: sent(journal) >= least, 120, "that it goes on")
        wait_until(lambda: sent(journal) == results, 600, "every result in the PACS")
        check_filed(pacs, day, journal)
        check_problems(started, journal, gateway, shared, lost)
    finally:
        journal.close()
    assert "INVENTED" not in gateway.log.read_text() + started.log.read_text()


def settings(port: int, own: Pair, authority: Authority) -> str:
    """The box's: everything is analysed, everything is told, results go to the gateway by mutual TLS."""
    text = EDGE_TOML.format(port=port).replace('kind = "deidentified"', 'kind = "relink"')
    text = text.replace('when = { Modality = ["CR", "DX"] }\n', "")
    sends = 'send = ["succeeded", "partial", "failed", "not-attempted"]\nallow_demonstration = true'
    text = text.replace('deliver = ["archive"]', f'deliver = ["archive"]\n{sends}')
    return text.replace('ae_title = "ARCHIVE"', f'ae_title = "RELINK"\n{tls(own, authority.ca)}')


def push(box: Box, folder: Path, images: list[Dataset]) -> None:
    sending = folder / "sending"
    sending.mkdir()
    for number, image in enumerate(images):
        (sending / f"{number}.dcm").write_bytes(written(image))
    assert box.push(*sorted(sending.iterdir())).returncode == 0


def knock(gateway: Gateway, authority: Authority, folder: Path) -> None:
    """A certificate of the same CA that is not the box's, and one of another CA: nobody is let in."""
    foreign = Authority(folder / "foreign", "INVENTED OTHER CA")
    for pair in (authority.pair("stranger"), foreign.pair("stranger", "127.0.0.1")):
        context = ssl.create_default_context(cafile=str(authority.ca))
        context.load_cert_chain(pair.certificate, pair.key)
        with pytest.raises(PeerFailure):
            send(gateway.port, report(), peer=Peer("127.0.0.1", gateway.port, "RELINK", "EDGE", tls=context))


def sent(journal: Journal) -> int:
    return views.counts(journal)["delivery"]["SENT"]


def other_patient(shared: Study) -> Dataset:
    """An image of somebody else under the same Study Instance UID: a mistake of the hospital's."""
    (image, *_) = study(int(shared.uid.rpartition(".")[2])).images
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{shared.uid}.9"
    image.PatientID, image.PatientName = "INVENTED-OTHER", "INVENTED^Other"
    return image


def other_image(lost: Study) -> Dataset:
    """The study is there, the images that were analysed never come."""
    (image, *_) = study(int(lost.uid.rpartition(".")[2])).images
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{lost.uid}.9"
    return image


def check_filed(pacs: Orthanc, day: list[Study], journal: Journal) -> None:
    """Each study once, under its patient, with its images and one report for each, and nothing else."""
    held = [pydicom.dcmread(io.BytesIO(pacs.read(f"/instances/{each}/file"))) for each in pacs.get("/instances")]
    wanted = {each.uid: each for each in day}
    assert max(Counter(str(each.SOPInstanceUID) for each in held).values()) == 1
    assert not [each for each in held if not each.PatientID]
    filed = [each for each in held if str(each.StudyInstanceUID) in wanted]
    for each in filed:
        image = wanted[str(each.StudyInstanceUID)].images[0]
        assert (each.PatientID, each.PatientName, each.AccessionNumber) == (
            image.PatientID, image.PatientName, image.AccessionNumber,
        )  # fmt: skip
    for each in day:
        mine = [one for one in filed if str(one.StudyInstanceUID) == each.uid]
        images = sorted(str(image.SOPInstanceUID) for image in each.images)
        assert sorted(str(one.SOPInstanceUID) for one in mine if one.Modality != "SR") == images
        assert sorted(source(one) for one in mine if one.Modality == "SR") == images
    studies = [one["MainDicomTags"]["StudyInstanceUID"] for one in pacs.get("/studies?expand")]
    assert all(studies.count(uid) == 1 for uid in wanted)
    reports = {str(one.SOPInstanceUID) for one in filed if one.Modality == "SR"}
    assert reports == {each.sop_instance_uid for each in views.deliveries(journal, "SENT", 10_000)}


def source(result: Dataset) -> str:
    series = result.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def check_problems(box: Box, journal: Journal, gateway: Gateway, shared: Study, lost: Study) -> None:
    """Two patients: told at once. Evidence: waited for, then told. Nothing of either is stored."""

    def states(of: Study) -> set[str]:
        rows = journal.database.rows(
            "SELECT delivery.state || ' ' || delivery.reason AS told FROM delivery JOIN job ON job.id = delivery.job "
            "JOIN unit ON unit.id = job.unit WHERE unit.study_instance_uid = ?",
            (of.uid,),
        )
        return {row["told"] for row in rows}

    wait_until(lambda: states(shared) == {"FAILED status-C101"}, 60, "two patients are told")
    wait_until(lambda: states(lost) == {"PENDING status-A701"}, 60, "evidence is waited for")
    gateway.kill()
    gateway.start(evidence_wait=0)
    journal.database.execute("UPDATE delivery SET not_before = 0")  # hours would pass until its next time
    wait_until(lambda: states(lost) == {"FAILED status-C102"}, 60, "missing evidence is told")
    assert {each["state"] for each in box.json("deliveries", "list", "--limit", "1000")} == {"SENT", "FAILED"}
