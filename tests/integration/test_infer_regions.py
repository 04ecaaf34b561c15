"""An opacity planted somewhere in a chest X-ray: the report's outline is there, in the stored image's own pixels.

The real package, worker, room, report, gate and reader. The opacity is drawn in the picture as it is displayed; the
object may store it the other way round, with another window, shape, or proportions of its pixels.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import support
from acceptance.objects import chest_dx, full_size_xrays, save
from infer_box import EXPLICIT_VR_LITTLE_ENDIAN, InferBox, encoded
from pydicom import dcmread

from edge.demo import phantom
from edge.infer.process import Worker, load_model
from edge.infer.protocol import Piece, Run
from edge.packages.attempt import Attempt, Bench
from edge.packages.registry import Registry
from edge.report.reader import ReportView, read_report

PLACES = {"left": (0.45, 0.28), "right": (0.45, 0.72), "top": (0.30, 0.32), "bottom": (0.62, 0.70)}
"""(row, column) of the planted centre as the image is displayed, in shares of its size."""
RADIUS = 0.13


def planted(frame: np.ndarray, place: str, white: float) -> np.ndarray:
    """`frame` (0..white is black..white) with a soft round opacity."""
    row, column = PLACES[place]
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    distance = np.hypot(y / frame.shape[0] - row, x / frame.shape[1] - column) / RADIUS
    share = 0.85 * np.clip(1.6 * (1 - distance), 0, 1)
    return np.rint(frame + share * np.maximum(0, 0.9 * white - frame)).astype(frame.dtype)


def holds_the_opacity(points: Any, shape: tuple[int, int], place: str, *, mirrored: bool = False) -> bool:
    row, column = PLACES[place]
    column = 1 - column if mirrored else column
    contour = np.array(points, np.float32).reshape(-1, 1, 2)
    return cv2.pointPolygonTest(contour, (column * shape[1], row * shape[0]), False) > 0


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "windowed": {"WindowCenter": 2048, "WindowWidth": 4096},
    "oblong pixels": {"ImagerPixelSpacing": [0.2, 0.1]},
}


def stored(shape: tuple[int, int], place: str, variant: str) -> Any:
    """A DX object of the phantom with an opacity; 12 bits."""
    pixels = planted(phantom.chest(*shape), place, 4095)
    if variant == "MONOCHROME1":
        pixels = (4095 - pixels).astype(np.uint16)
    return chest_dx(pixels, BitsStored=12, HighBit=11, **VARIANTS[variant])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(Registry().resolve("cxr-pneumonia-native")) as bench:
        yield bench


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(load_model(Registry().resolve("cxr-pneumonia-native"), ("cpu",), 1 << 28))
    yield worker
    worker.kill()


def tried(bench: Bench, dataset: Any, folder: Path) -> Attempt:
    found = bench.attempt(save(dataset, folder / "image.dcm"))
    assert (found.outcome, found.reason) == ("succeeded", "")
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("place", PLACES)
def test_the_outline_lies_on_the_opacity(bench: Bench, tmp_path: Path, place: str, variant: str) -> None:
    shape = {"left": (700, 600), "right": (600, 700), "top": (452, 752), "bottom": (800, 560)}[place]
    (finding,) = tried(bench, stored(shape, place, variant), tmp_path).findings
    assert finding.present
    assert finding.regions
    assert finding.regions[0].attention
    assert holds_the_opacity(finding.regions[0].points, shape, place)
    assert not holds_the_opacity(finding.regions[0].points, shape, place, mirrored=True)


@pytest.mark.parametrize("place", PLACES)
def test_the_map_of_the_worker_peaks_inside_the_opacity(worker: Worker, place: str) -> None:
    blob = encoded(stored((600, 700), place, "MONOCHROME1"))
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, blob)
        answer = worker.run(descriptor, Run((Piece(0, len(blob), EXPLICIT_VR_LITTLE_ENDIAN),)))
    finally:
        os.close(descriptor)
    heat = np.frombuffer(answer.maps["score"].data, "<f4").reshape(answer.maps["score"].shape)[0, 0]
    peak = (np.array(np.unravel_index(heat.argmax(), heat.shape)) + 0.5) / heat.shape
    assert np.hypot(*(peak - PLACES[place])) < RADIUS


def test_a_healthy_chest_has_no_outline_and_an_opacity_in_it_has_one(bench: Bench, tmp_path: Path, data: Path) -> None:
    """Real radiographs of their true proportions, without any finding until one is planted."""
    clean = [frame for name, frame in full_size_xrays(data) if "NORMAL" in name][:4]
    assert len({frame.shape for frame in clean}) == 4
    for frame in clean:
        (finding,) = tried(bench, chest_dx(frame), tmp_path).findings
        assert not finding.present
        assert not finding.regions
        (finding,) = tried(bench, chest_dx(planted(frame, "left", 255)), tmp_path).findings
        assert finding.present
        assert finding.regions
        assert holds_the_opacity(finding.regions[0].points, frame.shape, "left")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InferBox]:
    package = Registry().resolve("cxr-pneumonia-native")
    box = InferBox(tmp_path / "box", {package.manifest.name: package}).start()
    try:
        yield box
    finally:
        box.stop()


def test_the_report_that_leaves_the_box_shows_the_outline(box: InferBox) -> None:
    dataset = stored((700, 600), "right", "MONOCHROME1")
    job = box.job(box.store(dataset))
    assert (job.state, job.outcome) == ("DONE", "succeeded")
    (written,) = box.settings.outbox.glob("*.dcm")
    view: ReportView = read_report(written.read_bytes())
    (finding,) = view.findings
    assert finding.present
    assert finding.regions
    assert finding.regions[0].attention
    assert finding.regions[0].source == dataset.SOPInstanceUID
    assert holds_the_opacity(finding.regions[0].points, (700, 600), "right")
    report = dcmread(io.BytesIO(written.read_bytes()))
    assert "millimet" not in str(report).lower()
    said = subprocess.run(
        [support.tool("dciodvfy"), str(written)], capture_output=True, text=True, check=False, timeout=60
    )
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []
