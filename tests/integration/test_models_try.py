"""`edge models try`: a local file meets the same rules and the same network as on a box."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from support import run_edge

from edge.opencv import decode_gray, encode_png
from edge.packages.attempt import shown
from edge.packages.registry import Registry


def test_a_picture_is_scored_and_shown(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (300, 1))
    (tmp_path / "ramp.png").write_bytes(encode_png(ramp))
    done = run_edge("models", "try", "cxr-pneumonia", tmp_path / "ramp.png", "--png", tmp_path / "seen", "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["outcome"] == "succeeded"
    assert 0 <= result["findings"][0]["score"] <= 1
    seen = decode_gray((tmp_path / "seen" / "ramp.png").read_bytes())
    assert seen.shape == (150, 150)
    assert np.abs(seen[0].astype(int) - ramp[0].reshape(150, 2).mean(1)).max() <= 2


def test_what_the_package_is_not_for_is_said(data: Path) -> None:
    dog = data / "dicom" / "files" / "highdicom__dx_image.dcm__602dbe.dcm"
    done = run_edge("models", "try", "cxr-pneumonia", dog)
    assert done.returncode == 1
    assert "not-attempted, not-applicable:ImageLaterality" in done.stdout


def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    done = run_edge("models", "try", "cxr-pneumonia", tmp_path / "notes.txt")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "neither DICOM nor a picture" in done.stderr


def test_normalisation_is_undone() -> None:
    entry = Registry().resolve("cxr-pneumonia").manifest.inputs[0]
    picture = shown(np.full(entry.shape, 0.5, np.float32), entry)
    assert picture.shape == (150, 150, 3)
    assert np.unique(picture).tolist() == [128]
