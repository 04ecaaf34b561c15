"""Promise 2, proved from outside: markers in every identifying attribute occur nowhere but in the sealed spool."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from objects import Markers, chest_dx, full_size_xrays, mark_identity, save
from raw_objects import read_raw
from receiver import Raw, pdv, store_command
from support import Box, Orthanc, Storescp, run_edge, wait_until
from two_archives import TWO_ARCHIVES

from edge import dimse
from edge.scu import Peer, Scu

pytestmark = pytest.mark.timeout(600)
CHARSETS = ("ISO_IR 192", ["", "ISO 2022 IR 87"])


class Wiretap:
    """Passes a destination's traffic on, and keeps every byte that went there."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        wiretap = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as outgoing:
                    back = threading.Thread(target=_pass_on, args=(outgoing, self.request, bytearray()))
                    back.start()
                    _pass_on(self.request, outgoing, wiretap.heard)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pass_on(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            heard += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def wiretap(storescp: Storescp) -> Iterator[Wiretap]:
    """Between the box and dcmtk's storescp."""
    tap = Wiretap(storescp.port)
    yield tap
    tap.close()


def everywhere(box: Box, wiretap: Wiretap) -> Iterator[tuple[str, bytes]]:
    """Every place where an identity could have come to lie: (where, bytes)."""
    yield "the wire to the destination", bytes(wiretap.heard)
    yield "the rooms' logs", box.log.read_bytes()
    for folder in (box.settings.root, Path("/tmp"), Path("/dev/shm")):
        for path in folder.rglob("*") if folder != Path("/tmp") else folder.glob("*"):
            yield f"the name {path.name}", os.fsencode(path.name)
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()
    for command in (["status"], ["jobs", "list"], ["deliveries", "list"], ["doctor"]):
        for form in ([], ["--json"]):
            ended = run_edge(*command, "--config", box.file, *form)
            yield f"edge {' '.join(command)}", (ended.stdout + ended.stderr).encode()
    yield from given_away(box)


def given_away(box: Box) -> Iterator[tuple[str, bytes]]:
    """What an administrator sends to others, or stores elsewhere: members of both files as (name, bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        bundle, backup = Path(folder) / "bundle.tar.gz", Path(folder) / "box.edgebackup"
        for words in (("support-bundle", bundle, "--logs", box.log), ("backup", backup)):
            ended = run_edge(*words, "--config", box.file)
            assert ended.returncode == 0, ended.stderr
            with tarfile.open(words[1]) as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    yield f"{words[0]} {member.name}", content.read() if content else b""


def assert_nowhere(box: Box, wiretap: Wiretap, markers: Markers) -> None:
    """No marker anywhere; the haystacks are not empty."""
    places = 0
    for where, content in everywhere(box, wiretap):
        places += bool(content)
        found = [needle for needle in markers.needles if needle in content]
        assert not found, f"{len(found)} markers in {where}"
    assert places > 10


def test_no_marker_leaves_in_any_way_of_ending(
    box: Callable[..., Box], reader: Callable, data: Path, folder: Path, wiretap: Wiretap, orthanc: Orthanc,
) -> None:  # fmt: skip
    """After success, not attempted, failure, refusal, abort, a crash of each room, and a restart."""
    markers = Markers("ZQ")
    pixels = full_size_xrays(data)[0][1][::3, ::3].copy()
    made = box(text=TWO_ARCHIVES.format(storescp=wiretap.port, orthanc=orthanc.port)).start()
    journal = reader(made)
    good = [mark_identity(chest_dx(pixels), markers, charset=charset) for charset in CHARSETS]
    adult = mark_identity(chest_dx(pixels, PatientAge="077Y"), markers)
    truncated = mark_identity(chest_dx(pixels), markers)
    truncated.PixelData = truncated.PixelData[:1000]
    paths = [save(ds, folder / f"{number}.dcm") for number, ds in enumerate([*good, adult, truncated])]
    assert made.push(*paths).returncode == 0
    journal.wait_quiet(4)
    assert {job["outcome"] for job in journal.jobs().values()} == {"succeeded", "not-attempted", "failed"}

    _refused(made, save(mark_identity(chest_dx(pixels), markers), folder / "refused.dcm"))
    _aborted(made, save(mark_identity(chest_dx(pixels), markers), folder / "aborted.dcm"), markers)
    for number, room in enumerate(("receive", "infer", "deliver")):
        crash = save(mark_identity(chest_dx(pixels), markers), folder / f"crash{number}.dcm")
        pid = made.household.pid(room)
        wait_until(lambda crash=crash: made.push(crash).returncode == 0, what="a push")
        os.kill(pid, signal.SIGKILL)
        made.household.restart(room)
        assert made.household.wait_ready(30)
    journal.wait_quiet(7, 120)
    made.household.stop()
    made.start()
    assert len(made.log.read_bytes()) > 0
    assert_nowhere(made, wiretap, markers)
    spool = b"".join(path.read_bytes() for path in made.settings.spool.iterdir())
    assert len(spool) > 5 * pixels.nbytes
    assert bytes(np.ascontiguousarray(pixels)[:4].tobytes()[:256]) not in spool, "pixels in clear in the spool"


def _refused(box: Box, path: Path) -> None:
    """A data set that contradicts its own request."""
    raw = read_raw(path)
    with Scu(Peer("127.0.0.1", box.port, "EDGE", "TEST"), [(raw.sop_class_uid, raw.transfer_syntax_uid)]) as scu:
        assert scu.store(raw.sop_class_uid, "1.2.3.4.5", raw.transfer_syntax_uid, raw.data_set) == 0xA900


def _aborted(box: Box, path: Path, markers: Markers) -> None:
    """Senders that die in the middle of an object, with a word and without one, and before there is an association."""
    raw = read_raw(path)
    half = raw.data_set[: len(raw.data_set) // 2]
    assert any(needle in half for needle in markers.needles)
    for last_word in (dimse.pdu(dimse.ABORT, bytes(4)), b""):
        with Raw(box.port) as sender:
            sender.associate([(raw.sop_class_uid, raw.transfer_syntax_uid)])
            sender.send(store_command(raw.sop_instance_uid, raw.sop_class_uid, context=1))
            for start in range(0, len(half), 100_000):
                sender.send(pdv(1, 0, half[start : start + 100_000]))
            sender.send(last_word)
    with Raw(box.port) as sender:
        sender.send(b"\x01\x00\x00\x00\x01\x00" + path.read_bytes()[:100])
