"""The listening socket: takes connections, gives each a thread and a place, refuses politely when there is none.

Nothing a peer does can hold the accept loop: TLS handshakes and first bytes belong to the association's own thread.
Strangers and those beyond the limits never take a peer's place; a few at a time are told why, the rest are closed.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import Counter

from edge.config.receive import Receive
from edge.errors import EnvironmentFailure
from edge.receive.admission import Address, parse_address
from edge.receive.association import Association, House, Rejected, local_limit, unknown_caller

BACKLOG = 256
_REFUSALS_AT_ONCE = 16
_NO_DESCRIPTORS_SECONDS = 0.1
_FIRST_INHERITED = 3


class Acceptor:
    """Accepts until `stop`.

    Parameters
    ----------
    listener : socket
        Listening. It is closed at the end, never shut down: an inherited one belongs to PID 1.
    """

    def __init__(self, listener: socket.socket, house: House) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._house = house
        self._leave_read, self._leave_write = os.pipe()
        self._thread = threading.Thread(target=self._accept_all, name="acceptor", daemon=True)
        self._free = threading.Condition()
        self._places: Counter[Address | None] = Counter()
        self._refusals = 0

    def start(self) -> None:
        self._thread.start()

    @property
    def is_accepting(self) -> bool:
        """Whether the accept loop still runs."""
        return self._thread.is_alive()

    def stop_accepting(self) -> None:
        """No new connection; those that are open go on."""
        os.write(self._leave_write, b"!")
        self._thread.join()
        self._listener.close()
        os.close(self._leave_read)
        os.close(self._leave_write)

    def wait_empty(self, seconds: float) -> bool:
        """Whether all connections ended within `seconds`."""
        with self._free:
            return self._free.wait_for(lambda: not self._places.total() and not self._refusals, seconds)

    def _accept_all(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._leave_read, select.POLLIN)
        while not any(descriptor == self._leave_read for descriptor, _ in poll.poll()):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:  # no descriptors left: those that wait stay in the backlog
                self._house.counters.add("accept-failed")
                time.sleep(_NO_DESCRIPTORS_SECONDS)
                continue
            self._welcome(connection, parse_address(address[0] if isinstance(address, tuple) else ""))

    def _welcome(self, connection: socket.socket, address: Address | None) -> None:
        refusal = self._take_place(address)
        if refusal is not None and self._refusals > _REFUSALS_AT_ONCE:
            self._house.counters.refuse("dropped")
            connection.close()
            self._give_back(address, refusal)
            return
        thread = threading.Thread(target=self._run, args=(connection, address, refusal), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            self._house.counters.refuse("dropped")
            connection.close()
            self._give_back(address, refusal)

    def _run(self, connection: socket.socket, address: Address | None, refusal: Rejected | None) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Association(self._house, connection, address, refusal).run()
        except OSError:  # gone before it began
            connection.close()
        finally:
            self._give_back(address, refusal)

    def _take_place(self, address: Address | None) -> Rejected | None:
        """A place, or the reason why there is none."""
        bounds: Receive = self._house.bounds
        with self._free:
            if not self._house.admission.knows(address):
                refusal = unknown_caller()
            elif (
                self._places.total() >= bounds.max_associations
                or self._places[address] >= bounds.max_associations_per_host
            ):
                refusal = local_limit()
            else:
                self._places[address] += 1
                return None
            self._refusals += 1
            return refusal

    def _give_back(self, address: Address | None, refusal: Rejected | None) -> None:
        with self._free:
            if refusal is not None:
                self._refusals -= 1
            else:
                self._places[address] -= 1
                if not self._places[address]:
                    del self._places[address]
            self._free.notify_all()


def listen(bounds: Receive) -> socket.socket:
    """The socket that PID 1 passed (sd_listen_fds(3)), else a new one.

    Raises
    ------
    EnvironmentFailure
        If the address cannot be had.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        return socket.socket(fileno=_FIRST_INHERITED)
    try:
        family = socket.AF_INET6 if ":" in bounds.bind else socket.AF_INET
        return socket.create_server((bounds.bind, bounds.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise EnvironmentFailure(
            f"the address cannot be listened on ({error.strerror})",
            which=f"{bounds.bind} port {bounds.port}",
            hint="free the port, or choose another bind and port in [receive]",
        ) from None
