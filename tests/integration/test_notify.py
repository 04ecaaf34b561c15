"""Notifications and audit messages reach real sockets, in order, and survive that nobody listens."""

from __future__ import annotations

import base64
import json
import queue
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
import support
from certificates import Authority
from outgoing_box import OutgoingBox, delivering, ring

from edge.deliver.herald import Teller
from edge.deliver.room import Room
from edge.errors import EnvironmentFailure
from edge.journal import Journal, alarms
from edge.journal.following import Event
from edge.operate.notifying import Notifier


class Collector:
    """A syslog collector by RFC 5425: octet counting over TLS; messages in the order they came."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        pair = authority.pair("collector", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        listening = socket.create_server(("127.0.0.1", port))
        self.port = listening.getsockname()[1]
        self._socket = context.wrap_socket(listening, server_side=True)
        self.messages: queue.Queue[bytes] = queue.Queue()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            with connection, connection.makefile("rb") as stream:
                while length := self._length(stream):
                    self.messages.put(stream.read(length))

    @staticmethod
    def _length(stream: object) -> int:
        digits = b""
        try:
            while (one := stream.read(1)) not in (b" ", b""):  # type: ignore[attr-defined]
                digits += one
        except OSError:
            return 0
        return int(digits or 0)

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join(10)

    def event(self) -> int:
        """The number in the audit trail of the next message that comes."""
        line = self.messages.get(timeout=30)
        head, _, xml = line.partition(b"\xef\xbb\xbf")
        assert re.fullmatch(rb"<85>1 \S+Z EDGE edge - DICOM\+RFC3881 - ", head)
        details = ElementTree.fromstring(xml).iter("ParticipantObjectDetail")
        return int(base64.b64decode(next(iter(details)).attrib["value"]))


@contextmanager
def listening_for_datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(30)
        yield listening


def noted(box: OutgoingBox) -> list[int]:
    """The events that are worth an audit message: here rooms' and boxes' own."""
    rows = box.journal.database.rows("SELECT id FROM event WHERE thing = 'box' AND new IN ('PAUSED', 'RUNNING')")
    return [row["id"] for row in rows]


def test_a_held_result_and_an_alarm_are_told_by_syslog_and_the_heart_beats(tmp_path: Path) -> None:
    with listening_for_datagrams() as listening:
        extra = f'[notify]\nsyslog = "127.0.0.1:{listening.getsockname()[1]}"\nheartbeat_minutes = 1\n'
        box = OutgoingBox(tmp_path / "box", extra, archive=support.free_port())
        with delivering(box):
            assert listening.recv(4096).endswith(b" heartbeat")
            box.report(held="identity-in-uid")
            alarms.raise_alarm(box.journal, "selftest.cxr-pneumonia", "failed")
            ring(box)
            told = [listening.recv(4096).decode() for _ in range(2)]
        assert re.fullmatch(r"<27>1 \S+ EDGE edge - delivery-held - delivery-held \S+ identity-in-uid", told[0])
        assert told[1].endswith("- selftest-raised - selftest-raised cxr-pneumonia failed")
        box.journal.close()


def test_audit_messages_wait_for_a_collector_that_is_away(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own = authority.pair("box")
    collector = Collector(authority)
    extra = (
        f'[audit.collector]\nhost = "127.0.0.1"\nport = {collector.port}\n[audit.collector.tls]\n'
        f'certificate = "{own.certificate}"\nkey = "{own.key}"\nca = "{authority.ca}"\n'
    )
    box = OutgoingBox(tmp_path / "box", extra, archive=support.free_port())
    with delivering(box):
        note(box, 3)
        assert [collector.event() for _ in range(3)] == noted(box)
        collector.stop()
        note(box, 3)
    again = Collector(authority, collector.port)
    with delivering(box):
        note(box, 2)
        heard: list[int] = []
        while not heard or heard[-1] != noted(box)[-1]:
            heard.append(again.event())
    # what was handed to the dying connection may be lost with it (syslog has no answer); nothing comes out of order
    assert heard == sorted(set(heard))
    assert set(noted(box)[6:]) <= set(heard)
    again.stop()
    box.journal.close()


def note(box: OutgoingBox, count: int) -> None:
    for _ in range(count):
        box.journal.note("box", "pause", "RUNNING", "PAUSED", "test")
    ring(box)


def test_a_command_gets_each_message_once_and_again_until_it_succeeds(tmp_path: Path) -> None:
    told, fails = tmp_path / "told", tmp_path / "fails"
    script = tmp_path / "tell.py"
    script.write_text(
        "import pathlib, sys\n"
        f"if pathlib.Path({str(fails)!r}).exists(): sys.exit(1)\n"
        f"with open({str(told)!r}, 'a') as file: file.write(sys.stdin.read() + chr(10))\n"
    )
    extra = f'[notify]\ncommand = ["{sys.executable}", "{script}"]\n'
    box = OutgoingBox(tmp_path / "box", extra, archive=support.free_port())
    file = box.settings.file
    assert support.run_edge("notify", "--once", "--config", file).returncode == 0  # from now on
    raised(box.journal, "disk", "peer-silent.ct1")
    fails.touch()
    notifier = Notifier(box.settings, box.journal)
    assert not notifier.step()
    assert not notifier.step()
    fails.unlink()
    assert support.run_edge("notify", "--once", "--config", file).returncode == 0
    assert support.run_edge("notify", "--once", "--config", file).returncode == 0
    messages = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(each["name"], each["subject"]) for each in messages] == [
        ("disk-raised", ""),
        ("peer-silent-raised", "ct1"),
    ]
    assert {"event", "at", "name", "subject", "reason", "severity"} == set(messages[0])
    box.journal.close()


def raised(journal: Journal, *names: str) -> None:
    for name in names:
        alarms.raise_alarm(journal, name, "test")


def test_a_teller_that_breaks_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours ends the room, which whoever started it sees; it would be silent else."""
    broken = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: broken.set())

    def tell(events: list[Event]) -> None:
        raise ValueError(len(events))

    made = OutgoingBox(tmp_path / "box")
    monkeypatch.setattr("edge.deliver.room.tellers", lambda _, journal: [Teller(journal, "notify", tell)])
    room, stopping = Room(made.settings), threading.Event()
    given_up = threading.Timer(10, stopping.set)
    room.start()
    given_up.start()
    try:
        made.journal.note("box", "journal", "", "BACKUP")
        with pytest.raises(EnvironmentFailure, match="a teller ended"):
            room.run(stopping)
    finally:
        given_up.cancel()
        room.stop()
    assert broken.wait(10)
