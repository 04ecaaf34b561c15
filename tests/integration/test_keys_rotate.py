"""New keys: everything still opens, verifies and is delivered; the old private keys open and sign nothing any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import InferBox, made_package
from outgoing_box import OutgoingBox, becomes, delivering
from support import Storescp, free_port, run_edge

from edge import crypto, keys, rooms
from edge.config import Settings
from edge.errors import KeyFileError, SealError
from edge.journal import Journal, outgoing
from edge.operate import audit, rotation
from edge.statement import result_statement
from edge.vault import Opener

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@dataclass(frozen=True, slots=True)
class Rested:
    """A box whose rooms have ended, with one analysed image whose report waits, and a signed trail."""

    settings: Settings
    journal: Journal
    object_id: str

    def opened(self, private: bytes) -> bytes:
        """What the image holds, to who has this key."""
        return bytes(Opener(self.settings.spool, private).read(self.object_id))

    def signed_by(self, public: bytes) -> list[bool]:
        """Of each result, whether it is signed with this key's pair."""
        return [
            crypto.verify(
                public,
                bytes.fromhex(item.signature),
                result_statement(item.sop_instance_uid, item.destination, item.sha256),
            )
            for item in outgoing.every(self.journal)
        ]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Rested]:
    made = InferBox(tmp_path / "box", {"brightness": made_package(tmp_path / "package")}).start()
    instance = made.store(chest_dx(np.full((32, 32), 200, np.uint8)))
    made.job(instance)
    made.stop()
    journal = Journal(made.settings.journal)
    yield Rested(made.settings, journal, instance.object_id)
    journal.close()


def test_everything_follows_the_new_keys(box: Rested) -> None:
    settings = box.settings
    old = {name: keys.load(settings.keys, name) for name in ("open.key", "seal.pub", "sign.key", "verify.pub")}
    plain = box.opened(old["open.key"])
    ended = run_edge("keys", "rotate", "--json", "--config", settings.file)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["{", '"slots":', "1,", '"results":', "1", "}"]
    new = {name: keys.load(settings.keys, name) for name in old}
    assert all(new[name] != old[name] for name in old)
    assert box.opened(new["open.key"]) == plain
    with pytest.raises(SealError):
        box.opened(old["open.key"])
    assert box.signed_by(new["verify.pub"]) == [True]
    trail = audit.verify(settings)
    assert trail.verdict.problems == ()
    assert trail.verdict.signed > 0
    assert run_edge("doctor", "--config", settings.file).stdout.count("OK    keys") == 1


def test_results_that_waited_are_taken_from_deliver_after_the_rotation(tmp_path: Path, storescp: Storescp) -> None:
    made = OutgoingBox(tmp_path / "box", archive=storescp.port)
    uid = made.report()
    rotation.rotate(made.settings)
    with delivering(made):
        becomes(made, uid, "SENT")
    made.journal.close()


def test_what_was_not_signed_by_us_is_not_signed_now(tmp_path: Path) -> None:
    made = OutgoingBox(tmp_path / "box", archive=free_port())
    uid = made.report()
    made.journal.database.execute("UPDATE delivery SET sha256 = ?", ("0" * 64,))
    assert rotation.rotate(made.settings).results == 0
    assert uid
    made.journal.close()


def dying(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """The system call `real`, until none is left: then the process is gone, as by kill -9."""

    def call(*words: Any, **more: Any) -> Any:
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return real(*words, **more)

    return call


def rotated_until(settings: Settings, steps: int) -> bool:
    """Rotate in a child that dies before its system call number `steps`; whether it came to the end."""
    child = os.fork()
    if child == 0:
        left = [steps]
        for name in ("write", "pwrite", "rename", "unlink", "fsync", "fdatasync"):
            setattr(os, name, dying(getattr(os, name), left))
        try:
            rotation.rotate(settings)
        except BaseException:
            os._exit(1)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, 9)
    return ended == 0


def test_a_rotation_that_is_killed_at_any_step_is_finished_by_the_next_one(box: Rested) -> None:
    settings = box.settings
    plain = box.opened(keys.load(settings.keys, "open.key"))
    interrupted = 0
    for steps in range(200):
        if rotated_until(settings, steps):
            break
        if (settings.keys / keys.NEXT).exists():
            interrupted += 1
            with pytest.raises(KeyFileError, match="interrupted"):
                keys.load(settings.keys, "seal.pub")
        rotation.rotate(settings)
        assert box.opened(keys.load(settings.keys, "open.key")) == plain
        assert box.signed_by(keys.load(settings.keys, "verify.pub")) == [True]
        assert audit.verify(settings).verdict.problems == ()
    assert interrupted > 10, "the test must see the crash in many places"
    assert not (settings.keys / keys.NEXT).exists()


def test_a_running_box_is_left_alone(box: Rested) -> None:
    held = rooms.claim(box.settings, "receive")
    before = keys.load(box.settings.keys, "open.key")
    ended = run_edge("keys", "rotate", "--config", box.settings.file)
    os.close(held)
    assert (ended.returncode, "runs already" in ended.stderr) == (1, True)
    assert keys.load(box.settings.keys, "open.key") == before
