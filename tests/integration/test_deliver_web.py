"""Results by STOW-RS: a real Orthanc's DICOMweb, and web servers that refuse, redirect, hang or talk nonsense."""

from __future__ import annotations

import email
import email.policy
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import support
from certificates import Authority, Pair
from outgoing_box import HEAD, OutgoingBox, becomes, delivering

from edge.config import load
from edge.deliver.retry import Backoff
from edge.deliver.room import Room
from edge.errors import ConfigError, EnvironmentFailure
from edge.part10 import split

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WEB = """
[destinations.archive]
kind = "deidentified"
protocol = "stow-rs"
host = "127.0.0.1"
port = {port}
{more}
"""


@dataclass
class Got:
    """What a web server was asked: request lines, headers, and each object with its UID."""

    lines: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    objects: list[bytes] = field(default_factory=list)
    connections: int = 0


Answer = Callable[[str], tuple[int, bytes]]
ENDLESS = b'{"00081198": {"Value": [{"00081155": {"Value": ["%s"]}, "00081197": {"Value": [1e999]}}]}}'
"""From the SOP Instance UID that came to a status and a body."""


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, Got]]:
    """A web server that answers as told; its port and what it got."""
    got = Got()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            got.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            file = only_part(self.headers["Content-Type"], body)
            got.lines.append(self.requestline)
            got.headers.append(dict(self.headers.items()))
            got.objects.append(file)
            status, said = answer(split(file).sop_instance_uid)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def only_part(content_type: str, body: bytes) -> bytes:
    """The one part of a multipart/related body, read by the standard library's own parser (RFC 2387)."""
    message = email.message_from_bytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    (part,) = message.iter_parts()
    assert part.get_content_type() == "application/dicom"
    start = body.index(b"\r\n\r\n") + 4  # the parser takes lines for text; the bytes are what counts
    return body[start : body.rindex(b"\r\n--")]


def response(uid: str, sequence: str, **reasons: int) -> bytes:
    """A store response (PS3.18 10.5.3) about one object."""
    item = {"00081155": {"vr": "UI", "Value": [uid]}}
    item |= {tag.removeprefix("x"): {"vr": "US", "Value": [value]} for tag, value in reasons.items()}
    return json.dumps({sequence: {"vr": "SQ", "Value": [item]}}).encode()


def taken(uid: str) -> tuple[int, bytes]:
    return 200, response(uid, "00081199")


def web_box(folder: Path, port: int, more: str = "") -> OutgoingBox:
    return OutgoingBox(folder, WEB.format(port=port, more=more))


def test_a_real_orthanc_files_what_came_by_the_web(tmp_path: Path) -> None:
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed: ./firmware_scripts/test.sh installs it")
    server = support.Orthanc(tmp_path, Plugins=[str(PLUGIN)], DicomWeb={"Enable": True, "Root": "/dicom-web/"})
    try:
        made = web_box(tmp_path / "box", server.http_port)
        uids = [made.report() for _ in range(3)]
        with delivering(made):
            for uid in uids:
                becomes(made, uid, "SENT")
        assert server.sop_instance_uids() == sorted(uids)
        for each in server.get("/instances"):
            stored = server.read(f"/instances/{each}/file")
            original = made.file(split(stored).sop_instance_uid).read_bytes()
            assert split(stored).data_set == split(original).data_set
    finally:
        server.stop()


def test_many_objects_go_over_one_connection_byte_for_byte(tmp_path: Path) -> None:
    with serving(taken) as (port, got):
        made = web_box(tmp_path / "box", port, 'path = "/pacs/dicom-web/"')
        uids = [made.report() for _ in range(8)]
        with delivering(made):
            for uid in uids:
                becomes(made, uid, "SENT")
    assert got.connections == 1
    assert got.objects == [made.file(uid).read_bytes() for uid in uids]
    assert set(got.lines) == {"POST /pacs/dicom-web/studies HTTP/1.1"}
    assert {headers["Accept"] for headers in got.headers} == {"application/dicom+json"}


