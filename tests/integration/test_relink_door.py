"""Who gets through the door, and archives that answer late, too much, in their own way, or nonsense."""

from __future__ import annotations

import hashlib
import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificates import Authority, Pair
from gateway import IMAGE, PATIENT, REPORT, STUDY, report, running, send
from golden.sr_cases import result, slices
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, StudyRootQueryRetrieveInformationModelFind

from edge import dimse
from edge.dimse import Stream
from edge.errors import PeerFailure
from edge.relink.room import Room
from edge.scu import Peer, Scu


@dataclass
class Pacs:
    """pynetdicom as an archive: `studies` and `instances` are what it answers, `status` what a C-STORE gets."""

    studies: list[Dataset] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    status: int = 0
    lists: bool = True
    before_store: Callable[[], object] = lambda: None
    port: int = 0
    asked: list[Dataset] = field(default_factory=list)
    got: list[Dataset] = field(default_factory=list)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.asked.append(query)
        answers = self.studies if query.QueryRetrieveLevel == "STUDY" else list(self._images(query))
        for each in answers:
            yield 0xFF00, each

    def store(self, event: evt.Event) -> int:
        self.before_store()
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.got.append(dataset)
        return self.status

    def _images(self, query: Dataset) -> Iterator[Dataset]:
        key = query.get("SOPInstanceUID") or ""
        wanted = list(key) if not isinstance(key, str) else [key] if key else self.instances
        for uid in self.instances:
            if uid in wanted and (self.lists or len(wanted) == 1 or not key):
                answer = Dataset()
                answer.StudyInstanceUID, answer.SeriesInstanceUID, answer.SOPInstanceUID = STUDY, "1.2", uid
                yield answer


@contextmanager
def listening(pacs: Pacs, syntaxes: Sequence[str] = (ExplicitVRLittleEndian,)) -> Iterator[Pacs]:
    ae = AE("ARCHIVE")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind, list(syntaxes))
    ae.add_supported_context(Comprehensive3DSRStorage, list(syntaxes))
    handlers = [(evt.EVT_C_FIND, pacs.find), (evt.EVT_C_STORE, pacs.store)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    pacs.port = server.socket.getsockname()[1]
    try:
        yield pacs
    finally:
        server.shutdown()


def study(**changes: object) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = STUDY
    for keyword, value in {**PATIENT, **changes}.items():
        setattr(dataset, keyword, value)
    return dataset


def known() -> Pacs:
    """An archive that has the study and the image of `REPORT`."""
    return Pacs(studies=[study()], instances=[IMAGE.sop_instance_uid])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_archive_of_either_syntax_gets_the_result(tmp_path: Path, syntax: str) -> None:
    with listening(known(), [syntax]) as pacs, running(tmp_path, pacs.port) as room:
        assert send(room.port, report()) == [0]
    assert [str(each.PatientName) for each in pacs.got] == [PATIENT["PatientName"]]
    assert pacs.got[0].file_meta.TransferSyntaxUID == syntax
    assert {each.QueryRetrieveLevel for each in pacs.asked} == {"STUDY", "IMAGE"}


@pytest.mark.parametrize("status", [0xB000, 0xA700, 0xA778, 0xC211])
def test_what_the_archive_answers_is_passed_on(tmp_path: Path, status: int) -> None:
    pacs = known()
    pacs.status = status
    with listening(pacs), running(tmp_path, pacs.port) as room:
        assert send(room.port, report()) == [status]


def test_an_archive_that_takes_no_list_of_uids_is_asked_for_the_series(tmp_path: Path) -> None:
    sources = tuple(slices(7))
    pacs = Pacs(studies=[study()], instances=[each.sop_instance_uid for each in sources], lists=False)
    with listening(pacs), running(tmp_path, pacs.port) as room:
        assert send(room.port, report(result(sources=sources))) == [0]


def test_an_archive_without_the_class_says_so_through_us(tmp_path: Path) -> None:
    ae, pacs = AE("ARCHIVE"), known()
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, pacs.find)])
    try:
        with running(tmp_path, server.socket.getsockname()[1]) as room:
            assert send(room.port, report()) == [0x0122]
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("studies", "status"),
    [
        ([study(), study(IssuerOfPatientID="ELSEWHERE")], 0xC101),
        ([study(PatientID="")], 0xA701),
        ([study(StudyInstanceUID="1.2.3")], 0xA701),
        ([study(PatientName="INVENTED^Li=^")], 0xA702),
    ],
)
def test_answers_that_cannot_be_trusted_store_nothing(tmp_path: Path, studies: list[Dataset], status: int) -> None:
    pacs = known()
    pacs.studies = studies
    with listening(pacs), running(tmp_path, pacs.port) as room:
        assert send(room.port, report()) == [status]
    assert pacs.got == []


