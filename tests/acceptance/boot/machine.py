"""A Debian system in a folder, booted by systemd-nspawn, and commands inside it.

The container shares the host's network (senders and archives of the tests stand outside) and gets every capability and
system call, so that what is refused inside was refused by the units and not by the container.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from support import tool, wait_until

PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,openssl,procps"
MIRROR = os.environ.get("EDGE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SUITE = "bookworm"
_BOOT_SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin", "LANG": "C.UTF-8", "HOME": "/root"}


def make_root(folder: Path, cache: Path) -> Path:
    """A fresh Debian under `folder`, unpacked from `cache`, which is filled the first time (about a minute)."""
    tarball = cache / f"{SUITE}-{zlib.crc32(PACKAGES.encode()):08x}.tar"
    root = folder / "root"
    root.mkdir()
    if not tarball.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = folder / "fresh"
        command = [tool("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", SUITE, str(fresh), MIRROR]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"no Debian can be had here: {(ended.stderr or ended.stdout).strip()[-200:]}")
        part = tarball.with_suffix(f".{os.getpid()}")
        subprocess.run(["tar", "-C", str(fresh), "--exclude=./var/cache/apt/*", "-cf", str(part), "."], check=True)
        part.rename(tarball)
        shutil.rmtree(fresh)
    subprocess.run(["tar", "-C", str(root), "-xf", str(tarball)], check=True)
    return root


class Machine:
    """A booted root."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def boot(self, *, unified: bool = True) -> float:
        """Boot, and return how many seconds it took until PID 1 was idle. Not `unified`: control groups as of old."""
        started = time.monotonic()
        command = [
            tool("systemd-nspawn"), "--register=no", "--keep-unit", "--quiet", "--boot", f"--directory={self.root}",
            "--capability=all", "--system-call-filter=@known", "--resolv-conf=off", f"--machine=edge{os.getpid()}",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": str(int(unified))},
            )  # fmt: skip
        self._init = wait_until(self._find_init, _BOOT_SECONDS, "the container's PID 1")
        wait_until(self._is_idle, _BOOT_SECONDS, "the end of the boot")
        return time.monotonic() - started

    def run(self, *words: str, check: bool = True, network: bool = True, **options: Any) -> str:
        """Standard output of a command inside, as root; without `network` it has an empty one."""
        enter = ["nsenter", "-t", str(self._init), "-a", "--"]
        apart = [] if network else ["unshare", "--net", "--"]
        options = {"timeout": 300, "stdin": subprocess.DEVNULL, "env": _ENVIRONMENT, **options}
        ended = subprocess.run([*enter, *apart, *words], check=False, capture_output=True, text=True, **options)
        if check and ended.returncode:
            pytest.fail(f"{words} ended with {ended.returncode}:\n{ended.stdout[-3000:]}{ended.stderr[-5000:]}")
        return ended.stdout

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """A command inside, as root, without a network, that goes on meanwhile; what it says is in `log`."""
        enter = ["nsenter", "-t", str(self._init), "-a", "--", "unshare", "--net", "--"]
        with log.open("wb") as out:
            return subprocess.Popen(
                [*enter, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=_ENVIRONMENT
            )

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "-p", name, "--value", unit).strip()

    def main_pid(self, room: str) -> int:
        """The process of `room` as the container numbers it; 0 when there is none."""
        return int(self.show(f"edge-{room}.service", "MainPID"))

    def path(self, inside: str) -> Path:
        """Where a path of the container lies outside."""
        return self.root / inside.lstrip("/")

    def put(self, source: Path, inside: str) -> None:
        """Copy a file or folder into the container."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)

    def write(self, inside: str, lines: list[str]) -> None:
        """Write a file; from inside, so that /run is the one that its PID 1 sees."""
        self.run("mkdir", "-p", inside.rpartition("/")[0])
        self.run("sh", "-c", f"cat >{inside}", stdin=None, input="\n".join(lines) + "\n")

    def journal(self, unit: str, lines: int = 60) -> str:
        """The last lines that a unit logged."""
        return self.run("journalctl", "--no-pager", "-q", "-n", str(lines), "-u", unit, check=False)

    def off(self) -> None:
        """Switch it off at once, whatever runs in it."""
        if self._process is not None:
            self._process.terminate()  # nspawn tells its PID 1 to power off
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def crash(self) -> None:
        """End every process in it at once, as a power cut does."""
        assert self._process is not None
        os.kill(self._init, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    def _find_init(self) -> int:
        """The container's PID 1 as the host numbers it: nspawn's child whose own child is systemd."""
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"systemd-nspawn ended by itself:\n{self._log.read_text()[-3000:]}")
        for child in _children(self._process.pid):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return 0

    def _is_idle(self) -> bool:
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
