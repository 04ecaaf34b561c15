"""What a worker gives up before it meets a received byte or a vendor's graph. Standard library only.

Landlock (where the kernel has it): no file but software may be read, none written or run, no TCP. seccomp: no new
socket, no other program, no look into other processes, no signal to them. An audit hook says the same to Python
code. Resource limits come with the package. `apply` must run before any other thread exists: Landlock and seccomp
hold for the thread that asks and those that it starts.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 38, 22
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE_AND_READ = 0b1101
_FILE_RIGHTS = 0b1_0000_0000_0000_0111
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_RIGHTS = 16
_EPERM = 1
_OPEN_FILES = 128

# BPF: load a word, jump if equal, jump if at least, return (linux/filter.h); offsets are those of struct seccomp_data
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_FIRST_ARGUMENT = 16
_X32 = 0x40000000
"""From here on x86-64 has every call a second time, by another number (the x32 ABI); nothing of ours uses it."""

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_FORBIDDEN = {
    # socket socketpair connect accept bind listen execve ptrace unshare process_vm_readv/writev setns accept4 bpf
    # execveat userfaultfd io_uring_setup open_by_handle_at perf_event_open add_key keyctl mount
    # tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open pidfd_getfd
    "x86_64": (0xC000003E, (41, 53, 42, 43, 49, 50, 59, 101, 272, 310, 311, 308, 288, 321, 322, 323, 425, 304, 298,
                            248, 250, 165, 200, 129, 297, 424, 434, 438)),
    "aarch64": (0xC00000B7, (198, 199, 203, 202, 200, 201, 221, 117, 97, 270, 271, 268, 242, 280, 281, 282, 425, 265,
                             241, 217, 219, 40, 130, 138, 240, 424, 434, 438)),
}  # fmt: skip
_ON_ITSELF = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}
"""kill, tgkill, prlimit64: abort() and every limit need them, on this process; the room and its other workers, which
have the same user, are out of their reach. The first argument says whom they are for."""

_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}
_REFUSED_EVENTS = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen",
                   "os.system", "os.exec", "os.posix_spawn", "os.spawn")  # fmt: skip


def undumpable() -> None:
    """This process's memory cannot be read by others of the same user: the opening key stays out of reach."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def apply(software: tuple[Path, ...], devices: tuple[Path, ...] = ()) -> tuple[bool, bool]:
    """Lock this process in, as far as the kernel lets it; (Landlock holds, seccomp holds).

    `software` may be read, `devices` also written; nothing else is reachable by name.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    sys.addaudithook(_refuse)
    # an accelerator's driver may need anonymous files; elsewhere they would only be code that no path names
    return _landlock(libc, software, devices), _seccomp(libc, anonymous_files=bool(devices))


def address_space() -> int:
    """Bytes of address space that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limit_memory(size: int) -> None:
    """At most `size` bytes of address space, until the next call."""
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def limit_processor(seconds: float) -> None:
    """End this process (SIGXCPU) when it has used `seconds` more of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def software_paths() -> tuple[Path, ...]:
    """Python, its packages, this software, and the system's libraries."""
    here = Path(__file__).resolve().parent.parent
    names = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *map(str, (here, here.parent / "kernels"))}
    # a user's own packages, or those that a .pth file adds, lie under none of these
    found = (find_spec(name) for name in ("numpy", "onnxruntime", "pydicom"))
    names |= {str(Path(spec.origin).parent.parent) for spec in found if spec and spec.origin}
    system = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
              "/sys/devices/system", "/dev/urandom", "/dev/null")  # fmt: skip
    return tuple(Path(name) for name in (*sorted(names), *system))


def _landlock(libc: ctypes.CDLL, software: tuple[Path, ...], devices: tuple[Path, ...]) -> bool:
    abi = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return False
    access = (1 << _RIGHTS_BY_ABI.get(abi, _MOST_RIGHTS)) - 1
    # the second word forbids TCP bind and connect (ABI 4), the third abstract sockets and signals (ABI 6)
    attributes = struct.pack("QQQ", access, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    rules = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0)
    if rules < 0:
        return False
    try:
        for path in software:
            _permit(libc, rules, path, access & _EXECUTE_AND_READ)
        for path in devices:
            _permit(libc, rules, path, access)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _permit(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    if not path.exists():
        return
    descriptor = os.open(path, os.O_PATH)
    try:
        allowed = rights if path.is_dir() else rights & _FILE_RIGHTS
        libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, descriptor), 0)
    finally:
        os.close(descriptor)


def _seccomp(libc: ctypes.CDLL, *, anonymous_files: bool) -> bool:
    machine = _FORBIDDEN.get(platform.machine())
    if machine is None:
        return False
    architecture, numbers = machine
    program = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_LOAD, 0, 0, 0),
    ]
    for number, others in zip(_ON_ITSELF[platform.machine()], ((), (), (0,)), strict=True):
        program += _only_for(number, (os.getpid(), *others))
    refused = [*numbers, *([] if anonymous_files else [_MEMFD_CREATE[platform.machine()]])]
    program.append((_JUMP_IF_AT_LEAST, len(refused) + 1, 0, _X32))
    for index, number in enumerate(refused):
        program.append((_JUMP_IF_EQUAL, len(refused) - index, 0, number))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    head = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    buffer = ctypes.create_string_buffer(head)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, buffer, 0, 0) == 0)


def _only_for(number: int, processes: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Steps that let the call `number` pass for `processes` alone; another call falls through them."""
    allow = [step for each in processes for step in ((_JUMP_IF_EQUAL, 0, 1, each), (_RETURN, 0, 0, _ALLOW))]
    # the kernel takes a process from the lower half of the argument, which is the first here
    steps = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *allow, (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return [(_JUMP_IF_EQUAL, 0, len(steps), number), *steps]


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event in _REFUSED_EVENTS:
        raise PermissionError(f"{event} is refused in a worker")
