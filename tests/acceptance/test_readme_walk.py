"""The README's own box, run as it is written: its edge.toml, then its commands line by line."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from objects import chest_dx, save
from support import REPOSITORY, free_port, tool, wait_until

from edge import rooms
from edge.config import load

pytestmark = pytest.mark.timeout(180)
README = (REPOSITORY / "README.md").read_text()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the README's edge.toml and a my.dcm, on ports that are free."""
    chest = np.random.default_rng(3).integers(0, 4096, (512, 512), dtype=np.uint16)
    save(chest_dx(chest, BitsStored=12, HighBit=11), tmp_path / "my.dcm")
    toml = re.findall(r"```toml\n(.*?)```", README, re.S)[0]
    port, archive = free_port(), free_port()
    (tmp_path / "ports").write_text(f"{port} {archive}")
    (tmp_path / "edge.toml").write_text(f"{toml.replace('11113', str(archive))}\n[receive]\nport = {port}\n")
    return tmp_path


def lines(here: Path) -> Iterator[str]:
    """The commands of the README's second block, with this test's ports and programs."""
    port, archive = (here / "ports").read_text().split()
    block = re.findall(r"```sh\n(.*?)```", README, re.S)[1]
    for line in block.splitlines():
        command = line.partition("  #")[0].strip().replace("11112", port).replace("11113", archive)
        command = re.sub(r"\b(storescp|storescu)\b", lambda found: tool(found.group()), command)
        yield re.sub(r"^edge\b", f"exec {shlex.quote(sys.executable)} -m edge", command)


def test_the_readme_takes_a_newcomer_from_an_empty_folder_to_a_report(here: Path) -> None:
    search = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    options = {"cwd": here, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "shell": True}
    options["env"] = os.environ | {"PYTHONPATH": search}
    running, said = [], []
    try:
        for line in lines(here):
            if " serve" in line or "storescp" in line:
                running.append(subprocess.Popen(line, start_new_session=True, **options))
                wait_until(lambda line=line: _is_up(line, here), 60, line)
            else:
                ended = subprocess.run(line, check=False, timeout=60, **options)
                said.append(f"$ {line}\n{ended.stdout}")
                assert ended.returncode == 0, said[-1]
        report = wait_until(lambda: [file for file in (here / "reports").iterdir() if file.name.startswith("SR")], 60)
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGINT)
        for process in running:
            process.communicate(timeout=40)
    assert len(report) == 1
    assert "cxr-pneumonia" in said[-1]


def _is_up(line: str, here: Path) -> bool:
    """Whether the server that `line` started can be talked to."""
    if " serve" in line:
        settings = load(here / "edge.toml")
        return all(rooms.announced(settings, room) for room in rooms.ROOMS)
    archive = int((here / "ports").read_text().split()[1])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", archive)):
        return True
    return False
