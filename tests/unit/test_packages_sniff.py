"""A file is what its content says: each of these was called a model somewhere."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from package_maker import mean_model

from edge.errors import ImportRefused
from edge.packages.importer.sniff import Kind, sniff


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def encrypted() -> bytes:
    data = bytearray(zipped(config__json=b"{}"))
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= 1
    return bytes(data)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 94371840\n"
NOTEBOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4}).encode()
WHOLE = zipped(config__json=b"{}" * 500, metadata__json=b"{}", model__weights__h5=b"x" * 2000)

NON_MODELS = {
    "pointer": (POINTER, "Git LFS pointer"),
    "page": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "upper page": (b"<HTML><HEAD>", "web page"),
    "notebook": (NOTEBOOK, "Jupyter notebook"),
    "late notebook": (json.dumps({"metadata": {"a": 1}, "nbformat": 4}).encode(), "Jupyter notebook"),
    "script": (b"# trains\nimport tensorflow as tf\nmodel = tf.keras.Sequential()\n", "Python script"),
    "json": (b'{"class_name": "Sequential"}', "JSON text"),
    "placeholder": (b"Model is too large for this repository. " * 6, "text placeholder"),
    "newline": (b"\n", "blanks"),
    "empty": (b"", "empty file"),
    "zeros": (b"\0" * 4096, "blanks"),
    "cut zip": (WHOLE[: len(WHOLE) // 2], "broken zip"),
    "zip without directory": (WHOLE[: WHOLE.index(b"PK\x01\x02")], "broken zip"),
    "damaged zip": (WHOLE.replace(b"x" * 100, b"y" * 100), "damaged"),
    "locked zip": (encrypted(), "encrypted"),
    "other zip": (zipped(a__txt=b"hello"), "no Keras model"),
    "torch": (zipped(archive__data__pkl=b"x").replace(b"archive.data.pkl", b"archive/data.pkl"), "PyTorch"),
    "npz": (zipped(a__npy=b"x"), "NumPy archive"),
    "npy": (b"\x93NUMPY\x01\0v\0{'descr'", "NumPy array"),
    "pickle": (pickle.dumps({"weights": [1, 2]}), "pickle"),
    "gzip": (b"\x1f\x8b\x08\0" + b"x" * 40, "gzip"),
    "picture": (b"\xff\xd8\xff\xe0" + b"x" * 40, "picture"),
    "tflite": (struct.pack("<I", 28) + b"TFL3" + b"\x01" * 40, "TensorFlow Lite"),
    "noise": (np.random.default_rng(1).bytes(4096), "no model format"),
}


@pytest.mark.parametrize("name", NON_MODELS)
def test_a_file_that_is_no_model_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, said = NON_MODELS[name]
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=said) as caught:
        sniff(path)
    assert "\n" not in str(caught.value)
    assert "; try: " in str(caught.value)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="without a SavedModel"):
        sniff(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    assert sniff(tmp_path) is Kind.SAVED_MODEL
    with pytest.raises(ImportRefused, match="no such file"):
        sniff(tmp_path / "nothing")


def test_what_can_be_converted(tmp_path: Path) -> None:
    for content, kind in (
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, Kind.KERAS_H5),
        (WHOLE, Kind.KERAS_ZIP),
        (mean_model(), Kind.ONNX),
    ):
        (tmp_path / "x").write_bytes(content)
        assert sniff(tmp_path / "x") is kind
