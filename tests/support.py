"""Real peers and a real box for tests: nothing here is a mock. Used through the fixtures of conftest.py."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import rooms
from edge.config import Settings, load

REPOSITORY = Path(__file__).resolve().parent.parent
EDGE_TOML = """
[box]
root = "root"
[receive]
port = 0
[[receive.peers]]
alias = "test"
ae_title = "TEST"
hosts = ["127.0.0.1"]
[storage]
reserve_gib = 0.1
refuse_at_percent = 100
[[routes]]
name = "chest"
package = "cxr-pneumonia"
when = {{ Modality = ["CR", "DX"] }}
deliver = ["archive"]
max_study_age_days = 36500
[destinations.archive]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
"""


def free_port() -> int:
    """A TCP port that nothing listens on; for peers that cannot take port 0.

    Below those that Linux gives to connections (ip_local_port_range): one of these could take it before its peer does.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "the condition") -> Any:
    """The first true value of `condition`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return pytest.fail(f"{what} did not come true within {seconds:g} s")


def tool(name: str) -> str:
    """The path of a system tool; skips the test where it is not installed.

    The system's folders come first: pynetdicom puts its own `storescp` and `echoscu` into a venv's bin.
    """
    found = shutil.which(name, path=f"/usr/bin:/usr/sbin:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed: ./firmware_scripts/test.sh installs it")
    return found


def run_edge(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m edge WORDS`, from any folder; stdout and stderr as text."""
    options = {"capture_output": True, "text": True, "timeout": 100, "cwd": REPOSITORY, **options}
    return subprocess.run([sys.executable, "-m", "edge", *map(str, words)], check=False, **options)


class Box:
    """A box in its own folder: its three rooms as child processes, as `edge serve` runs them."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "edge.toml"
        self.file.write_text(text)
        self.log = folder / "edge.log"
        self.settings: Settings = load(self.file)
        self.household: rooms.Household | None = None
        self._log_file = self.log.open("ab")
        rooms.make_root(self.settings)

    def start(self, seconds: float = 30.0) -> Box:
        """Start the rooms and wait until each has announced itself."""
        self.household = rooms.Household(self.settings, self._log_file.fileno())
        self.household.start()
        if not self.household.wait_ready(seconds):
            pytest.fail(f"the rooms did not start:\n{self.log.read_text()}")
        return self

    def stop(self) -> None:
        """Drain and end the rooms."""
        if self.household is not None:
            self.household.stop()
            self.household = None
        self._log_file.close()

    @property
    def port(self) -> int:
        """Where `receive` listens."""
        facts = rooms.announced(self.settings, "receive")
        assert facts is not None
        return int(facts["port"])

    def json(self, *words: str) -> Any:
        """The JSON document of `edge WORDS --json` on this box; fails the test on another exit code than 0."""
        ended = run_edge(*words, "--config", self.file, "--json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def push(self, *paths: Path) -> subprocess.CompletedProcess[str]:
        """`storescu` the files to the box, as peer TEST."""
        command = [tool("storescu"), "-aet", "TEST", "-aec", "EDGE", "-R", "127.0.0.1", str(self.port)]
        return subprocess.run(
            [*command, *map(str, paths)], check=False, capture_output=True, text=True, timeout=60, env=_prompt()
        )


class Storescp:
    """dcmtk's storescp, storing what it gets in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        command = [tool("storescp"), "--promiscuous", "--output-directory", str(folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_prompt())
        wait_until(self._answers, what="storescp's answer to C-ECHO")

    def files(self) -> list[Path]:
        """What has been stored whole."""
        return sorted(
            path for path in self.folder.iterdir() if path.is_file() and re.match(r"[A-Za-z0-9]+\.[0-9]", path.name)
        )

    def stop(self) -> None:
        """End it; it may be stopped already."""
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "storescp ended by itself"
        return (
            subprocess.run([tool("echoscu"), "127.0.0.1", str(self.port)], check=False, capture_output=True).returncode
            == 0
        )


class Orthanc:
    """A real Orthanc without plugins, on loopback only; `more` are settings of its own configuration file."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.port, self.http_port = free_port(), free_port()
        settings = {
            "Name": "edge-test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
            "DicomAet": "ARCHIVE", "DicomPort": self.port, "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "HttpPort": self.http_port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
        } | more  # fmt: skip
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(settings))
        self._command = [tool("Orthanc"), str(configuration)]
        self.start()

    def start(self) -> None:
        """Start it, again after `stop`: with what it held."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_prompt()
        )
        wait_until(self._answers, what="Orthanc's answer")

    def get(self, path: str) -> Any:
        """The JSON answer of its REST interface."""
        return json.loads(self.read(path))

    def read(self, path: str, method: str = "GET") -> bytes:
        """The bytes that its REST interface answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def empty(self) -> None:
        """Forget every patient."""
        for patient in self.get("/patients"):
            self.read(f"/patients/{patient}", "DELETE")

    def sop_instance_uids(self) -> list[str]:
        """Of every instance that it holds."""
        expanded = self.get("/instances?expand")
        return sorted(each["MainDicomTags"]["SOPInstanceUID"] for each in expanded)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "Orthanc ended by itself"
        try:
            return bool(self.get("/system"))
        except OSError:
            return False


def _prompt() -> dict[str, str]:
    """dcmtk's own Nagle switch: without it every exchange costs 40 ms."""
    return os.environ | {"TCP_NODELAY": "1"}
