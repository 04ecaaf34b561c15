"""The relink room: listens for boxes, gives each association a thread and a place, and keeps nothing.

start: read the certificates, listen. run: accept until told to stop. stop: hear nothing more, let what is
being stored be answered.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time

from edge import rooms
from edge.config import Settings
from edge.config.relink import Relink
from edge.errors import ConfigError, EnvironmentFailure
from edge.relink import also
from edge.relink.association import Association, House, Rejected, local_limit, unknown_caller
from edge.relink.door import Door, parse_address
from edge.relink.gateway import Gateway
from edge.scu import Peer
from edge.tls import client_context, server_context
from edge.wake import inherited

PACS_SECONDS = (5.0, 10.0, 20.0)
"""To connect, to negotiate, to answer a C-STORE; with the questions it is less than the 60 s that a box waits."""

_BACKLOG = 64
_BEAT_MILLISECONDS = 5000
_REFUSALS_AT_ONCE = 4
_GRACE_SECONDS = 60.0
_NO_DESCRIPTORS_SECONDS = 0.1


class Room:
    """See edge.rooms.Room. `port` is where it listens once started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._relink = needed(settings)
        self._open: dict[threading.Thread, Association] = {}
        self._refusing: set[threading.Thread] = set()
        self._changed = threading.Condition()
        self.port = 0

    def start(self) -> None:
        """Listen. Raises EdgeError when something needed is missing."""
        relink = self._relink
        gateway = Gateway(
            pacs_of(self._settings, relink),
            character_set=relink.pacs.character_set,
            evidence_wait=relink.evidence_wait_seconds,
            iocm=relink.iocm,
            also=also.from_settings(self._settings),
        )
        self._house = House(
            door=Door(relink),
            store=gateway.store,
            tls=server_context(relink.tls, self._settings, "relink.tls"),
            idle_seconds=relink.idle_seconds,
            max_object_bytes=relink.max_object_mib << 20,
        )
        self._listener = _listen(relink)
        self._wake_read, self._wake_write = os.pipe()
        self.port = int(self._listener.getsockname()[1])
        self._announce()

    def run(self, stopping: threading.Event) -> None:
        """Accept connections; nothing a box does holds this loop."""
        heart = rooms.Heartbeat()
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while not stopping.is_set():
            heart.beat()
            ready = poll.poll(_BEAT_MILLISECONDS)
            if not ready or any(descriptor == self._wake_read for descriptor, _ in ready):
                continue
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:  # no descriptors left: those that wait stay in the backlog
                time.sleep(_NO_DESCRIPTORS_SECONDS)
                continue
            self._welcome(connection, str(address[0]))

    def wake(self) -> None:
        """Make `run` look at `stopping` now."""
        os.write(self._wake_write, b"!")

    def stop(self) -> None:
        """Hear nothing more; results that are being stored are still answered."""
        self._listener.close()
        with self._changed:
            for association in self._open.values():
                association.leave()
        self._wait_empty(_GRACE_SECONDS)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _welcome(self, connection: socket.socket, host: str) -> None:
        """A thread for this connection, with a place, or with the refusal that it will be told."""
        address = parse_address(host)
        refusal = self._refusal(self._house.door.knows(address))
        if refusal is not None and len(self._refusing) >= _REFUSALS_AT_ONCE:
            connection.close()
            return
        with contextlib.suppress(OSError):  # gone before it began
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = Association(self._house, connection, address, refusal)
        thread = threading.Thread(target=self._serve, args=(association,), daemon=True)
        with self._changed:
            if refusal is None:
                self._open[thread] = association
            else:
                self._refusing.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            self._forget(thread)
            connection.close()

    def _refusal(self, known: bool) -> Rejected | None:
        if not known:
            return unknown_caller()
        return local_limit() if len(self._open) >= self._relink.max_associations else None

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        finally:
            self._forget(threading.current_thread())

    def _forget(self, thread: threading.Thread) -> None:
        with self._changed:
            self._open.pop(thread, None)
            self._refusing.discard(thread)
            self._changed.notify_all()

    def _wait_empty(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._open and not self._refusing, seconds)

    def _announce(self) -> None:
        try:
            self._settings.run.mkdir(mode=0o750, parents=True, exist_ok=True)
            rooms.announce(self._settings, "relink", port=self.port)
        except OSError as error:
            raise EnvironmentFailure(
                f"the folder for the gateway's own announcement cannot be used ({error.strerror})",
                which="run",
                hint="give [box] a root that the gateway's user may write",
            ) from None


def pacs_of(settings: Settings, relink: Relink) -> Peer:
    """The PACS as a peer. Raises EnvironmentFailure when a file of its TLS cannot be used."""
    connect, associate, answer = PACS_SECONDS
    return Peer(
        host=relink.pacs.host,
        port=relink.pacs.port,
        called=relink.pacs.ae_title,
        calling=relink.ae_title,
        tls=client_context(relink.pacs.tls, settings, "relink.pacs.tls"),
        connect=connect,
        associate=associate,
        answer=answer,
    )


def needed(settings: Settings) -> Relink:
    """The section [relink]. Raises ConfigError where there is none."""
    if settings.relink is None:
        raise ConfigError(
            "there is no gateway to run", which="relink", hint="add [relink] (edge/relink/README.md has one)"
        )
    return settings.relink


def _listen(relink: Relink) -> socket.socket:
    """The socket that PID 1 passed, else a new one."""
    passed = inherited("dicom")
    if passed is not None:
        return passed
    try:
        family = socket.AF_INET6 if ":" in relink.bind else socket.AF_INET
        listener = socket.create_server((relink.bind, relink.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise EnvironmentFailure(
            f"the address cannot be listened on ({error.strerror})",
            which=f"{relink.bind} port {relink.port}",
            hint="free the port, or choose another bind and port in [relink]",
        ) from None
    listener.setblocking(False)
    return listener
