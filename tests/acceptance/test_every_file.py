"""All 286 real files of the data, 74 of them made to hurt: each is refused as the standard says or comes to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from raw_objects import RawObject, read_raw
from support import Box, Orthanc, Storescp

from edge.errors import EdgeError
from edge.scu import Peer, Scu

pytestmark = pytest.mark.timeout(900)
SUCCESS, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA900, 0xC000
ENDED_JOBS = {"DONE", "QUARANTINED"}


def offer(box: Box, objects: Iterable[RawObject]) -> dict[str, str]:
    """C-STORE each, on an association of its own where one broke; what came back, by file name."""
    answers = {}
    for each in objects:
        peer = Peer("127.0.0.1", box.port, "EDGE", "TEST")
        try:
            with Scu(peer, [(each.sop_class_uid, each.transfer_syntax_uid)]) as association:
                refused = association.refused(each.sop_class_uid, each.transfer_syntax_uid)
                answers[each.name] = refused or _store(association, each)
        except EdgeError as error:
            answers[each.name] = f"failure: {error.what}"
    return answers


def _store(association: Scu, each: RawObject) -> str:
    status = association.store(each.sop_class_uid, each.sop_instance_uid, each.transfer_syntax_uid, each.data_set)
    return f"{status:04X}"


@pytest.fixture
def files(data: Path) -> list[RawObject]:
    """Every file of the data as a request."""
    return [read_raw(path) for path in sorted((data / "dicom" / "files").iterdir())]


def test_every_real_file_is_refused_as_specified_or_comes_to_rest(
    box_with_archives: Box, reader: Callable, files: list[RawObject], storescp: Storescp, orthanc: Orthanc
) -> None:
    box = box_with_archives
    pids = {room: box.household.pid(room) for room in ("receive", "infer", "deliver")}
    assert len(files) == 286

    answers = offer(box, [each.with_fresh_uid() for each in files])
    kinds = Counter(answer.partition(":")[0] for answer in answers.values())
    assert set(kinds) <= {"0000", "A900", "C000", "context-refused-3", "context-refused-4"}, kinds
    assert kinds["0000"] >= 200, kinds
    deflated = [each.name for each in files if each.transfer_syntax_uid == "1.2.840.10008.1.2.1.99"]
    assert all(answers[name] == "context-refused-4" for name in deflated)

    journal = reader(box)
    journal.wait_quiet(kinds["0000"], 300)
    assert journal.number("SELECT count(*) FROM instance") == kinds["0000"]
    for row in journal.rows("SELECT state, reason FROM instance"):
        assert row["state"] in {"ROUTED", "UNROUTED", "QUARANTINED"}
        assert row["reason"] or row["state"] == "ROUTED"
    for job in journal.jobs().values():
        assert job["state"] in ENDED_JOBS
        assert job["outcome"]
        assert job["reason"] or job["outcome"] == "succeeded"
    assert {room: box.household.pid(room) for room in pids} == pids, "a room died"
    assert all(box.household.alive(room) for room in pids)


def test_the_files_as_they_are_follow_the_rule_for_conflicts(
    box_with_archives: Box, reader: Callable, files: list[RawObject], storescp: Storescp, orthanc: Orthanc
) -> None:
    """Some of the files share a SOP Instance UID: `keep-both` stores each byte string once and answers Success."""
    first = offer(box_with_archives, files)
    stored = {each.name for each in files if first[each.name] == "0000"}
    again = offer(box_with_archives, files)
    assert again == first
    different = {
        (each.sop_instance_uid, each.transfer_syntax_uid, each.data_set) for each in files if each.name in stored
    }
    reader(box_with_archives).wait_quiet(len(different), 300)
    assert reader(box_with_archives).number("SELECT count(*) FROM instance") == len(different)
