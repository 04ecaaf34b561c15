"""Where messages about filed results go: a folder, or one address that is called for each (FHIR by HTTP, HL7 by MLLP).

Whatever goes wrong is Refused with A702: the box keeps the result and tries again, and the message with it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.files import write_durably
from edge.relink import hl7
from edge.relink.status import Refused, Status

SECONDS = 10.0
"""For connecting, and again for the rest of one message: a box waits 60 s for all of it."""

_LONGEST_ANSWER = 1 << 20
_START, _END = b"\x0b", b"\x1c\r"
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint. `path` and `authorization` are for HTTP alone."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    path: str = ""
    authorization: str = ""


def to_folder(folder: Path, name: str, content: bytes) -> None:
    """Write a message whole, over an earlier one of the same name. Raises Refused."""
    try:
        write_durably(folder / name, content, _MODE)
    except OSError:
        raise _failed("folder") from None


def post(address: Address, bundle: dict[str, Any]) -> None:
    """POST a FHIR transaction. Raises Refused unless it is taken."""
    kind = http.client.HTTPConnection if address.tls is None else _tls_connection(address.tls)
    connection = kind(address.host, address.port, timeout=SECONDS)
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    if address.authorization:
        headers["Authorization"] = address.authorization
    try:
        connection.connect()
        with _alarm(connection.sock):
            connection.request("POST", address.path, json.dumps(bundle).encode(), headers)
            response = connection.getresponse()
            response.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        raise _failed("fhir-unreachable") from None
    finally:
        connection.close()
    if response.status not in (200, 201):
        raise _failed(f"fhir-http-{response.status}")


def tell(address: Address, message: bytes) -> None:
    """Send an HL7 v2 message by MLLP and wait for its acknowledgement. Raises Refused unless it is accepted."""
    try:
        connection = socket.create_connection((address.host, address.port), SECONDS)
        if address.tls is not None:
            connection = address.tls.wrap_socket(connection, server_hostname=address.host)
        with connection, _alarm(connection):
            connection.sendall(_START + message + _END)
            answer = _answer(connection)
    except OSError:
        raise _failed("hl7-unreachable") from None
    code = hl7.accepts(answer.strip(_START + _END))
    if code not in ("AA", "CA"):
        raise _failed(f"hl7-{code or 'no-acknowledgement'}")


def _answer(connection: socket.socket) -> bytes:
    answer = b""
    while _END not in answer and len(answer) <= _LONGEST_ANSWER:
        part = connection.recv(65536)
        if not part:
            break
        answer += part
    return answer


@contextmanager
def _alarm(connection: socket.socket) -> Iterator[None]:
    """The socket's own timeout begins anew with every byte; this one does not."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    alarm = threading.Timer(SECONDS, cut)
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def _tls_connection(context: ssl.SSLContext) -> Any:
    return lambda host, port, timeout: http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _failed(reason: str) -> Refused:
    return Refused(Status.PACS_AWAY, reason)
