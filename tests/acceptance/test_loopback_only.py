"""No packet leaves this machine: the kernel's own record of what the demo and all its processes connected to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, tool

pytestmark = pytest.mark.timeout(180)
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
_CONNECTS = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(")


def test_the_whole_main_job_speaks_to_loopback_only(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = [tool("strace"), "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    ended = subprocess.run(
        [*command, sys.executable, "-m", "edge", "demo", "--json"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["findings"]

    reached = [first or second for line in trace.read_text().splitlines() if _CONNECTS.search(line)
               for first, second in _ADDRESS.findall(line)]  # fmt: skip
    assert reached, "strace saw no connection at all: the test looks at nothing"
    assert {address for address in reached if not address.startswith("127.") and address != "::1"} == set()
