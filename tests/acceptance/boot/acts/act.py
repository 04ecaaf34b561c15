"""What an act is: a function that does one forbidden thing, and raises OSError when it cannot. Standard library only.

The acts run inside a room's own unit (see run.py), so nothing here may import the tests or pytest.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
ROOT = Path("/var/lib/edge")
_KILLED = errno.EFAULT


class Act(NamedTuple):
    """One row of the table."""

    group: str
    name: str
    do: Callable[[], object]


class Group:
    """The acts of one file, in order: `@group` adds a function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acts: list[Act] = []

    def __call__(self, function: Callable[[], object]) -> Callable[[], object]:
        self.acts.append(Act(self.name, function.__name__, function))
        return function


def given(name: str) -> str:
    """What the test told this run: addresses, a process to attack, a sealed object."""
    return os.environ[f"ACT_{name}"]


def address(name: str) -> tuple[str, int]:
    """An address of the test's, `HOST PORT`."""
    host, port = given(name).split()
    return host, int(port)


def syscall(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
    """A system call by its x86-64 number."""
    plain = [each if isinstance(each, (bytes, ctypes.Array)) else ctypes.c_long(each) for each in arguments]
    return result_of(LIBC.syscall(ctypes.c_long(number), *plain), f"syscall {number}")


def result_of(value: int, what: str) -> int:
    """`value`, unless it says that errno was set."""
    if value == -1:
        raise OSError(ctypes.get_errno(), what)
    return value


def refused(why: str) -> OSError:
    """For an act that finds nothing where it looks."""
    return FileNotFoundError(errno.ENOENT, why)


def read(path: str | Path) -> None:
    with open(path, "rb") as file:
        file.read(64)


def write(path: str | Path) -> None:
    """Make a file and remove it."""
    with open(path, "ab") as file:
        file.write(b"x")
    Path(path).unlink(missing_ok=True)


def names(folder: str | Path) -> set[str]:
    """What is in `folder`."""
    return {path.name for path in Path(folder).iterdir()}


def open_only(path: str | Path, flags: int) -> None:
    os.close(os.open(path, flags))


def in_child(do: Callable[[], object]) -> None:
    """In a fork, so that an act that works does not change those after it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            do()
        except OSError as error:
            code = error.errno or errno.ETIMEDOUT
        except BaseException:
            code = errno.EINVAL
        os.write(writer, struct.pack("i", code))
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 4)
    os.close(reader)
    os.waitpid(pid, 0)
    if len(answer) != 4:
        raise OSError(_KILLED, "killed by a signal")
    if code := struct.unpack("i", answer)[0]:
        raise OSError(code, os.strerror(code))


def with_child(do: Callable[[int], object]) -> None:
    """With a living child process of one's own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        do(pid)
    finally:
        os.close(writer)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def scratch(folder: str, name: str) -> Path:
    """A path in `folder` that this run alone uses."""
    return Path(folder) / f"act-{tempfile.gettempprefix()}-{os.getpid()}-{name}"
