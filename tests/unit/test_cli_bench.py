"""`edge bench`: the contract's rows, as JSON and as a table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_kernels_as_json(run_edge: Run) -> None:
    ended = run_edge("bench", "kernels", "-n", "1", "--only", "512x512 uint16", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert [row["task"] for row in document["rows"]] == ["CLAHE 512x512 uint16, 1024 bins"]
    assert all({"task", "ours", "peer", "ratio", "ratio_range", "n"} <= row.keys() for row in document["rows"])
    assert document["kernels"] in ("v2", "v3", "v4", "baseline")


def test_kernels_as_a_chart_and_a_picture(run_edge: Run, tmp_path: Path) -> None:
    ended = run_edge("bench", "kernels", "-n", "1", "--only", "MR", "--plot", str(tmp_path / "chart.svg"))
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("MR 256x256")
    assert [line.split("  ")[1] for line in lines[1:4]] == [
        "memory alone",
        "ours",
        "OpenCV min, max, INTER_AREA, addWeighted",
    ]
    assert any(line.startswith("cpu_flags") for line in lines)
    assert "<svg" in (tmp_path / "chart.svg").read_text()


def test_a_negative_number_is_wrong_use(run_edge: Run) -> None:
    ended = run_edge("bench", "kernels", "-n", "-1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "-n" in ended.stderr
