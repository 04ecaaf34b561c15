"""Results from a box, filed by a real Orthanc under the right patient beside their images. Identities are invented."""

from __future__ import annotations

import dataclasses
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from acceptance.objects import chest_dx
from gateway import PATIENT, RELINK_TOML, REPORT, STUDY, image, put, report, running, send
from golden.sr_cases import IMAGE, result
from pydicom.dataset import Dataset
from support import REPOSITORY, Orthanc, free_port, tool, wait_until

from edge import rooms
from edge.config import load
from edge.dimse import RELINK_VERSION_NAME
from edge.errors import PeerFailure
from edge.records import UID, Source
from edge.relink.room import Room
from edge.scu import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, Peer, Scu


@pytest.fixture
def relink(tmp_path: Path, orthanc: Orthanc) -> Iterator[Room]:
    """A gateway in front of an empty Orthanc; evidence may be late."""
    with running(tmp_path, orthanc.port) as room:
        yield room


def stored(orthanc: Orthanc, modality: str = "SR") -> list[Dataset]:
    """What Orthanc holds of a modality, read from its files."""
    files = [orthanc.read(f"/instances/{each['ID']}/file") for each in orthanc.get("/instances?expand")]
    datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    return [each for each in datasets if each.Modality == modality]


def counts(orthanc: Orthanc) -> tuple[int, int, int]:
    """Patients, studies, instances."""
    numbers = orthanc.get("/statistics")
    return numbers["CountPatients"], numbers["CountStudies"], numbers["CountInstances"]


def test_a_result_is_filed_beside_its_image_under_its_patient(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image())
    assert send(relink.port, report()) == [0]
    assert counts(orthanc) == (1, 1, 2)
    (filed,) = stored(orthanc)
    assert {keyword: str(filed[keyword].value) for keyword in PATIENT} == dict(PATIENT)
    assert filed.SOPInstanceUID == REPORT.report_uid
    assert filed.ContentDate > "20240101"
    assert "PatientIdentityRemoved" not in filed
    assert "DeidentificationMethodCodeSequence" not in filed


def test_a_repeated_result_is_stored_once(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image())
    assert send(relink.port, report(), report()) == [0, 0]
    (before,) = stored(orthanc)
    assert send(relink.port, report()) == [0]
    assert stored(orthanc) == [before]
    assert counts(orthanc) == (1, 1, 2)


def test_a_result_before_its_images_waits_at_the_box(relink: Room, orthanc: Orthanc) -> None:
    assert send(relink.port, report()) == [0xA701]
    assert counts(orthanc) == (0, 0, 0)
    put(orthanc, image(SOPInstanceUID="1.2.826.0.1.3680043.8.498.799"))
    assert send(relink.port, report()) == [0xA701]
    assert stored(orthanc) == []
    put(orthanc, image())
    assert send(relink.port, report()) == [0]
    assert counts(orthanc) == (1, 1, 3)


@pytest.mark.parametrize("missing", ["SOPInstanceUID", "SeriesInstanceUID"])
def test_evidence_that_does_not_come_is_a_contradiction(tmp_path: Path, orthanc: Orthanc, missing: str) -> None:
    put(orthanc, image(**{missing: "1.2.826.0.1.3680043.8.498.799"}))
    with running(tmp_path, orthanc.port, relink="evidence_wait_seconds = 0") as room:
        assert send(room.port, report()) == [0xC102]
    assert stored(orthanc) == []


def test_evidence_of_another_class_is_a_contradiction(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image())
    other = dataclasses.replace(IMAGE, sop_class_uid=UID("1.2.840.10008.5.1.4.1.1.2"))
    assert send(relink.port, report(result(sources=(other,)))) == [0xC102]
    assert stored(orthanc) == []


def test_two_patients_with_one_study_uid_are_told_and_nothing_is_stored(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image(), image(PatientID="INVENTED-78", SOPInstanceUID="1.2.826.0.1.3680043.8.498.798"))
    assert send(relink.port, report()) == [0xC101]
    assert stored(orthanc) == []


def test_a_report_on_a_whole_series_needs_each_of_its_images(relink: Room, orthanc: Orthanc) -> None:
    sources = [dataclasses.replace(IMAGE, sop_instance_uid=UID(f"1.2.826.0.1.3680043.8.498.8.{n}")) for n in range(130)]
    put(orthanc, *(_small(source) for source in sources[:-1]))
    whole = report(result(sources=tuple(sources)))
    assert send(relink.port, whole) == [0xA701]
    put(orthanc, _small(sources[-1]))
    assert send(relink.port, whole) == [0]
    assert counts(orthanc) == (1, 1, 131)


def _small(source: Source) -> Dataset:
    dataset = image(SOPInstanceUID=source.sop_instance_uid)
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = bytes(128)
    return dataset


def test_a_report_that_names_a_patient_is_refused(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image())
    dataset = pydicom.dcmread(io.BytesIO(report()))
    dataset.PatientName = "INVENTED^Somebody"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    assert send(relink.port, buffer.getvalue()) == [0xA900]
    assert stored(orthanc) == []


