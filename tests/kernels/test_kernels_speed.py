"""What `edge bench kernels` says: rows, chart, picture; that peers compute the same; and one promise about time.

A busy machine cannot keep a promise about time, so that one test is not in the default run (mark `slow`).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import kernels
from edge import opencv
from edge.bench import chart, contests
from edge.bench import kernels as bench

DX, MR = (next(name for name in contests.CONTESTS if name.startswith(kind)) for kind in ("DX", "MR"))
ROW = bench.Row(
    task="DX", peer_name="a library", ours=1.0, ours_median=1.1, peer=18.0, peer_median=19.0, ratio=18.0,
    ratio_range=(17.0, 19.0), limit=0.5, times_limit=2.0, n=9,
)  # fmt: skip
DOCUMENT = {
    "rows": [ROW, {**ROW, "peer_name": "a slow <one>", "peer": 180.0, "ratio": 180.0}],
    "kernels": "v3", "numpy": "2.4", "cpu": "a processor",
}  # fmt: skip


@pytest.mark.slow
def test_a_full_size_radiograph_is_ten_times_faster_than_opencv() -> None:
    if kernels.build() not in ("v3", "v4"):
        pytest.skip("promised for x86-64-v3 and above")
    (row,) = bench.run(rounds=9, only=DX)["rows"]
    assert row["ratio"] >= 10, row


SMALL = ("MR", "heat map", "CLAHE 512", "CR")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name.startswith(SMALL) else pytest.mark.slow) for name in contests.CONTESTS]
)
def test_the_peers_compute_the_same_thing(name: str) -> None:
    """OpenCV rounds to uint16 between two steps: 2e-4 of the range; a wrong polarity, order or filter is far more."""
    opencv.use_one_thread()
    contest = contests.CONTESTS[name].contest()
    if not contest.peers:
        pytest.skip("no peer that computes this is installed")
    ours = np.array(contest.ours(contest.sources[0]), np.float64)
    for peer, run in contest.peers.items():
        theirs = np.array(run(contest.sources[0]), np.float64)
        if theirs.shape != ours.shape or "components" in name:
            np.testing.assert_array_equal(np.sort(theirs), np.sort(ours))
        elif "equalisation" in name:
            np.testing.assert_allclose(theirs * 65535, ours, rtol=0, atol=contest.tolerance * 65535)
        else:
            assert np.abs(theirs - ours).mean() <= contest.tolerance * np.ptp(ours), peer


def test_a_row_has_what_the_contract_names() -> None:
    document = bench.run(rounds=2, only="mr 256")
    (row,) = document["rows"]
    assert row["task"] == MR
    assert {"task", "ours", "peer", "ratio", "ratio_range", "n"} <= row.keys()
    assert row["ratio_range"][0] <= row["ratio_range"][1]
    assert row["ours"] <= row["ours_median"]
    assert row["n"] == 2
    assert document["kernels"] == kernels.build()
    assert document["memory_gb_per_s"]["read"] > 0


def test_the_chart_has_a_bar_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = chart.text(DOCUMENT).splitlines()
    lengths = {line.split("ms")[0].rsplit(maxsplit=1)[0].strip(): line.count("█") for line in lines if " ms " in line}
    assert list(lengths) == ["memory alone", "ours", "a library", "a slow <one>"]
    assert lengths["a slow <one>"] == 44
    assert lengths["a library"] == 4
    assert "18.0x ours  (17.0 .. 19.0, n 9)" in chart.text(DOCUMENT)


def test_the_picture_is_well_formed_and_says_all(tmp_path: Path) -> None:
    chart.write_svg(DOCUMENT, str(tmp_path / "chart.svg"))
    picture = ET.parse(tmp_path / "chart.svg")
    said = "".join(picture.getroot().itertext())
    assert all(words in said for words in ("DX", "18.0x", "180.0x", "a slow <one> 180.000 ms", "kernels (v3)"))
    dots = [dot for dot in picture.iter() if dot.tag.endswith("circle")]
    assert len(dots) == 3
    positions = {dot.findtext("{*}title"): float(dot.get("cx") or 0) for dot in dots}
    assert positions["ours 1.000 ms"] < positions["a library 18.000 ms"] < positions["a slow <one> 180.000 ms"]
