"""A vendor with a key, and signed packages whose every version answers with a number of its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import package_maker
from onnx import TensorProto, helper

from edge.packages import archive, signature
from edge.packages.package import Package


def shifted_model(shift: float) -> bytes:
    """output = sigmoid(mean of the input + shift)."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "shift"], ["moved"]),
        helper.make_node("Unsqueeze", ["moved", "one"], ["column"]),
        helper.make_node("Sigmoid", ["column"], ["output"]),
    ]
    constants = (
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("shift", TensorProto.FLOAT, [1], [shift]),
    )
    return package_maker.model_of(nodes, constants, out_shape=(1, 1))


class Vendor:
    """Makes packages in `folder`; its public key is `public`."""

    def __init__(self, folder: Path, name: str = "acme") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self.key = signature.make_keys(self.private, self.public)

    def package(self, version: str, shift: float = 0.0, **changes: Any) -> Package:
        """A signed package folder. On zeros it answers sigmoid(shift), which its self-test expects."""
        expected = 1 / (1 + math.exp(-shift))
        case = {"input": "selftest/zero.npy", "expected": [expected]}
        stated = {
            "version": version,
            "limits": {"memory_mib": 256, "seconds": 20.0},
            "selftest": {"tolerance": 1e-5, "cases": [case]},
            **changes,
        }
        members = stated.pop("members", package_maker.plain_members(**{"model.onnx": shifted_model(shift)}))
        folder = self._folder / f"{stated.get('name', 'brightness')}-{version}-{shift:g}"
        package = package_maker.make(folder, members, **stated)
        signature.sign_folder(folder, self.private)
        return package

    def archive(self, version: str, shift: float = 0.0, **changes: Any) -> Path:
        """The same as a file."""
        package = self.package(version, shift, **changes)
        target = self._folder / f"{package.folder.name}{archive.SUFFIX}"
        with target.open("wb") as file:
            archive.pack(package.folder, file)
        return target