def test_one_result_on_two_associations_is_stored_once(tmp_path: Path) -> None:
    pacs, storing, go_on = known(), threading.Event(), threading.Event()

    def hold() -> None:
        pacs.instances.append(REPORT.report_uid)
        storing.set()
        go_on.wait(20)

    pacs.before_store = hold
    statuses: list[int] = []
    with listening(pacs), running(tmp_path, pacs.port) as room:
        threads = [threading.Thread(target=lambda: statuses.extend(send(room.port, report()))) for _ in range(2)]
        threads[0].start()
        assert storing.wait(20)
        threads[1].start()
        go_on.set()
        for thread in threads:
            thread.join(20)
    assert statuses == [0, 0]
    assert len(pacs.got) == 1


def test_stopping_answers_what_is_being_stored(tmp_path: Path) -> None:
    pacs, storing, statuses = known(), threading.Event(), list[int]()
    pacs.before_store = storing.set
    with listening(pacs):
        with running(tmp_path, pacs.port) as room:
            thread = threading.Thread(target=lambda: statuses.extend(send(room.port, report())))
            thread.start()
            assert storing.wait(20)
        thread.join(20)
    assert statuses == [0]


def test_a_silent_archive_costs_one_result_not_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.relink.room.PACS_SECONDS", (0.3, 0.3, 0.3))
    with socket.create_server(("127.0.0.1", 0)) as deaf, running(tmp_path, deaf.getsockname()[1]) as room:
        assert send(room.port, report()) == [0xA702]


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [("RELINK", "FOREIGN", "rejected-1-3"), ("OTHER", "EDGE", "rejected-1-7")],
)
def test_a_foreign_title_is_rejected(tmp_path: Path, called: str, calling: str, reason: str) -> None:
    with listening(known()) as pacs, running(tmp_path, pacs.port) as room:
        with pytest.raises(PeerFailure) as refused:
            send(room.port, report(), peer=Peer("127.0.0.1", room.port, called, calling))
        assert refused.value.reason == reason
    assert (pacs.got, pacs.asked) == ([], [])


def test_a_foreign_address_is_rejected(tmp_path: Path) -> None:
    text = 'bind = "127.0.0.2"'
    with listening(known()) as pacs, running(tmp_path, pacs.port, relink=text) as room:
        stranger = Scu(
            Peer("127.0.0.2", room.port, "RELINK", "EDGE"), [(Comprehensive3DSRStorage, ExplicitVRLittleEndian)]
        )
        stranger._socket.bind(("127.0.0.3", 0))
        with pytest.raises(PeerFailure) as refused:
            stranger.open()
        assert refused.value.reason == "rejected-1-3"


def test_one_more_than_the_places_is_told_to_come_back(tmp_path: Path) -> None:
    proposals = [(Comprehensive3DSRStorage, ExplicitVRLittleEndian)]
    with listening(known()) as pacs, running(tmp_path, pacs.port, relink="max_associations = 1") as room:
        peer = Peer("127.0.0.1", room.port, "RELINK", "EDGE")
        with Scu(peer, proposals), pytest.raises(PeerFailure) as refused:
            Scu(peer, proposals).open()
    assert refused.value.reason == "rejected-2-2"


