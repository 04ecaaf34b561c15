"""Other processes: seeing them, ending them, reading their memory."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

from act import LIBC, Group, given, in_child, names, read, refused, syscall, with_child

group = Group("processes")
_ATTACH, _SEIZE = 16, 0x4206
_DUMPABLE = 4


def victim() -> int:
    """The main process of another room."""
    return int(given("VICTIM"))


@group
def see_processes_of_others() -> None:
    ours = os.getuid()
    for name in filter(str.isdigit, names("/proc")):
        if Path("/proc", name).stat().st_uid != ours:
            return
    raise refused("none is visible")


@group
def read_pid1s_environment() -> None:
    read("/proc/1/environ")


@group
def read_about_the_processor() -> None:
    read("/proc/cpuinfo")


@group
def read_the_load() -> None:
    read("/proc/loadavg")


@group
def read_the_connections() -> None:
    if Path("/proc/net/tcp").read_text().count("\n") <= 1:
        raise refused("the table is empty")


@group
def read_the_mounts_of_the_host() -> None:
    read("/proc/1/mountinfo")


@group
def signal_another_room() -> None:
    os.kill(victim(), 0)


@group
def signal_pid1() -> None:
    os.kill(1, 0)


@group
def read_another_rooms_memory() -> None:
    os.close(os.open(f"/proc/{victim()}/mem", os.O_RDONLY))


@group
def trace_another_room() -> None:
    syscall(101, _SEIZE, victim(), 0, 0)


@group
def trace_a_child() -> None:
    with_child(lambda pid: syscall(101, _ATTACH, pid, 0, 0))


@group
def read_a_childs_memory_by_call() -> None:
    buffer = ctypes.create_string_buffer(8)
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8))
    with_child(lambda pid: syscall(310, pid, vector, 1, vector, 1, 0))


def _memory_of(pid: int) -> None:
    with open(f"/proc/{pid}/maps") as maps:
        start = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(start)
        memory.read(8)


@group
def read_a_childs_memory_by_file() -> None:
    with_child(_memory_of)


@group
def read_an_undumpable_parents_memory() -> None:
    """What a worker would do to the process that holds the opening key."""
    ours = os.getpid()
    LIBC.prctl(_DUMPABLE, 0, 0, 0, 0)
    try:
        in_child(lambda: _memory_of(ours))
    finally:
        LIBC.prctl(_DUMPABLE, 1, 0, 0, 0)


@group
def hold_another_room_by_descriptor() -> None:
    os.close(os.pidfd_open(victim()))


@group
def compare_processes() -> None:
    syscall(312, os.getpid(), os.getpid(), 0, 0, 1)


@group
def advise_another_process() -> None:
    syscall(440, -1, ctypes.create_string_buffer(16), 1, 21, 0)
