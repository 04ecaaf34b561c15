"""`edge bench`: the contract's rows, as JSON and as a table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_kernels_as_json(run_edge: Run) -> None:
    ended = run_edge("bench", "kernels", "-n", "1", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert all({"task", "ours", "peer", "ratio", "ratio_range", "n"} <= row.keys() for row in document["rows"])
    assert document["kernels"] in ("v2", "v3", "v4", "baseline")


def test_kernels_as_a_table(run_edge: Run) -> None:
    lines = run_edge("bench", "kernels", "-n", "1").stdout.splitlines()
    assert lines[0].split() == ["task", "ours", "peer", "ratio", "ratio_range", "n"]
    assert lines[1].startswith("DX 3000x3000")
    assert any(line.startswith("opencv ") for line in lines)


def test_a_negative_number_is_wrong_use(run_edge: Run) -> None:
    ended = run_edge("bench", "kernels", "-n", "-1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "-n" in ended.stderr
