"""A receive room to push at, in a thread or as its own process, and a peer that may send any bytes at all."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import support

from edge import dimse, keys, rooms
from edge.config import load
from edge.journal import Journal
from edge.receive.room import Room
from edge.sealed import BLANK
from edge.vault import Opener

TOML = """
[box]
root = "root"
[receive]
port = 0
{receive}
[[receive.peers]]
alias = "ct1"
ae_title = "TEST"
hosts = ["127.0.0.1"]
{more}
[storage]
reserve_gib = {reserve}
refuse_at_percent = 100
"""
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
STUDY, SERIES, INSTANCE = "1.2.826.0.1.99.1", "1.2.826.0.1.99.1.1", "1.2.826.0.1.99.1.1.1"


class Receiver:
    """The room on a box of its own. `receive` and `more` go into edge.toml."""

    def __init__(self, folder: Path, receive: str = "", more: str = "", reserve: float = 0.01) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "edge.toml"
        self.file.write_text(TOML.format(receive=receive, more=more, reserve=reserve))
        self.settings = load(self.file)
        self.log = folder / "receive.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.room: Room | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        rooms.make_root(self.settings)

    def start(self) -> Receiver:
        """Run the room in a thread."""
        self.room = Room(self.settings)
        self.room.start()
        self._stopping.clear()
        self._thread = threading.Thread(target=self.room.run, args=(self._stopping,))
        self._thread.start()
        return self

    def spawn(self) -> Receiver:
        """Run the room as `edge serve --room receive`."""
        announcement = self.settings.run / "receive.json"
        announcement.unlink(missing_ok=True)
        command = [sys.executable, "-m", "edge", "serve", "--room", "receive", "--config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=support.REPOSITORY, stdout=log, stderr=log)
        support.wait_until(lambda: announcement.exists() or self.process.poll() is not None, what="the room")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(20) == 0, self.log.read_text()[-2000:]
            self.process = None
        if self._thread is not None:
            self._stopping.set()
            self.room.wake()
            self._thread.join(10)
            self.room.stop()
            self._thread = None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(10)
        self.process = None

    @property
    def port(self) -> int:
        return int(rooms.announced(self.settings, "receive")["port"])

    def rows(self, what: str = "* FROM instance") -> list[dict[str, Any]]:
        """Rows of the journal."""
        journal = Journal(self.settings.journal)
        try:
            return [dict(row) for row in journal.database.rows(f"SELECT {what}")]
        finally:
            journal.close()

    def data_set(self, object_id: str) -> bytes:
        """The bytes that were stored."""
        opener = Opener(self.settings.spool, keys.load(self.settings.keys, "open.key"))
        try:
            return bytes(opener.read(object_id))
        finally:
            opener.slots.close()

    def files(self) -> list[str]:
        """Names in the spool, without the slots and what is made beforehand."""
        return sorted(
            path.name for path in self.settings.spool.iterdir() if path.name != "slots" and path.suffix != BLANK
        )

    def blanks(self) -> list[str]:
        """Object ids of the files made beforehand."""
        return sorted(path.stem for path in self.settings.spool.glob(f"*{BLANK}"))

    def rss_mib(self) -> float:
        """Resident memory of the process."""
        return self._memory_mib("VmRSS")

    def own_mib(self) -> float:
        """Resident memory that is the process's alone, without files."""
        return self._memory_mib("RssAnon")

    def _memory_mib(self, name: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError


class Raw:
    """A peer over a plain socket, from `source`. `associate` is polite; everything else is up to the test."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
        self.socket.settimeout(5)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def associate(self, contexts: Iterable[tuple[str, str]] = ((VERIFICATION, IMPLICIT), (CT, EXPLICIT)),
                  calling: str = "TEST", called: str = "EDGE") -> tuple[int, bytes] | None:  # fmt: skip
        """Propose contexts with ids 1, 3, 5...; the answer."""
        self.send(request(contexts, calling, called))
        return self.answer()

    def answer(self) -> tuple[int, bytes] | None:
        """The next PDU as (type, body), or None when the connection was closed."""
        try:
            head = self._exactly(6)
            kind, length = struct.unpack(">BxL", head)
            return kind, self._exactly(length)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return None

    def status(self) -> int:
        """The status of the response that comes next."""
        kind, body = self.answer()
        assert kind == dimse.DATA_TF, (kind, body.hex())
        return dimse.number(dimse.parse_command(body[6:]), 0x0900)

    def echo(self, message: int = 1) -> int:
        self.send(pdv(1, 3, dimse.command(echo_elements(message))))
        return self.status()

    def store(self, data: bytes, instance: str = INSTANCE, sop_class: str = CT, context: int = 3) -> int:
        """C-STORE `data`; the status."""
        self.send(store_command(instance, sop_class, context))
        for start in range(0, len(data) or 1, 100_000):
            last = 2 if start + 100_000 >= len(data) else 0
            self.send(pdv(context, last, data[start : start + 100_000]))
        return self.status()

    def release(self) -> None:
        self.send(dimse.pdu(dimse.RELEASE_RQ, bytes(4)))
        assert self.answer() == (dimse.RELEASE_RP, bytes(4))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data


def request(contexts: Iterable[tuple[str, str]], calling: str = "TEST", called: str = "EDGE") -> bytes:
    """An A-ASSOCIATE-RQ."""
    numbered = [dimse.Context(2 * index + 1, *pair) for index, pair in enumerate(contexts)]
    return dimse.associate(dimse.ASSOCIATE_RQ, called, calling, numbered)


def pdv(context: int, control: int, data: bytes) -> bytes:
    """A P-DATA-TF with one PDV; `control` is 1 command, 2 last."""
    return dimse.pdu(dimse.DATA_TF, struct.pack(">LBB", len(data) + 2, context, control) + data)


def echo_elements(message: int = 1) -> dict[int, bytes]:
    return {
        0x0002: dimse.uid_value(VERIFICATION), 0x0100: dimse.short(0x30), 0x0110: dimse.short(message),
        0x0800: dimse.short(0x0101),
    }  # fmt: skip


def store_elements(instance: str = INSTANCE, sop_class: str = CT) -> dict[int, bytes]:
    return {
        0x0002: dimse.uid_value(sop_class), 0x0100: dimse.short(1), 0x0110: dimse.short(7), 0x0700: dimse.short(0),
        0x0800: dimse.short(0), 0x1000: instance.encode("latin-1") + b"\0" * (len(instance) % 2),
    }  # fmt: skip


def store_command(instance: str = INSTANCE, sop_class: str = CT, context: int = 3) -> bytes:
    return pdv(context, 3, dimse.command(store_elements(instance, sop_class)))


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian."""
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in ("OB", "OW", "SQ", "UN", "UT")
    return head + (struct.pack("<xxL", len(value)) if long else struct.pack("<H", len(value))) + value


def ct_image(
    instance: str = INSTANCE, study: str = STUDY, series: str = SERIES, sop_class: str = CT, pixels: int = 1000,
    before: bytes = b"",
) -> bytes:  # fmt: skip
    """A data set with invented identity; `before` goes in front of the study's UIDs."""
    return b"".join((
        element(0x00080016, "UI", sop_class.encode()), element(0x00080018, "UI", instance.encode()),
        element(0x00080060, "CS", b"CT"), before, element(0x00100010, "PN", b"INVENTED^PATIENT"),
        element(0x0020000D, "UI", study.encode()), element(0x0020000E, "UI", series.encode()),
        element(0x7FE00010, "OW", bytes(range(256)) * (pixels // 256) + bytes(pixels % 256)),
    ))  # fmt: skip
