"""From frame to tensor and from output to finding: what the manifest says, and nothing implied."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import package_maker
import pytest
from acceptance.objects import chest_dx

from edge.infer import postprocess, preprocess
from edge.infer.pixels import Frame
from edge.infer.protocol import Tensor
from edge.infer.refusal import Refusal
from edge.packages.manifest import Input, Manifest

PREPROCESS = {
    "polarity": "as-displayed", "window": {"kind": "full-range"}, "resize": {"mode": "squash", "filter": "area"},
    "channels": "one",
}  # fmt: skip


def entry(shape: tuple[int, ...] = (1, 4, 4, 1), layout: str = "NHWC", **steps: Any) -> Input:
    return msgspec.convert(
        {"tensor": "input", "shape": shape, "dtype": "float32", "layout": layout,
         "preprocess": {**PREPROCESS, **steps}}, Input, strict=False,
    )  # fmt: skip


def tensor(pixels: np.ndarray, one: Input, **attributes: Any) -> np.ndarray:
    dataset = chest_dx(pixels, **attributes)
    return preprocess.prepare(Frame(pixels, str(dataset.PhotometricInterpretation)), dataset, one)


RAMP = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16


def test_full_range() -> None:
    assert tensor(RAMP, entry()).ravel() == pytest.approx(RAMP.ravel() / 255)


def test_monochrome1_is_shown_the_other_way_round_unless_the_package_wants_it_stored() -> None:
    shown = tensor(RAMP, entry(), PhotometricInterpretation="MONOCHROME1")
    stored = tensor(RAMP, entry(polarity="as-stored"), PhotometricInterpretation="MONOCHROME1")
    assert shown.ravel() == pytest.approx(1 - RAMP.ravel() / 255)
    assert stored.ravel() == pytest.approx(RAMP.ravel() / 255)


def test_voi_window_of_the_image_and_fixed_window_of_the_package() -> None:
    image = {"WindowCenter": 64, "WindowWidth": 129}
    own = tensor(RAMP, entry(window={"kind": "voi"}), **image)
    fixed = tensor(RAMP, entry(window={"kind": "fixed", "center": 64, "width": 129}), WindowCenter=1, WindowWidth=2)
    assert own.ravel() == pytest.approx(np.clip(RAMP.ravel() / 128, 0, 1), abs=5e-3)
    assert np.array_equal(own, fixed)


def test_percentile_window_is_of_this_frame() -> None:
    seen = tensor(RAMP, entry(window={"kind": "percentile", "low": 0, "high": 100}))
    assert (seen.min(), seen.max()) == (0.0, pytest.approx(1.0))


def test_percentile_of_an_even_frame_is_no_crash() -> None:
    seen = tensor(np.full((4, 4), 7, np.uint8), entry(window={"kind": "percentile", "low": 1, "high": 99}))
    assert np.isfinite(seen).all()


def test_channels_scale_mean_std_and_layout() -> None:
    one = entry((1, 3, 4, 4), "NCHW", channels="repeat", scale=255.0, mean=[1, 2, 3], std=[1, 2, 4])
    seen = tensor(RAMP, one)
    for channel, (mean, std) in enumerate([(1, 1), (2, 2), (3, 4)]):
        assert seen[0, channel].ravel() == pytest.approx((RAMP.ravel() - float(mean)) / std, rel=1e-5)


@pytest.mark.parametrize(
    "attributes",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "INVENTED"},
        {"RescaleSlope": 0},
        {"WindowCenter": 10, "WindowWidth": 0},
        {"WindowCenter": 10, "WindowWidth": 10, "VOILUTFunction": "INVENTED"},
    ],
)
def test_what_cannot_be_followed_is_refused_without_its_value(attributes: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        tensor(RAMP, entry(window={"kind": "voi"}), **attributes)
    assert caught.value.reason == "unsupported-pixels"
    assert "INVENTED" not in str(caught.value)


def manifest(folder: Path, activation: str = "none", **limits: Any) -> Manifest:
    outputs = package_maker.plain_manifest()["outputs"]
    outputs[0]["activation"] = activation
    second = {**outputs[0]["classes"][0], "index": 1, "name": "dark"}
    outputs[0]["classes"].append(second)
    return package_maker.make(folder / "package", outputs=outputs, **limits).manifest


def packed(*numbers: float) -> dict[str, Tensor]:
    return {"output": Tensor((1, len(numbers)), np.array(numbers, "<f4").tobytes())}


def test_scores_meet_the_threshold_of_the_manifest(tmp_path: Path) -> None:
    found = postprocess.findings(manifest(tmp_path), packed(0.59, 0.6001))
    assert [finding.present for finding in found] == [False, True]
    assert [finding.score for finding in found] == pytest.approx([0.59, 0.6001])


def test_activations(tmp_path: Path) -> None:
    sigmoid = postprocess.findings(manifest(tmp_path / "a", "sigmoid"), packed(0.0, math.log(3)))
    softmax = postprocess.findings(manifest(tmp_path / "b", "softmax"), packed(1000.0, 1000.0 + math.log(3)))
    assert [finding.score for finding in sigmoid] == pytest.approx([0.5, 0.75])
    assert [finding.score for finding in softmax] == pytest.approx([0.25, 0.75], abs=1e-4)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        packed(0.5),
        packed(float("nan"), 0.5),
        packed(0.5, float("inf")),
        packed(0.5, 1.5),
        packed(-0.1, 0.5),
        {"output": Tensor((1, 2), b"\0\0\0\0")},
        {"output": Tensor((1, 2, 100), b"\0" * 8)},
    ],
)
def test_outputs_that_the_manifest_excludes(tmp_path: Path, outputs: dict[str, Tensor]) -> None:
    with pytest.raises(Refusal) as caught:
        postprocess.findings(manifest(tmp_path), outputs)
    assert caught.value.reason == "bad-output"
