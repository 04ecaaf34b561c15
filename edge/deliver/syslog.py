"""The two ways to a syslog collector: datagrams (RFC 5426), and octet counting over TCP or TLS (RFC 6587, RFC 5425)."""

from __future__ import annotations

import contextlib
import socket
import ssl

_SECONDS = 10.0


def send_datagram(host: str, port: int, line: bytes) -> None:
    """One message, as a datagram. Raises OSError where this machine has no way to the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sending:
        sending.sendto(line, (host, port))


class SyslogStream:
    """A connection that is made when there is something to send, and kept."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._address = (host, port)
        self._tls = tls
        self._socket: socket.socket | None = None

    def send(self, lines: list[bytes]) -> None:
        """All of `lines`. Raises OSError (ssl.SSLError is one) when they did not all go; then `close` it.

        Syslog has no answer: what was handed to a connection that broke a moment later may be lost with it, so a
        connection that the other side has closed is noticed first.
        """
        if self._socket is not None and self._is_closed(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(b"".join(b"%d %s" % (len(line), line) for line in lines))

    def close(self) -> None:
        """Leave; the next `send` connects anew."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def cut(self) -> None:
        """Make a `send` of another thread end now."""
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._address, _SECONDS)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return self._tls.wrap_socket(plain, server_hostname=self._address[0]) if self._tls else plain
        except BaseException:
            plain.close()
            raise

    @staticmethod
    def _is_closed(connection: socket.socket) -> bool:
        """Whether the collector has hung up: it never sends, so anything readable is the end."""
        connection.setblocking(False)
        try:
            return connection.recv(1) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            connection.settimeout(_SECONDS)
