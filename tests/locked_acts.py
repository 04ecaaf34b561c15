"""What a locked child must not be able to do; run by test_packages_locked.py inside one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def connect() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def resolve() -> None:
    socket.getaddrinfo("localhost", 80)


def program() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def shell() -> None:
    os.system("true")


def write_outside() -> None:
    Path("/tmp/edge-locked-outside").write_text("x")


def much_memory() -> None:
    bytearray(2 << 30)


ACTS: dict[str, Callable[[], None]] = {
    act.__name__: act for act in (connect, resolve, program, shell, write_outside, much_memory)
}


def main(folder: Path) -> None:
    outcomes = {}
    for name, act in ACTS.items():
        try:
            act()
            outcomes[name] = "done"
        except (OSError, MemoryError) as error:
            outcomes[name] = type(error).__name__
    outcomes["secrets"] = ",".join(sorted(name for name in os.environ if "SECRET" in name))
    (folder / "outcomes.json").write_text(json.dumps(outcomes))
    if (folder / "spin").exists():
        while True:
            pass
