"""A package that aligns, denoises and bounds the polarity, in a real worker: the outline comes back to stored pixels.

The radiograph is a phantom with a planted opacity, behind a collimator, and stored as eight devices would: turned and
mirrored. All find the same, and each outline lies on the opacity where that device's own image has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from acceptance.objects import ORIENTATIONS, chest_dx, save, stored_as
from test_infer_regions import PLACES, holds_the_opacity, planted

from edge.demo import phantom
from edge.packages.attempt import Bench
from edge.packages.registry import Registry
from edge.packages.writer import write_folder

STEPS = {
    "align": {"orientation": "patient", "crop": "collimation", "deskew_degrees": 10.0},
    "denoise": {"method": "median", "size": 3},
}
SHAPE, BORDER = (700, 600), (90, 60)


def changed(folder: Path, **steps: Any) -> Any:
    """The shipped package with a heat map, other steps before its model, and a rule about the polarity."""
    package = Registry().resolve("cxr-pneumonia-native")
    manifest = msgspec.to_builtins(package.manifest)
    members = {name: package.read(name) for name in manifest.pop("members")}
    manifest["inputs"][0]["preprocess"] |= steps
    manifest["applicability"]["Polarity"] = {"absent": "refuse", "min": 0.0}
    return write_folder(folder / "package", _without_none(manifest), members)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def film(place: str) -> np.ndarray:
    """Upright, 12 bits, with a black collimated border."""
    down, across = BORDER
    whole = np.zeros((SHAPE[0] + 2 * down, SHAPE[1] + 2 * across), np.uint16)
    whole[down:-down, across:-across] = np.maximum(planted(phantom.chest(*SHAPE), place, 4095), 150)
    return whole


def upright(points: Any, shape: tuple[int, int], orientation: str) -> np.ndarray:
    """Coordinates in an image of `shape` stored as `orientation`, in the upright one."""
    row, column = orientation.split("\\")
    x, y = np.array(points).T
    x = shape[1] - x if row in "RH" else x
    y = shape[0] - y if column in "RH" else y
    return np.stack([y, x] if row in "FH" else [x, y], axis=1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(changed(tmp_path_factory.mktemp("aligned"), **STEPS)) as bench:
        yield bench


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_outline_lies_on_the_opacity_in_the_image_as_it_is_stored(
    bench: Bench, tmp_path: Path, orientation: str
) -> None:
    pixels = stored_as(film("left"), orientation)
    dataset = chest_dx(pixels, BitsStored=12, HighBit=11, PatientOrientation=orientation.split("\\"))
    found = bench.attempt(save(dataset, tmp_path / "image.dcm"))
    assert (found.outcome, found.reason) == ("succeeded", "")
    (finding,) = found.findings
    assert finding.present
    points = upright(finding.regions[0].points, pixels.shape, orientation) - BORDER[::-1]
    assert holds_the_opacity(points, SHAPE, "left")
    assert not holds_the_opacity(points, SHAPE, "left", mirrored=True)


def test_a_picture_that_looks_inverted_is_not_analysed(bench: Bench, tmp_path: Path) -> None:
    pixels = film("left")
    dataset = chest_dx(
        pixels, BitsStored=12, HighBit=11, PatientOrientation=["L", "F"], PhotometricInterpretation="MONOCHROME1"
    )
    found = bench.attempt(save(dataset, tmp_path / "image.dcm"))
    assert (found.outcome, found.reason) == ("not-attempted", "not-applicable:Polarity")


def test_an_image_without_an_orientation_is_not_analysed(bench: Bench, tmp_path: Path) -> None:
    dataset = chest_dx(film("left"), BitsStored=12, HighBit=11)
    dataset.PatientOrientation = None
    found = bench.attempt(save(dataset, tmp_path / "image.dcm"))
    assert (found.outcome, found.reason) == ("not-attempted", "unsupported-pixels")


@pytest.mark.parametrize("angle", [4.0, -7.0])
def test_a_film_that_lay_askew_is_put_upright_and_back(bench: Bench, tmp_path: Path, angle: float) -> None:
    whole = film("left")
    t = np.radians(angle)
    y, x = np.mgrid[: whole.shape[0], : whole.shape[1]] + 0.5
    dx, dy = x - whole.shape[1] / 2, y - whole.shape[0] / 2
    u, v = np.cos(t) * dx + np.sin(t) * dy + whole.shape[1] / 2, np.cos(t) * dy - np.sin(t) * dx + whole.shape[0] / 2
    inside = (u > 0) & (v > 0) & (u < whole.shape[1]) & (v < whole.shape[0])
    pixels = np.where(inside, whole[np.clip(v, 0, whole.shape[0] - 1).astype(int),
                                    np.clip(u, 0, whole.shape[1] - 1).astype(int)], 0).astype(np.uint16)  # fmt: skip
    dataset = chest_dx(pixels, BitsStored=12, HighBit=11, PatientOrientation=["L", "F"])
    (finding,) = bench.attempt(save(dataset, tmp_path / "image.dcm")).findings
    assert finding.present
    row, column = PLACES["left"]
    dx, dy = BORDER[1] + column * SHAPE[1] - whole.shape[1] / 2, BORDER[0] + row * SHAPE[0] - whole.shape[0] / 2
    centre = (
        np.cos(t) * dx - np.sin(t) * dy + whole.shape[1] / 2,
        np.sin(t) * dx + np.cos(t) * dy + whole.shape[0] / 2,
    )
    shares = np.array(finding.regions[0].points) - centre
    assert (shares.min(axis=0) < 0).all()
    assert (shares.max(axis=0) > 0).all()
    assert np.ptp(shares, axis=0).max() < 0.5 * SHAPE[1]
