"""`edge models` as a vendor uses it, without TensorFlow: ONNX in, drafts checked, non-models refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
from onnx import TensorProto, helper
from package_maker import make, mean_model, model_of, plain_manifest
from support import run_edge

from edge.packages.writer import manifest_text


def refused(path: Path, out: Path) -> str:
    """The one line that a refusal writes."""
    done = run_edge("models", "import", path, "--out", out, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert not out.exists()
    (line,) = done.stderr.splitlines()
    return line


def test_a_graph_with_an_open_batch_becomes_a_draft(tmp_path: Path) -> None:
    (tmp_path / "Lung Net v2.onnx").write_bytes(mean_model(("N", 8, 8, 1)))
    done = run_edge("models", "import", tmp_path / "Lung Net v2.onnx", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["max_abs_difference"] == 0.0
    assert document["package"] == str(tmp_path / "out")
    assert any(sentence.startswith("population") for sentence in document["missing"])
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 8, 8, 1]
    text = (tmp_path / "out" / "model.toml").read_text()
    assert 'name = "lung-net-v2"' in text
    assert "threshold" not in text.replace("# ", "").split("schema = 1")[1], "nothing may be guessed"


def test_a_draft_is_no_package_until_the_vendor_has_spoken(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(mean_model())
    assert run_edge("models", "import", tmp_path / "m.onnx", "--out", tmp_path / "out").returncode == 0
    done = run_edge("models", "check", tmp_path / "out")
    assert done.returncode == 1
    assert "missing required field" in done.stderr
    stated = plain_manifest()
    stated["selftest"] = {"tolerance": 1e-5, "cases": [{"input": "selftest/00.npy", "expected": [0.62]}]}
    (tmp_path / "out" / "LICENSE").write_text("A licence.\n")
    (tmp_path / "out" / "model.toml").write_text(manifest_text(stated))
    done = run_edge("models", "check", tmp_path / "out", "--update-members")
    assert done.returncode == 1
    assert "the answer is off by" in done.stderr
    stated["selftest"]["tolerance"] = 0.1
    (tmp_path / "out" / "model.toml").write_text(manifest_text(stated))
    done = run_edge("models", "check", tmp_path / "out", "--update-members")
    assert done.returncode == 0, done.stderr


def test_check_measures_the_shipped_package() -> None:
    done = run_edge("models", "check", "cxr-pneumonia", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["ok"] is True
    assert document["provider"] == "CPUExecutionProvider"
    assert 0 < document["median_ms"] < 1000


def test_check_finds_a_changed_member(tmp_path: Path) -> None:
    make(tmp_path / "p")
    (tmp_path / "p" / "LICENSE").write_bytes(b"B licence.\n")
    done = run_edge("models", "check", tmp_path / "p", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["where"] == "LICENSE"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!doctype html>", "a web page"),
        (b'{"cells": [], "nbformat": 4}', "a Jupyter notebook"),
        (b"import keras\n", "a Python script"),
        (b"to be added later", "a text placeholder"),
        (b"\n", "blanks"),
        (b"", "an empty file"),
        (b"PK\x03\x04" + b"\0" * 100, "a broken zip"),
        (mean_model()[:-40], "ONNX"),
    ],
)
def test_a_non_model_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "model.h5").write_bytes(content)
    assert said in refused(tmp_path / "model.h5", tmp_path / "out")


def test_other_graphs_are_refused_in_one_line(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["input"], ["output"], keepdims=0)
    log = helper.make_node("Log", ["zero"], ["l"])
    nan = [helper.make_node("Mul", ["l", "zero"], ["n"]), helper.make_node("Add", ["input", "n"], ["output"])]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    cases = {
        "a tabular model": model_of([mean], shape=(1, 30), out_shape=()),
        "4 axes": model_of([mean], shape=(1, 4, 8, 8, 1), out_shape=()),
        "open sizes": model_of([mean], shape=(1, "H", "W", 1), out_shape=()),
        "NaN": model_of([log, *nan], (zero,), out_shape=(1, 8, 8, 1)),
    }
    for said, content in cases.items():
        (tmp_path / "m.onnx").write_bytes(content)
        assert said in refused(tmp_path / "m.onnx", tmp_path / "out")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(mean_model())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    done = run_edge("models", "import", tmp_path / "m.onnx", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert (tmp_path / "out" / "precious").read_text() == "x"
