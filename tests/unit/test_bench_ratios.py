"""The picture of `edge bench receive`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edge.bench import ratios

SVG = "{http://www.w3.org/2000/svg}"


def row(ratio: float, task: str = "CT x1, MB/s") -> dict[str, Any]:
    return {
        "task": task, "peer_name": "storescp <&>", "ours": ratio * 100, "peer": 100.0, "ratio": ratio,
        "ratio_range": [ratio / 1.1, ratio * 1.1], "n": 3,
    }  # fmt: skip


def test_better_is_right_of_the_line_and_worse_is_left(tmp_path: Path) -> None:
    document = {"rows": [row(0.3), row(1.0), row(2.5)], "cores": 2, "peers": ["storescp"], "flush_ms": {"p50": 0.3}}
    ratios.write_svg(document, str(tmp_path / "plot.svg"))
    picture = ElementTree.parse(tmp_path / "plot.svg").getroot()
    worse, same, better = (float(dot.get("cx", "")) for dot in picture.iter(f"{SVG}circle"))
    assert worse < same < better
    words = [text.text or "" for text in picture.iter(f"{SVG}text")]
    assert {"1", "0.5", "2", "cores: 2", "peers: storescp", "flush_ms: p50 0.3"} <= set(words)
    assert sum("storescp <&>" in each for each in words) == 3
    scale = {each.text: float(each.get("x", "")) for each in picture.iter(f"{SVG}text")}
    assert scale["1"] == pytest.approx(same, abs=0.1)


def test_equal_rows_have_a_scale_too() -> None:
    assert ratios.svg({"rows": [row(1.0) | {"ratio_range": [1.0, 1.0]}]}).count("<circle") == 1
