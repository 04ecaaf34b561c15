"""Bytes from and to one peer, each before a deadline.

The socket never blocks by itself: what is not there yet is waited for in poll(2), together with the room's own stop
signal, until a moment that trickling bytes cannot move. Large reads go straight into the caller's memory; what arrives
beyond them is kept for the next read, so that a small message costs one system call.
"""

from __future__ import annotations

import select
import socket
import ssl
import time

_AHEAD = 16384
_DIRECT = 4096


class PeerGone(Exception):
    """The peer closed or reset the connection."""


class TooSlow(Exception):
    """The peer did not send, or did not take, what was due before the deadline."""


class Stopping(Exception):
    """The room ends."""


class Wire:
    """A connected, non-blocking socket.

    Parameters
    ----------
    connection : socket
        Plain, or wrapped in TLS (a handshake that is still to be done is done by `handshake`).
    stop : int
        A descriptor that becomes readable when the room ends.
    """

    def __init__(self, connection: socket.socket, stop: int) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._ahead = memoryview(bytearray(_AHEAD))
        self._start = self._end = 0
        self._secured = False
        self._stop = stop
        self._readable = select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)
        self._readable.register(stop, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(connection.fileno(), select.POLLOUT)

    def handshake(self, context: ssl.SSLContext, deadline: float) -> bytes:
        """Become TLS; returns the peer's certificate in DER. Raises PeerGone when there is no agreement."""
        try:
            secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        except OSError:
            raise PeerGone from None
        self._socket, self._secured = secured, True
        while True:
            try:
                secured.do_handshake()
                return secured.getpeercert(binary_form=True) or b""
            except ssl.SSLWantReadError:
                self._wait_readable(deadline)
            except ssl.SSLWantWriteError:
                self._wait_writable(deadline)
            except OSError:
                raise PeerGone from None

    def wait(self, deadline: float) -> None:
        """Return when at least one byte is there."""
        if self._start == self._end:
            self._start, self._end = 0, self._receive_some(self._ahead, deadline)

    def read_into(self, view: memoryview, deadline: float) -> None:
        """Fill `view`. Raises PeerGone, TooSlow or Stopping."""
        while view:
            kept = self._end - self._start
            if not kept:
                view = view[self._receive(view, deadline) :]
                continue
            count = min(kept, len(view))
            view[:count] = self._ahead[self._start : self._start + count]
            self._start += count
            view = view[count:]

    def read(self, count: int, deadline: float) -> bytes:
        """`count` bytes; the caller has bounded it."""
        if count <= self._end - self._start:
            self._start += count
            return bytes(self._ahead[self._start - count : self._start])
        data = bytearray(count)
        self.read_into(memoryview(data), deadline)
        return bytes(data)

    def send(self, data: bytes, deadline: float) -> None:
        """Send `data` whole. Raises PeerGone or TooSlow."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._wait_writable(deadline)
            except OSError:
                raise PeerGone from None

    def discard(self, deadline: float, limit: int = 1 << 20) -> None:
        """Read and forget until the peer closes, `limit` bytes came or the deadline passed; never raises.

        Closing with unread bytes would reset the connection and take our last answer with it.
        """
        try:
            while limit > 0:
                limit -= self._receive_some(self._ahead, deadline)
        except (PeerGone, TooSlow, Stopping):
            return

    def close(self) -> None:
        self._socket.close()

    def _receive(self, view: memoryview, deadline: float) -> int:
        """Bytes put into `view`; more may now be kept in `_ahead`."""
        if self._secured:
            if len(view) >= _DIRECT:
                return self._receive_some(view, deadline)
            self._start, self._end = 0, self._receive_some(self._ahead, deadline)
            return 0
        while True:
            try:
                count = self._socket.recvmsg_into([view, self._ahead])[0]
            except BlockingIOError:
                self._wait_readable(deadline)
                continue
            except OSError:
                raise PeerGone from None
            if not count:
                raise PeerGone
            self._start, self._end = 0, max(0, count - len(view))
            return min(count, len(view))

    def _receive_some(self, view: memoryview, deadline: float) -> int:
        while True:
            try:
                count = self._socket.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_readable(deadline)
            except ssl.SSLWantWriteError:
                self._wait_writable(deadline)
            except OSError:
                raise PeerGone from None
            else:
                if not count:
                    raise PeerGone
                return count

    def _wait_readable(self, deadline: float) -> None:
        # a sender that leaves Nagle on holds its next small write back until we acknowledge: never let it wait 40 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        ready = self._readable.poll(_milliseconds(deadline))
        if not ready:
            raise TooSlow
        if any(descriptor == self._stop for descriptor, _ in ready):
            raise Stopping

    def _wait_writable(self, deadline: float) -> None:
        if not self._writable.poll(_milliseconds(deadline)):
            raise TooSlow


def _milliseconds(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TooSlow
    return left * 1000
