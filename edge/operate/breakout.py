"""Tries to break out of a worker's lock, as a process of its own: `python -m edge.operate.breakout FOLDER [--locked]`.

Each act is asked of the kernel directly, past Python's own audit hook, and is tried unlocked as well: a refusal means
something only where the act works otherwise. Prints {act: error number, 0 for done} as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from edge.infer import lockdown

_NOT_STARTED = 77


def _read(libc: ctypes.CDLL, _: bytes) -> int:
    return int(libc.open(b"/etc/passwd", os.O_RDONLY))


def _write(libc: ctypes.CDLL, folder: bytes) -> int:
    return int(libc.open(folder + b"/written", os.O_WRONLY | os.O_CREAT, 0o600))


def _connect(libc: ctypes.CDLL, _: bytes) -> int:
    return int(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0))


def _start(libc: ctypes.CDLL, _: bytes) -> int:
    child = os.fork()
    if child == 0:
        libc.execve(b"/bin/true", (ctypes.c_char_p * 2)(b"true", None), (ctypes.c_char_p * 1)(None))
        os._exit(_NOT_STARTED)
    return _refused(child)


def _signal(libc: ctypes.CDLL, _: bytes) -> int:
    return int(libc.kill(os.getppid(), 0))


def _trace(libc: ctypes.CDLL, _: bytes) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else _NOT_STARTED)
    return _refused(child)


def _refused(child: int) -> int:
    """-1 when the kernel refused the act in `child`."""
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return -1 if ended == _NOT_STARTED else 0


def _hidden_code(libc: ctypes.CDLL, _: bytes) -> int:
    return int(libc.memfd_create(b"edge", 0))


ACTS: tuple[tuple[str, Callable[[ctypes.CDLL, bytes], int]], ...] = (
    ("read a file", _read),
    ("write a file", _write),
    ("open a socket", _connect),
    ("start a program", _start),
    ("signal another process", _signal),
    ("trace", _trace),
    ("make an anonymous file", _hidden_code),
)


def main(folder: str, *, locked: bool) -> None:
    """Lock this process in, if asked to, and try everything."""
    libc = ctypes.CDLL(None, use_errno=True)
    if locked:
        lockdown.apply(lockdown.software_paths())
    found = {}
    for name, act in ACTS:
        ctypes.set_errno(0)
        found[name] = 0 if act(libc, folder.encode()) >= 0 else ctypes.get_errno() or 1
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), locked="--locked" in sys.argv)
