"""What stands outside of the machine: modalities that push until they are told Success, and the archive."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

from pydicom import dcmread
from raw_objects import read_raw
from support import Storescp, wait_until

from edge.errors import EdgeError
from edge.scu import Peer, Scu

_RETRY_SECONDS = 60.0
_AGAIN_SECONDS = 0.1


class Archive:
    """dcmtk's storescp, read as: which source has how many reports."""

    def __init__(self, server: Storescp) -> None:
        self._server = server
        self.port = server.port

    def files(self) -> list[Path]:
        return self._server.files()

    def sources(self) -> Counter[str]:
        """SOP Instance UIDs of the images that the reports here are about."""
        return Counter(source_of(path) for path in self.files())

    def wait_for(self, sources: set[str], seconds: float) -> None:
        """Until there is a report on each of `sources`."""
        wait_until(lambda: len(self.files()) >= len(sources), seconds, "the reports")
        wait_until(lambda: sources <= set(self.sources()), seconds, f"reports on all {len(sources)}")


def source_of(path: Path) -> str:
    """The image that a report is about."""
    evidence = dcmread(path).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    return str(evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def source_uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def push(port: int, paths: list[Path]) -> int:
    """How many were answered by Success, each on an association of its own, at the first try."""
    return sum(_store(port, path) == "success" for path in paths)


def _store(port: int, path: Path) -> str:
    """`success`, or what went wrong."""
    each = read_raw(path)
    peer = Peer("127.0.0.1", port, "EDGE", "TEST", connect=5, associate=10, answer=20)
    try:
        with Scu(peer, [(each.sop_class_uid, each.transfer_syntax_uid)]) as scu:
            status = scu.store(each.sop_class_uid, each.sop_instance_uid, each.transfer_syntax_uid, each.data_set)
    except EdgeError as error:
        return getattr(error, "reason", type(error).__name__)
    return "success" if status == 0 else f"{status:04X}"


class Modalities:
    """Several senders that work through `paths`, each object until it is acknowledged; failures are counted.

    `pause` seconds lie between the objects of one sender.
    """

    def __init__(self, port: int, paths: list[Path], senders: int = 4, pause: float = 0.0) -> None:
        self._port = port
        self._left = list(paths)
        self._between = pause
        self._lock = threading.Lock()
        self.failures: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.slowest = 0.0
        self._pause = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(senders)]
        for thread in self._threads:
            thread.start()

    def wait_acknowledged(self, count: int, seconds: float = 60.0) -> None:
        """Until `count` objects are acknowledged."""
        wait_until(lambda: len(self.acknowledged) >= count, seconds, f"{count} acknowledgements")

    def join(self, seconds: float = 120.0) -> None:
        """Until all are acknowledged."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), dict(self.failures)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                path = self._left.pop()
            self._insist(path)
            self._pause.wait(self._between)

    def _insist(self, path: Path) -> None:
        deadline = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < deadline:
            started = time.monotonic()
            answer = _store(self._port, path)
            with self._lock:
                if answer == "success":
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.acknowledged.add(source_uid(path))
                    return
                self.failures[answer] += 1
            self._pause.wait(_AGAIN_SECONDS)
