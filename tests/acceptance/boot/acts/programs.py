"""Other programs, and memory that is both written and run."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

from act import LIBC, ROOT, Group, in_child, scratch, syscall

group = Group("programs")
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_READ, _WRITE, _RUN = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC
_PAGE, _RETURN = 4096, b"\xc3"
_FAILED = ctypes.c_void_p(-1).value


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _dropped(folder: str) -> None:
    path = scratch(folder, "program")
    path.write_bytes(b"#!/usr/bin/python3\n")
    path.chmod(0o755)
    try:
        run(str(path))
    finally:
        path.unlink()


@group
def run_a_shell() -> None:
    run("/bin/sh", "-c", ":")


@group
def run_a_tool() -> None:
    run("/usr/bin/id")


@group
def run_a_shell_through_the_loader() -> None:
    run(*map(str, Path("/lib64").glob("ld-linux*.so.*")), "/bin/sh", "-c", ":")


@group
def run_systemctl() -> None:
    run("/usr/bin/systemctl", "--version")


@group
def run_what_was_dropped_in_tmp() -> None:
    _dropped("/tmp")


@group
def run_what_was_dropped_in_var_tmp() -> None:
    _dropped("/var/tmp")


@group
def run_what_was_dropped_in_shared_memory() -> None:
    _dropped("/dev/shm")


@group
def run_what_was_dropped_in_the_run_folder() -> None:
    _dropped(str(ROOT / "run"))


@group
def run_what_was_dropped_beside_the_journal() -> None:
    _dropped(str(ROOT / "journal"))


@group
def load_a_dropped_library() -> None:
    path = scratch("/tmp", "library.so")
    shutil.copy(next(Path("/usr/lib").glob("*/libz.so.1")), path)
    try:
        ctypes.CDLL(str(path))
    finally:
        path.unlink()


@group
def run_an_anonymous_file() -> None:
    descriptor = os.memfd_create("act", 0)
    os.write(descriptor, Path(sys.executable).read_bytes())
    run(f"/proc/{os.getpid()}/fd/{descriptor}", "-c", "")


@group
def run_python() -> None:
    run(sys.executable, "-I", "-S", "-c", "")


def _map(protection: int, flags: int, descriptor: int) -> int:
    address = LIBC.mmap(None, _PAGE, protection, flags, descriptor, 0)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    return int(address)


def _map_to_run(path: Path) -> None:
    path.write_bytes(_RETURN * _PAGE)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _map(_READ | _RUN, mmap.MAP_PRIVATE, descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


@group
def map_memory_to_write_and_run() -> None:
    _map(_READ | _WRITE | _RUN, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)


@group
def make_written_memory_run() -> None:
    address = _map(_READ | _WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
    if LIBC.mprotect(address, _PAGE, _READ | _RUN):
        raise OSError(ctypes.get_errno(), "mprotect")


@group
def map_a_written_file_to_run() -> None:
    _map_to_run(scratch("/tmp", "code"))


@group
def map_shared_memory_to_run() -> None:
    _map_to_run(scratch("/dev/shm", "code"))


@group
def map_a_file_beside_the_journal_to_run() -> None:
    _map_to_run(scratch(str(ROOT / "journal"), "code"))


@group
def map_an_anonymous_file_to_run() -> None:
    descriptor = os.memfd_create("act", 0)
    os.write(descriptor, _RETURN * _PAGE)
    _map(_READ | _RUN, mmap.MAP_PRIVATE, descriptor)


@group
def keep_all_memory_in_place() -> None:
    in_child(lambda: syscall(151, 1))
