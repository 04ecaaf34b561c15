"""kill -9 of the receive room under load, again and again: `python tests/integration/kill_receive.py --kills 300`.

Four modalities push all the time. After every kill the room starts again; in the end every object that was answered
Success is there, once, and can be opened, and nothing half is left. Prints figures; exit code 1 for the first lie.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from receiver import CT, EXPLICIT, Receiver, ct_image

from edge.errors import EdgeError
from edge.scu import Peer, Scu

SENDERS = 4
STUDY = "1.2.826.0.1.99"


class Load:
    """Senders that never stop; `acknowledged` is every SOP Instance UID that was answered Success."""

    def __init__(self, receiver: Receiver) -> None:
        self.acknowledged: list[str] = []
        self._receiver = receiver
        self._numbers = itertools.count(1)
        self._going = threading.Event()
        self._going.set()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def pause(self, *, until: Callable[[], bool]) -> None:
        """Send some objects, then nothing until something is so."""
        before = len(self.acknowledged)
        _wait(lambda: len(self.acknowledged) > before + 20)
        self._going.clear()
        _wait(until)
        self._going.set()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._stopping.is_set():
            try:
                self._visit()
            except (EdgeError, AssertionError, TypeError):
                self._stopping.wait(0.01)  # the room is being killed or started

    def _visit(self) -> None:
        study = f"{STUDY}.{next(self._numbers)}"
        peer = Peer("127.0.0.1", self._receiver.port, "EDGE", "TEST", connect=1, associate=2, answer=2)
        with Scu(peer, [(CT, EXPLICIT)]) as scu:
            for number in range(12):
                if self._stopping.is_set():
                    return
                self._going.wait(10)
                uid = f"{study}.1.{number}"
                image = ct_image(uid, study, f"{study}.1", pixels=300_000 if number == 7 else 5000)
                if scu.store(CT, uid, EXPLICIT, image) == 0:
                    self.acknowledged.append(uid)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def kill(folder: Path, kills: int, seed: int) -> dict[str, float]:
    """Kill the room `kills` times under load. Raises AssertionError when something acknowledged is not there."""
    chance = random.Random(seed)
    receiver = Receiver(folder).spawn()
    load = Load(receiver)
    slowest, blanks = 0.0, 0
    try:
        for number in range(kills):
            if number % 3 == 0:
                load.pause(until=lambda: len(receiver.blanks()) > 16)  # made in a lull only
                blanks += len(receiver.blanks())
            time.sleep(chance.uniform(0.0, 0.25))
            receiver.kill()
            began = time.monotonic()
            receiver.spawn()
            slowest = max(slowest, time.monotonic() - began)
    finally:
        load.stop()
        receiver.stop()
    rows = receiver.rows("sop_instance_uid, object_id FROM instance")
    found = [row["sop_instance_uid"] for row in rows]
    assert len(found) == len(set(found)), "an object is there twice"
    assert set(load.acknowledged) <= set(found), "an acknowledged object is lost"
    assert set(receiver.files()) == {row["object_id"] for row in rows}, "something half is left"
    for row in rows:
        assert row["sop_instance_uid"].encode() in receiver.data_set(row["object_id"])[:200]
    return {
        "kills": kills,
        "acknowledged": len(load.acknowledged),
        "stored": len(rows),
        "slowest start, s": slowest,
        "files made beforehand": blanks,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-kill-") as folder:
        print(kill(Path(folder), args.kills, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
