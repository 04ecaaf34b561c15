"""What the gateway does besides filing: a rendering in a real Orthanc, messages to receivers. Invented names."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
import pytest
from fhir.resources.bundle import Bundle
from gateway import PATIENT, REPORT, image, put, report, running, send
from pydicom.dataset import Dataset
from support import Orthanc, free_port, tool

from edge.errors import EnvironmentFailure
from edge.relink.rendering import BASIC_TEXT_SR
from edge.report.reader import read_report

RENDERING = 'rendering = "basic-text-sr"'


def held(orthanc: Orthanc) -> list[Dataset]:
    files = [orthanc.read(f"/instances/{each}/file") for each in orthanc.get("/instances")]
    return [pydicom.dcmread(io.BytesIO(file)) for file in files]


def test_the_plain_rendering_is_filed_beside_the_report_once_and_reads_well(tmp_path: Path, orthanc: Orthanc) -> None:
    put(orthanc, image())
    with running(tmp_path / "relink", orthanc.port, relink=RENDERING) as room:
        assert send(room.port, report(), report()) == [0, 0]
    (text,) = (each for each in held(orthanc) if each.SOPClassUID == BASIC_TEXT_SR)
    assert len(held(orthanc)) == 3
    assert {keyword: str(text[keyword].value) for keyword in PATIENT} == dict(PATIENT)
    assert text.ContentDate > "20240101"
    assert text.SeriesNumber == 9301
    (item,) = text.ContentSequence
    sentence = read_report(report()).sentence
    assert " ".join(item.TextValue.split())[: len(sentence)] == sentence
    path = tmp_path / "text.dcm"
    text.save_as(path)
    said = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    dumped = subprocess.run([tool("dsrdump"), str(path)], capture_output=True, text=True, check=False)
    assert dumped.returncode == 0
    assert "Basic Text SR Document" in dumped.stdout


def test_messages_go_into_folders_with_the_real_subject(tmp_path: Path, orthanc: Orthanc) -> None:
    put(orthanc, image())
    (tmp_path / "fhir").mkdir()
    (tmp_path / "hl7").mkdir()
    sections = f'[relink.fhir]\nfolder = "{tmp_path}/fhir"\n[relink.hl7]\nfolder = "{tmp_path}/hl7"'
    with running(tmp_path / "relink", orthanc.port, relink=sections) as room:
        assert send(room.port, report(), report()) == [0, 0]
    (bundle,) = (tmp_path / "fhir").iterdir()
    (message,) = (tmp_path / "hl7").iterdir()
    assert (bundle.name, message.name) == (f"{REPORT.report_uid}.json", f"{REPORT.report_uid}.hl7")
    assert (bundle.stat().st_mode & 0o777, message.stat().st_mode & 0o777) == (0o640, 0o640)
    Bundle.model_validate_json(bundle.read_text())
    assert PATIENT["PatientID"] in bundle.read_text()
    assert f"PID|1||{PATIENT['PatientID']}^^^{PATIENT['IssuerOfPatientID']}||INVENTED^Mary" in message.read_text()


@dataclass
class Receivers:
    """A FHIR server and an HL7 receiver; each answers what the test says."""

    fhir_status: int = 200
    hl7_answer: bytes = b"\x0bMSH|^~\\&|X\rMSA|AA|1\r\x1c\r"
    bundles: list[dict[str, object]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    fhir_port: int = 0
    hl7_port: int = 0

    def sections(self) -> str:
        return (
            f'[relink.fhir]\nhost = "127.0.0.1"\nport = {self.fhir_port}\n'
            f'[relink.hl7]\nhost = "127.0.0.1"\nport = {self.hl7_port}'
        )


@contextmanager
def receiving() -> Iterator[Receivers]:
    made = Receivers()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["Content-Type"]) == ("/fhir", "application/fhir+json")
            made.bundles.append(json.loads(body))
            self.send_response(made.fhir_status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                got = b""
                while not got.endswith(b"\x1c\r") and (part := connection.recv(65536)):
                    got += part
                made.messages.append(got)
                connection.sendall(made.hl7_answer)

    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)), threading.Thread(target=answer)]
    for thread in threads:
        thread.start()
    made.fhir_port, made.hl7_port = server.server_port, listener.getsockname()[1]
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(10)


def test_receivers_are_told_before_the_box_is_and_again_until_they_took_it(tmp_path: Path, orthanc: Orthanc) -> None:
    put(orthanc, image())
    with receiving() as made, running(tmp_path / "relink", orthanc.port, relink=made.sections()) as room:
        made.fhir_status = 503
        assert send(room.port, report()) == [0xA702]
        made.fhir_status, made.hl7_answer = 201, b"\x0bMSH|^~\\&|X\rMSA|AE|1\r\x1c\r"
        assert send(room.port, report()) == [0xA702]
        made.hl7_answer = b"no acknowledgement"
        assert send(room.port, report()) == [0xA702]
        made.hl7_answer = b"\x0bMSH|^~\\&|X\rMSA|AA|1\r\x1c\r"
        assert send(room.port, report()) == [0]
    assert len(held(orthanc)) == 2
    requests = {json.dumps([entry["request"] for entry in bundle["entry"]]) for bundle in made.bundles}  # type: ignore[attr-defined]
    assert (len(made.bundles), len(requests)) == (4, 1)
    assert all(each.startswith(b"\x0bMSH|") and each.endswith(b"\x1c\r") for each in made.messages)


def test_a_receiver_that_is_not_there_is_said_and_nobody_is_named(
    tmp_path: Path, orthanc: Orthanc, caplog: pytest.LogCaptureFixture
) -> None:
    put(orthanc, image())
    section = f'[relink.hl7]\nhost = "127.0.0.1"\nport = {free_port()}'
    with caplog.at_level("INFO", "edge"), running(tmp_path / "relink", orthanc.port, relink=section) as room:
        assert send(room.port, report()) == [0xA702]
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("edge"))
    assert "reason=hl7-unreachable" in said
    assert "INVENTED" not in said


def test_a_result_without_images_tells_nobody(tmp_path: Path, orthanc: Orthanc) -> None:
    with receiving() as made, running(tmp_path / "relink", orthanc.port, relink=made.sections()) as room:
        assert send(room.port, report()) == [0xA701]
    assert (made.bundles, made.messages) == ([], [])


def test_a_folder_that_is_not_there_is_said_at_start(tmp_path: Path, orthanc: Orthanc) -> None:
    with (
        pytest.raises(EnvironmentFailure, match="the folder is not there"),
        running(tmp_path / "relink", orthanc.port, relink='[relink.fhir]\nfolder = "nowhere"'),
    ):
        pass