@pytest.mark.parametrize(
    ("status", "sequence", "reasons", "state"),
    [
        (202, "00081199", {"x00081196": 0xB000}, "SENT status-B000"),
        (200, "00081199", {}, "SENT"),
        (409, "00081198", {"x00081197": 0xA700}, "PENDING status-A700"),
        (409, "00081198", {"x00081197": 0x0110}, "PENDING status-0110"),
        (409, "00081198", {"x00081197": 0x0122}, "FAILED status-0122"),
        (409, "00081198", {"x00081197": 0xB000}, "FAILED status-B000"),
        (202, "00081198", {"x00081197": 0xA900}, "FAILED status-A900"),
    ],
)
def test_what_the_response_says_of_the_object_decides(
    tmp_path: Path, status: int, sequence: str, reasons: dict[str, int], state: str
) -> None:
    with serving(lambda uid: (status, response(uid, sequence, **reasons))) as (port, _):
        made = web_box(tmp_path / "box", port)
        uid = made.report()
        with delivering(made):
            becomes(made, uid, state)


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b"", "SENT http-200"),
        (200, b'{"00081199": 7}', "SENT http-200"),
        (409, ENDLESS, "FAILED http-409"),
        (202, b"[" * 10_000, "FAILED http-202"),
        (409, b"not JSON", "FAILED http-409"),
        (400, b"", "FAILED http-400"),
        (415, b"", "FAILED http-415"),
        (500, b"", "PENDING http-500"),
        (503, b"", "PENDING peer-http-503"),
        (401, b"", "PENDING peer-http-401"),
        (404, b"", "PENDING peer-http-404"),
        (307, b"", "PENDING peer-http-307"),
        (200, b" " * (2 << 20), "PENDING protocol"),
    ],
)
def test_an_answer_without_a_word_on_the_object_is_read_by_its_status(
    tmp_path: Path, status: int, body: bytes, state: str
) -> None:
    with serving(lambda uid: (status, body.replace(b"%s", uid.encode()))) as (port, _):
        made = web_box(tmp_path / "box", port)
        uid = made.report()
        with delivering(made):
            becomes(made, uid, state)


def test_a_service_that_is_away_rests_as_a_whole_and_gets_all_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "seconds", lambda *_: 0.2)
    asked: list[str] = []

    def answer(uid: str) -> tuple[int, bytes]:
        asked.append(uid)
        return (503, b"") if len(asked) <= 3 else taken(uid)

    with serving(answer) as (port, _):
        made = web_box(tmp_path / "box", port)
        uids = [made.report() for _ in range(3)]
        with delivering(made):
            for uid in uids:
                becomes(made, uid, "SENT")
    assert sorted(asked[3:]) == sorted(uids)


def test_nobody_there_waits(tmp_path: Path, free_port: Callable[[], int]) -> None:
    made = web_box(tmp_path / "box", free_port())
    uid = made.report()
    with delivering(made):
        becomes(made, uid, "PENDING peer-unreachable")


# --- secrets and TLS


def test_the_secret_of_a_file_goes_into_the_header(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "token").write_text("Bearer invented-token\n")
    with serving(taken) as (port, got):
        made = web_box(tmp_path / "box", port, 'authorization = "token"')
        uid = made.report()
        with delivering(made):
            becomes(made, uid, "SENT")
    assert got.headers[0]["Authorization"] == "Bearer invented-token"


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff"])
def test_a_secret_that_is_none_is_said_at_start(tmp_path: Path, content: bytes | None) -> None:
    made = web_box(tmp_path / "box", 1, 'authorization = "token"')
    if content is not None:
        (tmp_path / "box" / "token").write_bytes(content)
    with pytest.raises(EnvironmentFailure, match="secret cannot be used") as caught:
        Room(made.settings).start()
    assert caught.value.which == "destinations.archive.authorization"
    assert "two" not in str(caught.value)


TLS = """
[destinations.archive.tls]
certificate = "tls/box.pem"
key = "tls/box.key"
ca = "tls/ca.pem"
"""


def server_side(own: Pair, callers: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.load_verify_locations(callers)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_both_sides_prove_themselves(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "box" / "tls")
    authority.pair("box")
    with serving(taken, server_side(authority.pair("archive", "127.0.0.1"), authority.ca)) as (port, got):
        made = web_box(tmp_path / "box", port, TLS)
        uid = made.report()
        with delivering(made):
            becomes(made, uid, "SENT")
    assert len(got.objects) == 1


def test_nothing_is_sent_to_who_does_not(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "box" / "tls"), Authority(tmp_path / "other", "ANOTHER CA")
    authority.pair("box")
    with serving(taken, server_side(other.pair("archive", "127.0.0.1"), authority.ca)) as (port, got):
        made = web_box(tmp_path / "box", port, TLS)
        uid = made.report()
        with delivering(made):
            becomes(made, uid, "PENDING peer-tls")
    assert got.objects == []


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ('kind = "relink"\nprotocol = "stow-rs"', "speaks DIMSE only"),
        ('kind = "deidentified"\nprotocol = "stow-rs"\npath = "/../x?y"', "not the path of a service"),
        ('kind = "deidentified"', "ae_title is missing"),
        (
            'kind = "deidentified"\nprotocol = "stow-rs"\naccept_unfiled_results = true\nauthorization = "token"',
            "in the clear",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, lines: str, what: str) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(f'{HEAD}[destinations.archive]\nhost = "10.1.2.3"\nport = 443\n{lines}\n')
    with pytest.raises(ConfigError, match=what):
        load(file)