def test_an_image_cannot_come_through_the_door(relink: Room) -> None:
    buffer = io.BytesIO()
    chest_dx(np.zeros((8, 8), np.uint16)).save_as(buffer, enforce_file_format=True)
    with pytest.raises(PeerFailure, match="association"):
        send(relink.port, buffer.getvalue())


@pytest.fixture(scope="module")
def unicode_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc that answers in UTF-8; by default it answers in Latin 1 and drops what that cannot write."""
    server = Orthanc(tmp_path_factory.mktemp("unicode"), DefaultEncoding="Utf8")
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
        ("Müller^Jörg", ["ISO_IR 100"]),
        ("Wang^XiaoDong=王^小東", ["ISO_IR 192"]),
    ],
)
def test_a_name_in_any_script_is_the_same_beside_its_image(
    tmp_path: Path, unicode_orthanc: Orthanc, name: str, terms: list[str]
) -> None:
    unicode_orthanc.empty()
    put(unicode_orthanc, image(SpecificCharacterSet=terms, PatientName=name))
    with running(tmp_path, unicode_orthanc.port) as room:
        assert send(room.port, report()) == [0]
    assert [str(each.PatientName) for each in stored(unicode_orthanc)] == [name]
    assert counts(unicode_orthanc) == (1, 1, 2)


def test_a_name_that_the_pacs_lost_on_the_way_is_not_stored(relink: Room, orthanc: Orthanc) -> None:
    put(orthanc, image(SpecificCharacterSet="ISO_IR 192", PatientName="Wang^XiaoDong=王^小東"))
    assert send(relink.port, report()) == [0xA702]
    assert stored(orthanc) == []


def test_dciodvfy_finds_no_error_after_relink(relink: Room, orthanc: Orthanc, tmp_path: Path) -> None:
    put(orthanc, image())
    assert send(relink.port, report()) == [0]
    file = tmp_path / "filed.dcm"
    stored(orthanc)[0].save_as(file)
    said = subprocess.run([tool("dciodvfy"), str(file)], capture_output=True, text=True, check=False).stderr
    assert "Comprehensive3DSR" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert "needed to build DICOMDIR" not in said


def test_the_gateway_answers_an_echo_and_says_what_it_is(relink: Room) -> None:
    with Scu(Peer("127.0.0.1", relink.port, "RELINK", "EDGE"), [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN)]) as scu:
        assert scu.echo() == 0
        assert scu.announced == RELINK_VERSION_NAME


def test_a_pacs_that_is_down_keeps_results_at_the_box(tmp_path: Path) -> None:
    with running(tmp_path, free_port()) as room:
        assert send(room.port, report()) == [0xA702]


class _Process:
    """`edge relink` as a process of its own that can be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.file = folder / "edge.toml"
        self.file.write_text(RELINK_TOML.format(port=port, relink="", box="", pacs=""))
        self.log = folder / "relink.log"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "edge", "relink", "--config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stderr=log, stdout=log)
        settings = load(self.file)
        facts = wait_until(
            lambda: (found := rooms.announced(settings, "relink")) and found["pid"] == self.process.pid and found,
            what="the gateway",
        )
        self.port = int(facts["port"])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def process(tmp_path: Path, orthanc: Orthanc) -> Iterator[_Process]:
    started = _Process(tmp_path, orthanc.port)
    yield started
    if started.process.poll() is None:
        started.kill()


def test_killed_at_any_moment_nothing_is_lost_doubled_or_half(process: _Process, orthanc: Orthanc) -> None:
    put(orthanc, image())
    reports = [
        report(dataclasses.replace(REPORT, report_uid=UID(f"2.25.4242{number}"), revision=number + 1))
        for number in range(12)
    ]
    waiting, kills = list(reports), 0
    while waiting:
        stop_after = {0: 0.0, 1: 0.01, 2: 0.03}.get(kills)
        answered = _send_until_killed(process, waiting, stop_after)
        waiting = waiting[answered:]
        if stop_after is not None:
            kills += 1
            process.start()
    assert kills == 3
    assert sorted(each.SOPInstanceUID for each in stored(orthanc)) == sorted(f"2.25.4242{n}" for n in range(12))
    assert {str(each.PatientID) for each in stored(orthanc)} == {PATIENT["PatientID"]}
    assert process.end() == 0
    assert PATIENT["PatientID"] not in process.log.read_text()
    assert sorted(path.name for path in (process.file.parent / "root").rglob("*")) == ["relink.json", "run"]


def _send_until_killed(process: _Process, waiting: list[bytes], stop_after: float | None) -> int:
    """How many were answered with Success before the gateway was killed `stop_after` seconds from now."""
    import threading

    timer = threading.Timer(stop_after or 0.0, process.kill)
    if stop_after is not None:
        timer.start()
    answered = 0
    try:
        for each in waiting:
            assert send(process.port, each) == [0]
            answered += 1
    except PeerFailure:
        assert stop_after is not None
    if stop_after is not None:
        timer.join()
    return answered


def test_the_command_needs_its_section(
    tmp_path: Path, run_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "edge.toml").write_text("")
    ended = run_edge("relink", "--config", tmp_path / "edge.toml")
    assert ended.returncode == 1
    assert "E-CONFIG: there is no gateway to run [relink]; try: " in ended.stderr
    assert STUDY not in ended.stderr
