"""The receive measurement on few objects: every listener takes them whole, and the figures fit together."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from edge.bench import listeners, receive, rig, sender, unsafe
from edge.bench.receive import Case
from edge.errors import UsageError
from edge.journal import Journal

pytestmark = pytest.mark.skipif(rig.dcmtk_storescp() is None, reason="dcmtk is not installed")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (Case("ct", 6, 2, slow_peers=True), Case("compressed", 2, 1))
    monkeypatch.setattr(receive, "QUICK", cases)
    for name, value in (
        ("_IDLE_ASSOCIATIONS", 20),
        ("_IDLE_SECONDS", 0.2),
        ("_ECHOES", 20),
        ("_SETUPS", 5),
        ("_SETTLE_SECONDS", 0.0),
    ):
        monkeypatch.setattr(receive, name, value)


@pytest.mark.usefixtures("small")
def test_it_measures_ours_and_every_peer_that_is_installed() -> None:
    document = receive.run(2)
    rows = document["rows"]
    for row in rows:
        low, high = row["ratio_range"]
        assert 0 < low <= row["ratio"] <= high
        assert row["n"] == 2
        for side in row["more"].values():
            assert side["objects_per_second"] > 0
            assert 0 < side["response_ms_p50"] <= side["response_ms_p99"]
            assert side["peak_mib"] > 1
    ct = [row for row in rows if "CT 0.5 MB x2, sealed" in row["task"]]
    assert {row["peer_name"] for row in ct} == {*document["peers"], "edge without flushes and sealing"}
    assert document["flush_ms"]["512 KiB file and name p50"] > 0
    assert document["latency_ms"]["echo p50"] <= document["latency_ms"]["echo p99"]
    assert document["idle"]["associations"] == 20


@pytest.mark.parametrize("kind", ["ct", "compressed", "dx"])
def test_what_is_sent_is_dicom(tmp_path: Path, kind: str) -> None:
    with listeners.storescp(tmp_path / "storescp") as listener:
        assert listener is not None
        sent = sender.run(sender.Plan(listener.port, listeners.CALLED, kind, 3, 2, 7))
        assert (sent["objects"], sent["refused"]) == (3, 0)
        images = [dcmread(path) for path in listener.stored.iterdir() if path.suffix != ".log"]
    expected = sender.KINDS[kind]
    assert len({image.SOPInstanceUID for image in images}) == 3
    for image in images:
        assert (image.Rows, image.Columns, image.Modality) == (expected.rows, expected.columns, expected.modality)
        assert image.file_meta.TransferSyntaxUID == expected.transfer_syntax_uid
        assert len(image.PixelData) >= expected.pixel_bytes


def test_ours_is_the_product_and_the_other_one_says_that_it_lies(tmp_path: Path) -> None:
    rooms = {"ours": "", "plain": "plain"}
    series = itertools.count(1)
    for name, lie in rooms.items():
        with listeners.ours(tmp_path / name, lie) as listener:
            plan = sender.Plan(listener.port, listeners.CALLED, "ct", 2, 1, next(series))
            assert sender.run(plan)["refused"] == 0
            assert (lie == "") == (listener.name == "edge")
            files = [path.read_bytes() for path in _objects(listener.stored)]
            assert len(files) == 2
            assert all((b"INVENTED^PATIENT" in data) == (lie == "plain") for data in files)
            journal = Journal(listener.stored.parent / "journal.db")
            assert journal.database.row("SELECT count(*) AS n FROM instance")["n"] == 2  # type: ignore[index]
            journal.close()
            listener.clean()
            assert not list(_objects(listener.stored))
            assert (listener.stored / "slots").stat().st_size > 0


def test_the_flush_latency_is_measured_on_the_disk_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    real = os.fsync
    monkeypatch.setattr(receive.os, "fsync", lambda descriptor: (flushed.append(1), real(descriptor)))
    flushes = receive.Flushes(tmp_path)
    flushes.take(5)
    figures = flushes.milliseconds()
    assert len(flushed) == 10
    assert figures["4 KiB appended p50"] <= figures["4 KiB appended p99"]
    assert not list(tmp_path.iterdir())


def _objects(spool: Path) -> Iterator[Path]:
    return (path for path in spool.iterdir() if path.name != "slots")


def test_the_room_that_lies_takes_no_box_but_the_benchmarks(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[box]\nroot = "root"\n')
    with pytest.raises(UsageError, match="no box of the benchmark"):
        unsafe.main("plain", file)
    assert os.fsync is not unsafe._no_flush
