"""Ways out: sockets of every family, and those that PID 1 passed turned round."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from pathlib import Path

from act import LIBC, ROOT, Group, address, given, in_child, scratch

group = Group("network")
_SECONDS = 2
_FASTOPEN = 0x20000000
_UNSPECIFIED = bytes(16)


def connect(where: tuple[str, int] | str, family: int = socket.AF_INET) -> None:
    with socket.socket(family) as ours:
        ours.settimeout(_SECONDS)
        ours.connect(where)


@group
def connect_to_the_destination() -> None:
    connect(address("DESTINATION"))


@group
def connect_to_another_loopback_address() -> None:
    connect(address("OTHER"))


@group
def connect_to_another_machine() -> None:
    connect(address("OUTSIDE"))


@group
def connect_by_ipv6() -> None:
    connect(address("OTHER6"), socket.AF_INET6)


@group
def send_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"x", address("OUTSIDE"))


@group
def ask_dns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.sendto(bytes(12), ("127.0.0.53", 53))


@group
def bind_and_listen() -> None:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()


@group
def raw_icmp() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@group
def ping_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()


@group
def packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


@group
def netlink_route() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as ours:
        ours.bind((0, 0))


@group
def vsock() -> None:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


@group
def kernel_crypto_socket() -> None:
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0).close()


@group
def bluetooth_socket() -> None:
    socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, 1).close()


@group
def speak_to_dbus() -> None:
    connect("/run/dbus/system_bus_socket", socket.AF_UNIX)


@group
def speak_to_pid1() -> None:
    connect("/run/systemd/private", socket.AF_UNIX)


@group
def speak_to_the_log() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"MESSAGE=act\n", "/run/systemd/journal/socket")


@group
def stream_to_an_abstract_name() -> None:
    connect("\0" + given("ABSTRACT_STREAM"), socket.AF_UNIX)


@group
def datagram_to_an_abstract_name() -> None:
    ours, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"x", "\0" + given("ABSTRACT_DATAGRAM"))


@group
def listen_in_a_shared_folder() -> None:
    path = scratch(str(ROOT / "run"), "listener")
    try:
        with socket.socket(socket.AF_UNIX) as ours:
            ours.bind(str(path))
            ours.listen()
    finally:
        path.unlink(missing_ok=True)


@group
def ring_another_room() -> None:
    ours, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"!", str(ROOT / "run/deliver.sock"))


def _passed(kind: int) -> socket.socket:
    """A copy of a socket that PID 1 passed, which belongs to the host's network."""
    for descriptor in range(3, 3 + int(os.environ.get("LISTEN_FDS", "0"))):
        ours = socket.socket(fileno=os.dup(descriptor))
        if ours.type == kind:
            return ours
    raise OSError(errno.EBADF, "no such socket was passed to this room")


def _disconnect(ours: socket.socket) -> None:
    LIBC.connect(ours.fileno(), ctypes.create_string_buffer(_UNSPECIFIED), len(_UNSPECIFIED))


@group
def listen_anew_on_the_passed_socket() -> None:
    in_child(lambda: _passed(socket.SOCK_STREAM).listen(9))


@group
def fast_open_from_the_passed_socket() -> None:
    def act() -> None:
        ours = _passed(socket.SOCK_STREAM)
        try:
            ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            _disconnect(ours)
        ours.setblocking(False)
        try:
            ours.sendto(b"x", _FASTOPEN, address("OTHER"))
        except BlockingIOError:
            time.sleep(0.5)
        ours.getpeername()  # fails when it did not become a connection

    in_child(act)


@group
def connect_the_passed_socket() -> None:
    def act() -> None:
        ours = _passed(socket.SOCK_STREAM)
        _disconnect(ours)
        ours.settimeout(_SECONDS)
        ours.connect(address("OTHER"))

    in_child(act)


@group
def datagram_outside_from_the_passed_bell() -> None:
    _passed(socket.SOCK_DGRAM).sendto(b"x", "\0" + given("ABSTRACT_DATAGRAM"))


@group
def write_as_the_network_manager() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").open("w").close()
