"""Run one module of ours in a locked child process: hostile graphs and vendor files may do harm only there.

In: a module with `main(folder)`, a private folder for its input and output, limits. Out: its exit status and the
tail of its stderr. Invariant: the child has bounded memory, processor time and file size, a clean environment, its
own empty network namespace where the kernel grants one, and an audit hook that refuses sockets, other programs and
writing outside its folder.

The hook is a second net, not a wall: native code passes it. The wall is that nothing is loaded that could hold code.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import edge
from edge.errors import RuntimeFailure

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_TAIL = 4000
_FORBIDDEN = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
              "socket.gethostbyname", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
              "pty.spawn", "webbrowser.open", "urllib.Request", "ftplib.connect", "http.client.connect")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may use: address space, processor seconds, wall seconds, size of a file it writes."""

    memory_mib: int
    cpu_seconds: int
    wall_seconds: float
    file_mib: int = 2048


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended. `signal` is 0 unless one ended it; `seconds` 0 when it was the wall clock that did."""

    status: int
    signal: int
    timed_out: bool
    stderr: str

    @property
    def fine(self) -> bool:
        return self.status == 0 and not self.timed_out

    def describe(self) -> str:
        """What to tell the user: the limit that was hit, or the child's last line."""
        if self.timed_out:
            return "it ran longer than allowed"
        if self.signal:
            return f"it was ended by signal {self.signal} (a crash or a limit)"
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"it ended with status {self.status}"


def run(module: str, folder: Path, bounds: Bounds) -> Ending:
    """`module.main(folder)` in a locked child.

    Raises
    ------
    RuntimeFailure
        If the child cannot be started at all.
    """
    command = [sys.executable, "-P", "-s", "-B", "-m", __name__, module, str(folder), json.dumps(asdict(bounds))]
    try:
        child = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=bounds.wall_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ending(-1, 0, True, "")
    except OSError as error:
        raise RuntimeFailure(f"no child process can be started: {error.strerror}", hint="free memory") from None
    return Ending(child.returncode, max(0, -child.returncode), False, child.stderr.decode(errors="replace")[-_TAIL:])


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(edge.__file__).resolve().parent.parent),
        "ORT_DISABLE_TELEMETRY": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": str(folder),
        "OMP_NUM_THREADS": "2",
    }


def _lock(folder: Path, bounds: Bounds) -> bool:
    """Give up what the child does not need. True if the kernel also took the network away."""
    memory, file_size = bounds.memory_mib << 20, bounds.file_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.cpu_seconds, bounds.cpu_seconds + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    offline = _leave_network()
    sys.addaudithook(_Refusal(folder))
    return offline


def _leave_network() -> bool:
    """An empty network namespace, with a user namespace when root's rights are missing."""
    if threading.active_count() > 1:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


class _Refusal:
    """The audit hook."""

    def __init__(self, folder: Path) -> None:
        self._allowed = (str(folder.resolve()) + os.sep, "/dev/null")

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(f"{event} is refused here")
        if event == "open" and self._writes(*arguments):
            raise PermissionError("writing outside the private folder is refused here")

    def _writes(self, path: object, mode: object, flags: object) -> bool:
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return False
        if isinstance(path, int) or path is None:
            return False
        return not os.path.abspath(os.fsdecode(path)).startswith(self._allowed)  # type: ignore[arg-type]  # noqa: PTH100


def _main() -> int:
    module, folder, bounds = sys.argv[1], Path(sys.argv[2]), Bounds(**json.loads(sys.argv[3]))
    _lock(folder, bounds)
    importlib.import_module(module).main(folder)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
