"""What an end-to-end measurement needs: a real box, a real destination, a sender with everything in memory.

The destination is dcmtk's storescp with TCP_NODELAY=1 where it is installed (without it storescp alone costs 44 ms an
object), else the demonstration's stand-in archive; `Destination.name` says which.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import part10
from edge.demo import phantom, wrap
from edge.demo.archive import Archive
from edge.errors import DeliveryError, EnvironmentFailure
from edge.part10 import Part10
from edge.scu import Peer, Scu

_WAL_HEADER, _FRAME_HEADER = 32, 24


@dataclass(frozen=True, slots=True)
class Destination:
    """Where reports go."""

    name: str
    port: int


def images(count: int) -> list[Part10]:
    """`count` phantoms as DX objects, equal but for their UIDs."""
    pixels = phantom.chest()
    return [part10.split(wrap.as_dx(pixels, bits_stored=phantom.BITS_STORED)) for _ in range(count)]


@contextlib.contextmanager
def destination(folder: Path) -> Iterator[Destination]:
    """A running archive that keeps what it gets below `folder`."""
    program = dcmtk_storescp()
    if program is None:
        with contextlib.closing(Archive(folder / "archive")) as archive:
            yield Destination("stand-in archive (dcmtk's storescp is not installed)", archive.port)
        return
    stored = folder / "storescp"
    stored.mkdir()
    port = free_port()
    command = [program, "--promiscuous", "--output-directory", str(stored), str(port)]
    environment = os.environ | {"TCP_NODELAY": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until_listening(port)
            yield Destination("dcmtk storescp, TCP_NODELAY=1", port)
        finally:
            process.terminate()


def push(peer: Peer, batch: Sequence[Part10]) -> list[float]:
    """Send `batch` on one association; when each was acknowledged (time.time). Raises DeliveryError, PeerFailure."""
    first = batch[0]
    acknowledged = []
    with Scu(peer, [(first.sop_class_uid, first.transfer_syntax_uid)]) as scu:
        for item in batch:
            status = scu.store(item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax_uid, item.data_set)
            if status:
                raise DeliveryError("the box refused an image", which=f"status-{status:04X}", hint="free disk space")
            acknowledged.append(time.time())
    return acknowledged


def push_in_parallel(peer: Peer, batch: Sequence[Part10], associations: int) -> None:
    """Send `batch` on several associations at once; returns when all is acknowledged."""
    failures: list[Exception] = []

    def work(share: Sequence[Part10]) -> None:
        try:
            push(peer, share)
        except DeliveryError as error:
            failures.append(error)

    shares = [batch[at::associations] for at in range(min(associations, len(batch)))]
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Commits:
    """Counts the transactions in a write-ahead log as they come, whoever made them (SQLite file format, 4.1)."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + "-wal")
        self._salt, self._seen = self._look()
        self.count = 0

    def look(self) -> None:
        """Add what came since the last look; look often enough, for the log starts anew at each checkpoint."""
        salt, seen = self._look()
        self.count += seen - self._seen if salt == self._salt else seen
        self._salt, self._seen = salt, seen

    def _look(self) -> tuple[bytes, int]:
        """The log's salt, and how many of its frames end a transaction."""
        try:
            log = self._path.read_bytes()
        except OSError:
            return b"", 0
        if len(log) < _WAL_HEADER:
            return b"", 0
        salt, step = log[16:24], _FRAME_HEADER + int.from_bytes(log[8:12], "big")
        frames = range(_WAL_HEADER, len(log) - step + 1, step)
        ends = (log[at + 4 : at + 8] != bytes(4) for at in frames if log[at + 8 : at + 16] == salt)
        return salt, sum(ends)


def dcmtk_storescp() -> str | None:
    """dcmtk's program; pynetdicom puts one of the same name into a venv's bin."""
    found = shutil.which("storescp", path=f"/usr/bin:/usr/local/bin:{os.environ.get('PATH', '')}")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], check=False, capture_output=True, text=True, timeout=20)
    return found if "dcmtk" in said.stdout else None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_listening(port: int) -> None:
    """Return once something listens on `port`. Raises EnvironmentFailure after ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise EnvironmentFailure("storescp does not listen", hint="run it by hand and look at what it says")
