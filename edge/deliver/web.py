"""A destination that takes results by HTTP: STOW-RS (PS3.18 10.5), one object a request, on a connection that is kept.

The answer is read as far as it says what became of the one object: its warning or failure reason (PS3.18 10.5.3) is a
status like that of a C-STORE, and means the same. Redirections are not followed, no proxy is asked, nothing is looked
up by name; every wait has a deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge import crypto
from edge.deliver import retry
from edge.deliver.line import IDLE_SECONDS
from edge.deliver.retry import Decision
from edge.errors import PeerFailure
from edge.part10 import Part10
from edge.records import DeliveryState

_LONGEST_ANSWER = 1 << 20
_ACCEPTED = (200, 202, 409)
_REFERENCED, _FAILED = "00081199", "00081198"
_WARNING_REASON, _FAILURE_REASON = "00081196", "00081197"
_INSTANCE = "00081155"


@dataclass(frozen=True, slots=True)
class Web:
    """Whom to call, by address, and how long to wait (seconds): `connect` for TCP and TLS, `answer` for a request.

    `path` is that of the DICOMweb service; `authorization` is a whole value of that header, or empty.
    """

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None
    authorization: str = ""
    connect: float = 10.0
    answer: float = 60.0


class WebLine:
    """At most one connection at a time; as edge.deliver.line.Line."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._connection: http.client.HTTPConnection | None = None
        self._last = 0.0

    def open(self, parts: Part10) -> bool:
        """Make sure that there is a connection; whether there was one before. Raises PeerFailure."""
        if self._connection is not None:
            return True
        connection = _connection(self._web)
        try:
            connection.connect()
        except ssl.SSLError:
            raise PeerFailure("tls") from None
        except OSError:
            raise PeerFailure("unreachable") from None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(self._web.answer)
        self._connection = connection
        self._last = time.monotonic()
        return False

    def store(self, parts: Part10) -> Decision:
        """Send `parts` as one request; what its answer means. Raises PeerFailure: `drop` it then."""
        connection = self._connection
        if connection is None:
            raise PeerFailure("aborted")
        # the socket's own timeout begins anew with every byte
        alarm = threading.Timer(self._web.answer, self.cut)
        began = time.monotonic()
        alarm.start()
        try:
            status, body = self._exchange(connection, parts)
        except TimeoutError:
            raise PeerFailure("silent") from None
        except (OSError, http.client.HTTPException) as error:
            late = time.monotonic() - began >= self._web.answer
            raise PeerFailure("silent" if late else _what_broke(error)) from None
        finally:
            alarm.cancel()
        self._last = time.monotonic()
        return decide(status, body, parts.sop_instance_uid)

    def idle_left(self) -> float | None:
        """Seconds until the connection has been idle for too long; None when there is none."""
        return None if self._connection is None else max(0.0, self._last + IDLE_SECONDS - time.monotonic())

    def release(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    drop = release

    def cut(self) -> None:
        """Make a wait for the peer end now (another thread may call this)."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self, connection: http.client.HTTPConnection, parts: Part10) -> tuple[int, bytes]:
        boundary = f"edge-{crypto.random_bytes(16).hex()}"
        body = _multipart(parts.file, boundary)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if self._web.authorization:
            headers["Authorization"] = self._web.authorization
        connection.request("POST", f"{self._web.path.rstrip('/')}/studies", body, headers)
        response = connection.getresponse()
        said = response.read(_LONGEST_ANSWER + 1)
        if len(said) > _LONGEST_ANSWER:
            raise http.client.HTTPException
        if response.will_close:
            self.release()
        return response.status, said


def decide(status: int, body: bytes, sop_instance_uid: str) -> Decision:
    """What an HTTP status and the store response beside it mean for the one object that was sent.

    A status that is about the service and not about the object begins with `peer-`: all that goes there waits.
    """
    if status in _ACCEPTED:
        return _of_response(status, body, sop_instance_uid)
    reason = f"http-{status}"
    if status in (400, 413, 415, 422):
        return Decision(DeliveryState.FAILED, reason)
    if status == 500:
        return Decision(DeliveryState.PENDING, reason)
    return Decision(DeliveryState.PENDING, f"peer-{reason}")


def _of_response(status: int, body: bytes, sop_instance_uid: str) -> Decision:
    try:
        response = json.loads(body)
        failed = _reason_of(response, _FAILED, _FAILURE_REASON, sop_instance_uid)
        warned = _reason_of(response, _REFERENCED, _WARNING_REASON, sop_instance_uid)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
        failed = warned = None
    if failed is not None:
        decision = retry.of_status(failed)
        # a failure is none by the standard's own word, whatever number it carries
        return decision if decision.state is not DeliveryState.SENT else Decision(DeliveryState.FAILED, decision.reason)
    if warned is not None:
        return Decision(DeliveryState.SENT, f"status-{warned:04X}" if warned else "")
    if status == 200:
        return Decision(DeliveryState.SENT, "http-200")
    return Decision(DeliveryState.FAILED, f"http-{status}")


def _reason_of(response: Mapping[str, Any], sequence: str, reason: str, sop_instance_uid: str) -> int | None:
    """The reason in the item about our object, 0 where it has none; None without such an item."""
    for item in response.get(sequence, {}).get("Value", ()):
        if item[_INSTANCE]["Value"][0] == sop_instance_uid:
            values = item.get(reason, {}).get("Value", (0,))
            return int(values[0]) & 0xFFFF
    return None


def _multipart(file: bytes, boundary: str) -> bytes:
    return b"".join(
        (f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), file, f"\r\n--{boundary}--\r\n".encode())
    )


def _connection(web: Web) -> http.client.HTTPConnection:
    if web.tls is None:
        return http.client.HTTPConnection(web.host, web.port, timeout=web.connect)
    return http.client.HTTPSConnection(web.host, web.port, timeout=web.connect, context=web.tls)


def _what_broke(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls"
    return "aborted" if isinstance(error, OSError) else "protocol"
