"""`edge models import` on real Keras files of both generations. Needs TensorFlow: see tests/README.md."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support import run_edge

pytestmark = [pytest.mark.keras, pytest.mark.timeout(300)]

BAG = Path(__file__).resolve().parents[1] / "keras_bag.py"
CONVERTED = {
    "k3_plain.keras": [1, 24, 24, 3],
    "k3_plain.h5": [1, 24, 24, 3],
    "k3_functional.keras": [1, 32, 32, 1],
    "k3_augmented.keras": [1, 24, 24, 3],
    "k3_two_outputs.keras": [1, 24, 24, 1],
    "k2_plain.h5": [1, 24, 24, 3],
    "k2_functional.h5": [1, 32, 32, 1],
    "k2_functional.keras": [1, 32, 32, 1],
    "k2_augmented.h5": [1, 24, 24, 3],
    "saved": [1, 32, 32, 1],
    "exported": [1, 32, 32, 1],
}
REFUSED = {
    "k3_tabular.keras": "a tabular model",
    "k3_only.weights.h5": "weights without the network",
    "k3_lambda.keras": "Lambda",
    "k2_lambda.h5": "Lambda",
}


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, made by a process of its own."""
    folder = tmp_path_factory.mktemp("bag")
    done = subprocess.run([sys.executable, BAG, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", CONVERTED)
def test_a_model_is_converted_and_agrees(bag: Path, tmp_path: Path, name: str) -> None:
    done = run_edge("models", "import", bag / name, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["max_abs_difference"] <= 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    assert (source.name, source.shape) == ("input", CONVERTED[name])
    answers = session.run(None, {"input": np.zeros(source.shape, np.float32)})
    assert all(np.isfinite(answer).all() for answer in answers)
    assert len(answers) == (2 if "two_outputs" in name else 1)


def test_a_recurrent_head_is_converted_or_refused_in_one_line(bag: Path, tmp_path: Path) -> None:
    done = run_edge("models", "import", bag / "k3_recurrent.keras", "--out", tmp_path / "out", "--json")
    if done.returncode == 0:
        assert json.loads(done.stdout)["max_abs_difference"] <= 1e-5
    else:
        assert "loop" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_loaded_is_refused_in_one_line(bag: Path, tmp_path: Path, name: str) -> None:
    done = run_edge("models", "import", bag / name, "--out", tmp_path / "out")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert REFUSED[name] in line
    assert not (tmp_path / "out").exists()
    assert not list(bag.glob("ran-*")), "code of the model file ran"


def test_a_damaged_file_is_refused(bag: Path, tmp_path: Path) -> None:
    data = (bag / "k2_plain.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    done = run_edge("models", "import", tmp_path / "cut.h5", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "damaged" in done.stderr


def test_the_real_classifier_agrees_on_real_images(data: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(data / "cxr" / "cxr_fullres_sample.tar", tmp_path / "images", filter="data")
    pictures = sorted((tmp_path / "images").rglob("*.jpeg"))
    source = data / "models" / "AM1CODES__Pneumonia-Detection-using-chest-X-Ray__pneumonia_model.h5"
    done = run_edge("models", "import", source, "--out", tmp_path / "out", "--json", "--images", *pictures)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["compared_images"] == 40
    assert document["max_abs_difference"] <= 1e-5