def test_a_result_beyond_the_bound_ends_the_association(tmp_path: Path) -> None:
    parts = (Comprehensive3DSRStorage, ExplicitVRLittleEndian)
    with listening(known()) as pacs, running(tmp_path, pacs.port, relink="max_object_mib = 1") as room:
        with Scu(Peer("127.0.0.1", room.port, "RELINK", "EDGE"), [parts]) as scu, pytest.raises(PeerFailure):
            scu.store(parts[0], "1.2.3", parts[1], bytes(3 << 20))
        assert send(room.port, report()) == [0]


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        dimse.pdu(1, bytes(68)),
        dimse.pdu(1, b"\x00\x01" + bytes(70)),
        dimse.pdu(4, b""),
        b"\xff" * 64,
    ],
)
def test_bytes_that_are_no_association_end_in_an_answer(tmp_path: Path, hostile: bytes) -> None:
    with listening(known()) as pacs, running(tmp_path, pacs.port) as room:
        with socket.create_connection(("127.0.0.1", room.port), 10) as connection:
            connection.sendall(hostile)
            connection.shutdown(socket.SHUT_WR)
            kind, _ = Stream(connection).read(15)
            assert kind in (dimse.ABORT, dimse.ASSOCIATE_RJ)
        assert send(room.port, report()) == [0]


# --- TLS


@dataclass(frozen=True)
class Keys:
    """One CA, a gateway's pair and two boxes' pairs."""

    authority: Authority
    relink: Pair
    box: Pair
    other: Pair

    def peer(self, port: int, pair: Pair | None, ca: Path | None = None) -> Peer:
        context = ssl.create_default_context(cafile=str(ca or self.authority.ca))
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        return Peer("127.0.0.1", port, "RELINK", "EDGE", tls=context)

    def toml(self) -> str:
        paths = {"certificate": self.relink.certificate, "key": self.relink.key, "ca": self.authority.ca}
        return "tls = { " + ", ".join(f'{name} = "{path}"' for name, path in paths.items()) + " }"

    def pin(self) -> str:
        der = ssl.PEM_cert_to_DER_cert(self.box.certificate.read_text())
        return f'certificate = "sha256:{hashlib.sha256(der).hexdigest()}"'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return Keys(authority, authority.pair("relink", "127.0.0.1"), authority.pair("box"), authority.pair("other"))


@pytest.fixture
def secured(tmp_path: Path, keys: Keys) -> Iterator[tuple[Room, Pacs]]:
    with listening(known()) as pacs, running(tmp_path, pacs.port, relink=keys.toml(), box=keys.pin()) as room:
        yield room, pacs


def test_the_pinned_certificate_is_let_in(secured: tuple[Room, Pacs], keys: Keys) -> None:
    room, pacs = secured
    assert send(room.port, report(), peer=keys.peer(room.port, keys.box)) == [0]
    assert len(pacs.got) == 1


def test_another_certificate_of_the_same_ca_is_rejected(secured: tuple[Room, Pacs], keys: Keys) -> None:
    room, pacs = secured
    with pytest.raises(PeerFailure) as refused:
        send(room.port, report(), peer=keys.peer(room.port, keys.other))
    assert refused.value.reason == "rejected-1-3"
    assert pacs.asked == []


def test_no_certificate_and_one_of_another_ca_end_in_the_handshake(
    secured: tuple[Room, Pacs], keys: Keys, tmp_path: Path
) -> None:
    room, pacs = secured
    foreign = Authority(tmp_path / "foreign", "INVENTED OTHER CA").pair("box", "127.0.0.1")
    for pair in (None, foreign):
        with pytest.raises(PeerFailure) as refused:
            send(room.port, report(), peer=keys.peer(room.port, pair))
        assert refused.value.reason in ("tls", "aborted")
    assert pacs.asked == []


def test_plain_dicom_does_not_get_through_a_tls_door(secured: tuple[Room, Pacs]) -> None:
    room, pacs = secured
    with pytest.raises(PeerFailure):
        send(room.port, report())
    assert pacs.asked == []


def test_logs_hold_no_identity(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "edge"), listening(known()) as pacs, running(tmp_path, pacs.port) as room:
        send(room.port, report())
        pacs.studies = [study(), study(PatientID="INVENTED-78")]
        pacs.instances = []
        send(room.port, report())
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("edge"))
    assert "status=C101" in said
    assert [value for value in (*PATIENT.values(), "INVENTED") if value in said] == []
    assert io.StringIO(said).readline().startswith("association opened box=ward")
