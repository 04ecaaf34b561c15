"""The golden cases of a package: their input tensors, and how far an answer is from the one that was promised."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge.errors import PackageError
from edge.packages.manifest import Manifest, SelftestCase
from edge.packages.package import Package

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]


def inputs(package: Package, case: SelftestCase) -> dict[str, Array]:
    """Every input tensor of `case` by name. Raises PackageError."""
    shapes = package.manifest.input_shapes()
    members = {next(iter(shapes)): case.input, **case.others}
    return {tensor: _tensor(package, members[tensor], shape) for tensor, shape in shapes.items()}


def expected(package: Package, case: SelftestCase) -> Floats:
    """What the graph must answer to `case`, flattened. Raises PackageError."""
    if case.answer is None:
        return np.array(case.expected, np.float32)
    return _array(package, case.answer).ravel()


def difference(manifest: Manifest, outputs: Mapping[str, Array], wanted: Floats) -> float | None:
    """The greatest absolute difference of any number; None for another shape or what is not a number."""
    heats = {output.heat for output in manifest.outputs}
    names = [name for name in manifest.output_tensors() if name not in heats]
    answered = np.concatenate([np.asarray(outputs[name], np.float32).ravel() for name in names])
    if answered.shape != wanted.shape or not np.isfinite(answered).all():
        return None
    return float(np.abs(answered - wanted).max(initial=0.0))


def _tensor(package: Package, name: str, shape: tuple[int, ...]) -> Floats:
    tensor = _array(package, name)
    if tensor.shape != shape:
        raise PackageError(
            "a self-test input has not the shape and type of the input tensor", which=name, hint="make it again"
        )
    return tensor


def _array(package: Package, name: str) -> Floats:
    try:
        tensor = np.load(io.BytesIO(package.read(name)), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise PackageError("a self-test member is no NumPy array", which=name, hint="save it with numpy.save") from None
    if not isinstance(tensor, np.ndarray) or tensor.dtype != np.float32:
        raise PackageError("a self-test member is not float32", which=name, hint="make it again")
    return tensor
