"""The small parts of receiving, each by itself: negotiation, admission, group commit, reserve, counters, requests."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, AllStoragePresentationContexts, build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from receiver import CT, EXPLICIT, IMPLICIT, VERIFICATION, echo_elements, store_elements

from edge import dimse
from edge.config.receive import Peer, Receive, Tls
from edge.config.storage import Storage
from edge.journal import Journal, create
from edge.journal.intake import Stored
from edge.receive.admission import Admission, parse_address
from edge.receive.commit import GroupCommit
from edge.receive.counters import Counters
from edge.receive.negotiation import answer, read_request, write_accept
from edge.receive.pdata import Violation
from edge.receive.requests import Status, write_response
from edge.receive.requests import read_request as read_command
from edge.receive.reserve import Reserve
from edge.receive.syntaxes import Offer
from edge.records import UID, Instance

ADDRESS = parse_address("10.0.0.7")


def instance(number: int) -> Instance:
    return Instance(
        object_id=f"{number:032x}", sop_instance_uid=UID(f"1.2.{number}"), sop_class_uid=UID(CT),
        study_instance_uid=UID("1.2"), series_instance_uid=UID("1.3"), transfer_syntax_uid=UID(EXPLICIT), modality="CT",
        peer="ct1", association="a" * 32, tag=f"{number:064x}", size=1, slot=0, received_at=1.0,
    )  # fmt: skip


def test_pynetdicom_and_we_read_the_same_request_and_answer() -> None:
    """pynetdicom is the oracle both ways."""
    ae = AE("MODALITY")
    primitive = A_ASSOCIATE()
    primitive.application_context_name = dimse.APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = ae.ae_title, "EDGE"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 12345, "1.2.3"
    primitive.user_information = [length, implementation]
    contexts = [
        build_context(VERIFICATION),
        build_context(CT, ["1.2.840.10008.1.2.1.99", EXPLICIT, IMPLICIT]),
        build_context("1.2.840.10008.5.1.4.1.2.2.1"),
    ]
    for index, context in enumerate(contexts):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = contexts
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    request = read_request(pdu.encode()[6:])
    assert (request.calling_ae_title, request.called_ae_title, request.max_length) == (b"MODALITY", b"EDGE", 12345)
    accepted, results = answer(request, Offer(()))
    assert results == [(1, 0), (3, 0), (5, 3)]
    reply = A_ASSOCIATE_AC()
    reply.decode(write_accept(request, accepted, results, 131072))
    answered = reply.to_primitive()
    assert [(c.context_id, c.result) for c in answered.presentation_context_definition_results_list] == results
    assert answered.presentation_context_definition_results_list[1].transfer_syntax == [EXPLICIT]
    assert answered.maximum_length_received == 131072
    assert (answered.calling_ae_title, answered.called_ae_title) == ("MODALITY", "EDGE")


def test_every_storage_class_of_the_standard_is_taken_and_no_other_service() -> None:
    storage = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    assert len(storage) > 150
    offer = Offer(())
    assert [uid for uid in storage if not offer.takes(uid)] == []
    taken = [words for uid, words in UID_dictionary.items() if words[1] == "SOP Class" and offer.takes(uid)]
    assert [name for name, _, _, retired, _ in taken if not retired and "Storage" not in name] == [
        "Verification SOP Class"
    ]


@pytest.mark.parametrize(
    ("title", "address", "certificate", "alias"),
    [
        (b"CT1", "10.0.0.7", b"", "ct1"),
        (b"CT1", "::ffff:10.0.0.7", b"", "ct1"),
        (b"CT1", "10.0.1.7", b"", None),
        (b"ct1", "10.0.0.7", b"", None),
        (b"CT1 ", "10.0.0.7", b"", None),
        (b"MR1", "fe80::1%eth0", b"der", "mr1"),
        (b"MR1", "fe80::1", b"other", None),
        (b"MR1", "fe80::1", b"", None),
        (b"CT1", "", b"", None),
    ],
)
def test_a_peer_is_title_and_address_and_certificate(
    title: bytes, address: str, certificate: bytes, alias: str | None
) -> None:
    pin = f"sha256:{hashlib.sha256(b'der').hexdigest()}"
    peers = (
        Peer(alias="ct1", ae_title="CT1", hosts=("10.0.0.0/24",)),
        Peer(alias="mr1", ae_title="MR1", hosts=("fe80::/64",), certificate=pin),
    )
    admission = Admission(Receive(peers=peers, tls=Tls(certificate="c", key="k", ca="a")))
    peer = admission.peer(title, parse_address(address), certificate)
    assert (peer.alias if peer else None) == alias
    assert admission.knows(ADDRESS)
    assert not admission.knows(parse_address("192.0.2.1"))


def test_nobody_is_listed_nobody_may() -> None:
    admission = Admission(Receive())
    assert not admission.knows(parse_address("127.0.0.1"))
    assert admission.peer(b"EDGE", parse_address("127.0.0.1"), b"") is None


def test_those_who_wait_share_one_group() -> None:
    """While the first group is being flushed, all that come gather into the second."""
    groups: list[tuple[int, bool]] = []
    entered, go_on = threading.Event(), threading.Event()

    def act(instances: Sequence[Instance], names: bool) -> list[Stored]:
        groups.append((len(instances), names))
        entered.set()
        go_on.wait(10)
        return [Stored.NEW if int(each.object_id, 16) % 2 else Stored.DUPLICATE for each in instances]

    commit = GroupCommit(act)
    results: dict[int, Stored] = {}

    def join(n: int) -> None:
        results[n] = commit.join(instance(n), findable=n != 5)

    threads = [threading.Thread(target=join, args=(n,)) for n in range(8)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(commit._waiting) < 7:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert groups == [(1, False), (7, True)], "the folder is flushed for one that is not found without its name"
    assert results == {n: Stored.NEW if n % 2 else Stored.DUPLICATE for n in range(8)}


def test_a_failing_group_fails_for_each_member_and_the_next_is_tried() -> None:
    fail = [True]

    def act(instances: Sequence[Instance], _names: bool) -> list[Stored]:
        if fail.pop() if fail else False:
            raise OSError(5, "EIO")
        return [Stored.NEW] * len(instances)

    commit = GroupCommit(act)
    with pytest.raises(OSError, match="EIO"):
        commit.join(instance(1), findable=False)
    assert commit.join(instance(2), findable=False) is Stored.NEW


@pytest.mark.parametrize(("gib", "percent", "reached"), [(0.0, 100, False), (1e9, 100, True), (0.0, 1, True)])
def test_the_reserve(tmp_path: Path, gib: float, percent: int, reached: bool) -> None:
    assert Reserve(tmp_path, Storage(reserve_gib=gib, refuse_at_percent=percent)).reached() is reached


def test_equal_refusals_are_audited_once_a_minute_with_their_count(tmp_path: Path) -> None:
    create(tmp_path / "journal.db")
    journal = Journal(tmp_path / "journal.db")
    counters = Counters(tmp_path / "receive-counters.json")
    for _ in range(3):
        counters.refuse("too-slow", "ct1")
    counters.refuse("dropped")
    counters.write(journal)
    counters.refuse("too-slow", "ct1")
    counters.write(journal)
    rows = [(row["name"], row["reason"]) for row in journal.database.rows("SELECT * FROM event ORDER BY name")]
    assert rows == [("ct1", "too-slow:3"), ("unknown", "dropped:1")]
    counters.write(journal, everything=True)
    assert journal.database.row("SELECT count(*) AS n FROM event")["n"] == 3
    assert json.loads((tmp_path / "receive-counters.json").read_text()) == {"refused-dropped": 1, "refused-too-slow": 4}
    journal.close()


def test_a_response_names_the_request() -> None:
    request = read_command(dimse.command(store_elements("1.2.3")))
    message = dimse.Message()
    assert message.add(write_response(request, Status.OUT_OF_RESOURCES, 3, 0)[6:])
    assert dimse.number(message.command, 0x0100) == 0x8001
    assert dimse.number(message.command, 0x0120) == 7
    assert dimse.number(message.command, 0x0900) == 0xA700
    assert dimse.uid_text(message.command[0x1000]) == "1.2.3"
    assert message.context == 3


def test_what_cannot_be_answered_is_a_violation() -> None:
    for broken in (b"", b"\0", dimse.command({}), dimse.command({**echo_elements(), 0x0100: dimse.short(0x8001)})):
        with pytest.raises(Violation):
            read_command(broken)
