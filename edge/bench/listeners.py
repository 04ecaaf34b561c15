"""The C-STORE listeners of `edge bench receive`: ours and the peers with their best settings, each its own process.

Peers that are not installed are left out. dcmtk and Orthanc leave Nagle's algorithm on by default, which costs 44 ms an
object on loopback; here it is always off.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge import config, rooms
from edge.bench import rig, unsafe
from edge.errors import EnvironmentFailure
from edge.sealed import BLANK

CALLED = "EDGE"
CALLING = "BENCH"
_STARTING_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_TOML = f"""
[box]
root = "root"
[receive]
ae_title = "{CALLED}"
port = 0
max_associations = 300
max_associations_per_host = 300
[[receive.peers]]
alias = "bench"
ae_title = "{CALLING}"
hosts = ["127.0.0.1"]
[storage]
reserve_gib = 0.1
refuse_at_percent = 100
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """A running listener. What it stores is below `stored`."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    stored: Path

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children, reaped ones included, so far."""
        return sum(_cpu_ticks(pid) for pid in _family(self.process.pid)) / _TICKS

    def forget_peak(self) -> None:
        """Start the peak of `peak_mib` anew."""
        for pid in _family(self.process.pid):
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """Most resident memory since `forget_peak`, of the processes that still live."""
        return sum(_peak_kib(pid) for pid in _family(self.process.pid)) / 1024

    def clean(self) -> None:
        """Remove the objects stored so far, so that the disk never fills."""
        for path in self.stored.iterdir():
            kept = path.name == "slots" or path.name.startswith("index") or path.suffix == BLANK
            if path.is_file() and not kept:
                path.unlink()


@contextlib.contextmanager
def ours(folder: Path, lie: str = "") -> Iterator[Listener]:
    """The receive room; `lie` is the mode of `edge.bench.unsafe`, or empty for the product as it is."""
    folder.mkdir()
    file = folder / "edge.toml"
    file.write_text(_TOML)
    settings = config.load(file)
    rooms.make_root(settings)
    command = [sys.executable, "-m", "edge", "serve", "--room", "receive", "--config", str(file)]
    if lie:
        (settings.root.parent / unsafe.MARK).touch()
        command = [sys.executable, "-m", "edge.bench.unsafe", lie, str(file)]
    with _process(command, folder) as process:
        deadline = time.monotonic() + _STARTING_SECONDS
        while not (facts := rooms.announced(settings, "receive")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise EnvironmentFailure("the receive room does not start", hint="run `edge serve --room receive`")
            time.sleep(0.02)
        names = {"": "edge", "sync": "edge without flushes", "plain": "edge without flushes and sealing"}
        yield Listener(names[lie], int(facts["port"]), process, settings.spool)


@contextlib.contextmanager
def storescp(folder: Path, *arguments: str) -> Iterator[Listener | None]:
    """dcmtk's storescp with TCP_NODELAY=1."""
    program = rig.dcmtk_storescp()
    port = rig.free_port()
    folder.mkdir()
    command = [program or "", "-q", "+xa", "-od", str(folder), *arguments, str(port)]
    with _listening(command, folder, port) as process:
        options = " ".join(arguments)
        name = f"dcmtk storescp TCP_NODELAY=1 {options}".strip()
        yield Listener(name, port, process, folder) if process else None


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[Listener | None]:
    """Orthanc with its SQLite index and TcpNoDelay."""
    port = rig.free_port()
    stored = folder / "storage"
    stored.mkdir(parents=True)
    settings = {
        "Name": "bench", "StorageDirectory": str(stored), "IndexDirectory": str(stored), "HttpServerEnabled": False,
        "DicomServerEnabled": True, "DicomAet": CALLED, "DicomPort": port, "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True, "UnknownSopClassAccepted": True, "DicomThreadsCount": 16, "TcpNoDelay": True,
        "Plugins": [], "SaveJobs": False,
    }  # fmt: skip
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    program = next((path for path in ("/usr/sbin/Orthanc", "/usr/bin/Orthanc") if Path(path).exists()), "")
    with _listening([program, str(file)], folder, port) as process:
        yield Listener("Orthanc TcpNoDelay", port, process, stored) if process else None


@contextlib.contextmanager
def pynetdicom(folder: Path) -> Iterator[Listener | None]:
    """pynetdicom's own storescp application."""
    port = rig.free_port()
    folder.mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-ba", "127.0.0.1", "-od", str(folder), "-q"]
    with _listening(command if find_spec("pynetdicom") else [""], folder, port) as process:
        yield Listener("pynetdicom storescp", port, process, folder) if process else None


@contextlib.contextmanager
def _listening(command: Sequence[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes] | None]:
    """A running `command` once something listens on `port`; None when the program is missing."""
    if not command[0]:
        yield None
        return
    with _process(command, folder) as process:
        rig.until_listening(port)
        yield process


@contextlib.contextmanager
def _process(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"TCP_NODELAY": "1"}
    with (
        (folder / "listener.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _family(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def _peak_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0
