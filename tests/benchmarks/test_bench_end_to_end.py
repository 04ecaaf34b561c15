"""The end-to-end measurement on few images: it ends, counts what it says, and its figures fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bench import end_to_end, rig
from edge.journal import Journal, create


def test_it_measures_the_whole_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "ROUNDS", 2)
    document = end_to_end.run(4)
    throughput, p50, p95 = document["rows"]
    for row in document["rows"]:
        assert {"task", "ours", "peer", "ratio", "ratio_range", "n"} <= row.keys()
        assert row["ratio_range"][0] <= row["ratio_range"][1]
        assert row["ours"] > 0
    assert throughput["n"] == 8
    assert 0 < throughput["ratio"] < 1
    assert p50["ours"] <= p95["ours"]
    stages = document["stages_ms"]
    assert stages["outbox until accepted"] < p95["ours"]
    assert stages["run() alone"] < stages["decode, prepare and run() alone"]
    assert 3 <= document["journal_commits_per_image"] <= 8


def test_commits_are_counted_across_checkpoints(tmp_path: Path) -> None:
    create(tmp_path / "journal.db")
    journal = Journal(tmp_path / "journal.db")
    commits = rig.Commits(tmp_path / "journal.db")
    for number in range(1200):
        with journal.transaction():
            journal.note("box", str(number), "", "NOTED")
        if number % 10 == 9:
            commits.look()
    journal.close()
    assert 1180 <= commits.count <= 1200
